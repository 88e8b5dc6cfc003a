"""The house's rules, held against its source: who knows whom, how long things are, and what no file may name."""

from __future__ import annotations

import ast
import re
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import typer.main

from cli.main import app

ROOT = Path(__file__).parents[1]
ROOMS = ("cli", "deployments", "flows", "tasks", "blocks")
"""From the top: each may import those after it."""
MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION, MEDIAN_LINES_OF_A_FUNCTION = 400, 60, 12
HELP_SECONDS = 0.5
SLOW_TO_IMPORT = {"prefect", "pydantic", "sqlalchemy", "sqlmodel", "casatools", "casatasks", "matplotlib", "numpy"}

SOURCES = sorted(chain.from_iterable((ROOT / room).rglob("*.py") for room in ROOMS))
PREFECT_TASKS = re.compile(r"tasks/(?:[a-z_]+/)*(?:__init__|tasks|_task\w*)\.py")
"""The files in `tasks/` that may know Prefect."""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


DOMAIN = [
    path for path in SOURCES if _name(path).startswith("tasks/") and not PREFECT_TASKS.fullmatch(_name(path))
]


def imported(path: Path) -> set[str]:
    """Return the full names of all that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    assert not [node for node in froms if node.level], f"{_name(path)} has a relative import"
    return modules | {f"{node.module}.{alias.name}" for node in froms for alias in node.names}


def of_package(name: str) -> str:
    return name.partition(".")[0]


def test_all_rooms_are_there() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(ROOMS)
    assert len(DOMAIN) > 50


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_itself_and_what_is_below_it(room: str) -> None:
    above = set(ROOMS[: ROOMS.index(room)])
    wrong = {
        _name(path): sorted(bad)
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] == room
        and (bad := {name for name in imported(path) if of_package(name) in above | {"tests", "benchmarks"}})
    }
    assert wrong == {}


def test_domain_modules_know_neither_prefect_nor_profiles() -> None:
    foreign = {"prefect", "prefect_dask", "blocks", "flows", "deployments", "cli"}
    wrong = {_name(path): sorted(bad) for path in DOMAIN if (bad := foreign & {*map(of_package, imported(path))})}
    assert wrong == {}


def test_domain_modules_know_no_prefect_task() -> None:
    wrong = {
        _name(path): sorted(bad)
        for path in DOMAIN
        if (
            bad := {
                name for name in imported(path) if re.match(r"tasks\.(?:.*\.)?(?:tasks|_task\w*)(?:\.|$)", name)
            }
        )
    }
    assert wrong == {}


def test_what_runs_on_workers_starts_without_prefect() -> None:
    jobs = [_name(path).removesuffix(".py").replace("/", ".") for path in SOURCES if path.name == "jobs.py"]
    assert "tasks.restore.jobs" in jobs
    known = "{'prefect', 'blocks'} & {*sys.modules}"
    program = f"import sys, tasks.cluster.worker, {', '.join(jobs)}; sys.exit(bool({known}))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_every_module_says_why_it_exists_and_what_it_offers() -> None:
    trees = {_name(path): ast.parse(path.read_text()) for path in SOURCES}
    assert [name for name, tree in trees.items() if not ast.get_docstring(tree)] == []
    assert [name for name, tree in trees.items() if "/_" not in name and not _offers(tree)] == []


def _offers(tree: ast.Module) -> bool:
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    public = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    return not public or any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Return each function with the lines of its body, its docstring not counted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            yield f"{_name(path)}:{node.lineno} {node.name}", lines


def test_functions_do_one_thing() -> None:
    lengths = dict(chain.from_iterable(functions(path) for path in SOURCES))
    assert [name for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION] == []
    assert statistics.median(lengths.values()) <= MEDIAN_LINES_OF_A_FUNCTION


def test_files_are_short() -> None:
    lengths = {_name(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE} == {}


def test_the_readme_has_every_command() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {"plan", "restore", "status", "demo"} <= set(commands)
    readme = (ROOT / "README.md").read_text()
    assert [name for name in commands if f"ppi {name}" not in readme] == []


@pytest.mark.parametrize("command", sorted(typer.main.get_command(app).commands))  # type: ignore[attr-defined]
def test_every_command_and_option_has_help(command: str) -> None:
    made = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    assert made.help
    assert [parameter.name for parameter in made.params if not getattr(parameter, "help", None)] == []


def _help(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments, "-m", "cli", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )


def test_help_answers_at_once() -> None:
    """Processor time is what is counted: a test run keeps the machine busy with other things."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "restore" in _help().stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if seconds[-1] < HELP_SECONDS:
            return
    pytest.fail(f"the quickest of {len(seconds)} took {min(seconds):.2f} s")


def test_help_imports_nothing_that_it_does_not_need() -> None:
    traced = re.findall(r"^import time:.*\| +(\S+)$", _help("-X", "importtime").stderr, re.MULTILINE)
    assert "typer" in traced
    assert SLOW_TO_IMPORT & {*map(of_package, traced)} == set()


def tracked() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return {_name(path): path.read_text(errors="replace") for path in paths if path.is_file()}


HOSTS = ("py" + "pi.org", "python" + "hosted.org", "ana" + "conda.org")
REGISTRY = re.compile(
    "|".join(
        (
            *map(re.escape, HOSTS),
            r"//\S+/simple/?(?=[\"'\s]|$)",
            r"(?:index-url|find-links|INDEX_URL|FIND_LINKS)[ =]+[\"']?\w+://",
        )
    )
)
MACHINE = re.compile(r"(?<![\w.}])/(?:root|work|tmp)/[\w.]")
ADDRESS = re.compile(r"://|@ file|^\s*-(?:i|f|-index|-find|-extra|-trusted)", re.MULTILINE)


def test_no_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    files = tracked()
    assert {"requirements.lock", "README.md", "prefect.yaml"} <= set(files)
    for rule in (REGISTRY, MACHINE):
        assert {name: found[0] for name, text in files.items() if (found := rule.search(text))} == {}


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        *((REGISTRY, f"see https://files.{host}/x") for host in HOSTS),
        (REGISTRY, "https://mirror.example/root/" + "simple/"),
        (REGISTRY, "--extra-index-url" + " http://mirror.example"),
        (MACHINE, "in /" + "root/project"),
        (MACHINE, '"/' + 'tmp/x"'),
        (ADDRESS, "six @ https://example.org/six.whl"),
        (ADDRESS, "six==1\n--find-links x"),
    ],
)
def test_the_rules_find_what_they_are_for(rule: re.Pattern[str], text: str) -> None:
    assert rule.search(text)


@pytest.mark.parametrize("name", ["requirements.lock", "casadata.lock", "constraints.txt"])
def test_what_is_installed_is_named_without_an_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert text.strip()
    assert ADDRESS.search(text) is None


def test_what_is_installed_is_pinned_by_version_and_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    lines = [line for line in lock.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) > 100
    pinned = re.compile(r"[\w.-]+(?:\[[\w, -]+\])?==\S+ .*--hash=sha256:")
    assert [line.split()[0] for line in lines if not pinned.match(line)] == []
