"""Profiles: what is read, what is refused and in which words, and that no secret is ever shown."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from blocks import Profile, ProfileError
from blocks.keys import keys_of
from blocks.profile import Resources

ROOT = Path(__file__).parents[2]
FETCHER = "edu.nrao.archive.datafetcher.DataFetcherSettings"
REQUIRED = {
    "ppi.processing.rootDirectory": "/lustre/test",
    "ppi.metadata.url": "sqlite:////data/alma.db",
    "ppi.ngas.servers": "ngas1:7777, ngas2:7778",
}
EVERYTHING = (
    REQUIRED
    | {
        "ppi.profile.site": "NAASC",
        "ppi.profile.environment": "test",
        "ppi.profile.authoritativeDirectory": "/nm/home/casa/capo",
        "ppi.prefect.apiUrl": "http://prefect:4200/api",
        "ppi.prefect.workPool": "naasc-test",
        "ppi.prefect.username": "ppi",
        "ppi.prefect.password": "p",
        "ppi.prefect.retentionDays": "30",
        "ppi.prefect.database.url": "postgresql+psycopg://db:5432/prefect",
        "ppi.prefect.database.username": "prefect",
        "ppi.prefect.database.password": "d",
        "ppi.processing.storeDirectory": "/lustre/store",
        "ppi.processing.storeLimit": "50 TB",
        "ppi.metadata.username": "reader",
        "ppi.metadata.password": "m",
        "ppi.metadata.schema": "alma",
        "ppi.catalog.url": "postgresql+psycopg://db:5432/ppi",
        "ppi.catalog.username": "writer",
        "ppi.catalog.password": "c",
        "ppi.ngas.streamsPerServer": "2",
        "ppi.ngas.timeoutSeconds": "2.5",
        "ppi.ngas.username": "ngas",
        "ppi.ngas.password": "n",
        "ppi.ngas.locatorServiceUrlPrefix": "https://archive/location",
        "ppi.ngas.executionSite": "NAASC",
        "ppi.casa.executor": "pipeline",
        "ppi.casa.home": "/home/casa/packages",
        "ppi.casa.defaultVersion": "6.5.4-9",
        "ppi.casa.timeoutSeconds": "60",
        "ppi.casa.measuresDirectory": "/home/casa/data",
        "ppi.cluster.kind": "htcondor",
        "ppi.cluster.maxWorkers": "16",
        "ppi.cluster.interface": "ib0",
        "ppi.cluster.condorConfig": "/etc/condor/condor_config",
        "ppi.cluster.condorPrograms": "/usr/local/condor/bin",
        "ppi.cluster.python": "/home/ppi/naasc-test/bin/python",
        "ppi.cluster.logDirectory": "/lustre/test/logs",
        "ppi.cluster.longestIdle": "36:00:00",
        "ppi.broker.url": "amqps://amqp:5671/",
        "ppi.broker.username": "amqp",
        "ppi.broker.password": "b",
        "ppi.broker.exchange": "archive",
        "ppi.access.projects": "2017.1.00886.L, 2019.1.00001.S,",
        "ppi.reports.url": "http://archive-test:4280",
        "ppi.sweep.mostRuns": "3",
        "ppi.sweep.auditSize": "77",
        "ppi.sweep.since": "2026-01-31",
        "ppi.notify.blocks": "slack-webhook/ops,custom-webhook/pager",
        "ppi.retention.attemptsDays": "5",
        "ppi.retention.attemptsLimit": "2 TB",
        "ppi.retention.jobsDays": "6",
        "ppi.retention.messagesDays": "7",
    }
    | {
        f"ppi.cluster.{resource}.{name}": value
        for resource in ("transfer", "casa", "light")
        for name, value in {
            "cores": "2",
            "memory": "1.5 GiB",
            "leastMemory": "700 MB",
            "memoryLimit": "1.75GB",
            "disk": "8GB",
            "walltime": "48:00:00",
            "requirements": '(TARGET.NodeClass == "highmem")',
            "rank": "TARGET.KFlops",
            "concurrencyLimits": "CASA,ARCHIVE:1.5",
            "accountingGroup": "group_prod.ppi",
        }.items()
    }
)

Load = Callable[..., Profile]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    for name in ("CAPO_PATH", "CAPO_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def written(properties: dict[str, str]) -> str:
    return "\n".join(f"{key} = {value}" for key, value in properties.items())


def loaded(directory: Path, text: str) -> Profile:
    (directory / "t.properties").write_text(text, encoding="utf-8")
    return Profile.load("t", str(directory))


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load the required properties and those given."""
    return lambda **more: loaded(tmp_path, written(REQUIRED | {k.replace("__", "."): v for k, v in more.items()}))


def refused(directory: Path, text: str) -> list[str]:
    """Load a file that must be refused; the problems' lines, without the directory."""
    with pytest.raises(ProfileError) as caught:
        loaded(directory, text)
    heading, *lines = str(caught.value).split("\n  ")
    assert re.fullmatch(rf"profile 't' cannot be used \({len(lines)} problems?\)", heading)
    return [line.replace(f"{directory}/", "") for line in lines]


def test_three_keys_suffice(load: Load) -> None:
    profile = load()
    assert profile.name == "t"
    assert (profile.site, profile.environment) == ("unknown", "unknown")
    assert profile.processing.root_directory == Path("/lustre/test")
    assert profile.processing.store_directory == Path("/lustre/test/store")
    assert profile.metadata.url == "sqlite:////data/alma.db"
    assert (profile.metadata.username, profile.metadata.schema_name) == ("", "")
    assert profile.ngas.servers == ("ngas1:7777", "ngas2:7778")
    assert (profile.ngas.streams_per_server, profile.ngas.timeout_seconds) == (4, 60)
    assert (profile.casa.executor, profile.casa.timeout_seconds) == ("casatasks", 21600)
    assert (profile.cluster.kind, profile.cluster.max_workers) == ("local", None)
    assert profile.cluster.casa.walltime == timedelta(hours=24)
    assert profile.access.projects == frozenset()
    unset = (profile.prefect.api_url, profile.catalog.url, profile.broker.url, profile.casa.home)
    assert unset == (None, None, None, None)
    assert (profile.prefect.work_pool, profile.prefect.retention_days) == ("t", 90)
    assert (profile.warnings, profile.left_out) == ((), frozenset())


def test_the_work_pool_has_the_profiles_name_unless_one_is_given(tmp_path: Path, load: Load) -> None:
    (tmp_path / "vlass.w7.properties").write_text(written(REQUIRED))
    assert Profile.load("vlass.w7", str(tmp_path)).prefect.work_pool == "vlass-w7"
    assert load(ppi__prefect__workPool="pool").prefect.work_pool == "pool"
    assert "ppi.prefect.workPool" not in load().origins


def test_every_key_reaches_its_field(tmp_path: Path) -> None:
    assert {key.name for key in keys_of(Profile)} == set(EVERYTHING)
    profile = loaded(tmp_path, written(EVERYTHING))
    assert set(profile.origins) == set(EVERYTHING)
    assert profile.access.projects == {"2017.1.00886.L", "2019.1.00001.S"}
    assert profile.cluster.light.walltime == timedelta(days=2)
    assert profile.ngas.timeout_seconds == 2.5
    tidy = {"ppi.ngas.servers": "ngas1:7777,ngas2:7778", "ppi.access.projects": "2017.1.00886.L,2019.1.00001.S"}
    secret = {key: "**********" for key in EVERYTHING if key.endswith("password")}
    described = {setting.key: setting.value for setting in profile.describe()}
    assert described == EVERYTHING | tidy | secret


def test_a_description_can_be_read_again(tmp_path: Path) -> None:
    profile = loaded(tmp_path, written(EVERYTHING))
    again = {setting.key: setting.value for setting in profile.describe()}
    assert loaded(tmp_path, written(again)).cluster == profile.cluster


def test_keys_have_no_case_and_environment_variables_no_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SITE", "site", "PPI_PROFILE_SITE", "NAME", "CASA", "PREFECT"):
        monkeypatch.setenv(name, '{"executor": "pipeline"}')
    text = written({key.upper(): value for key, value in REQUIRED.items()})
    profile = loaded(tmp_path, text + "\nPPI.CASA.DEFAULTVERSION = 6.6")
    assert (profile.name, profile.site) == ("t", "unknown")
    assert (profile.casa.executor, profile.casa.default_version) == ("casatasks", "6.6")
    bare = {"name": "t", "processing": profile.processing, "metadata": profile.metadata, "ngas": profile.ngas}
    assert Profile.model_validate(bare).site == "unknown"


def test_an_empty_value_is_none_given(load: Load) -> None:
    profile = load(ppi__casa__home="", ppi__casa__executor="${env:PPI_UNSET}", ppi__metadata__schema="")
    assert (profile.casa.home, profile.casa.executor) == (None, "casatasks")
    assert set(profile.origins) == set(REQUIRED)


def test_overrides_between_directories_are_by_key(tmp_path: Path) -> None:
    for number, more in enumerate([{"ppi.casa.executor": "rocket"}, {"ppi.casa.executor": "pipeline"}]):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / "t.properties").write_text(written((REQUIRED if number == 0 else {}) | more))
    profile = Profile.load("t", f"{tmp_path}/0:{tmp_path}/1")
    assert profile.casa.executor == "pipeline"
    assert str(profile.origins["ppi.casa.executor"]) == f"{tmp_path}/1/t.properties:1"
    assert str(profile.origins["ppi.ngas.servers"]) == f"{tmp_path}/0/t.properties:3"


def test_a_class_that_asks_for_little_never_asks_for_more_by_default(load: Load) -> None:
    cluster = load(ppi__cluster__light__memory="100 MB", ppi__cluster__casa__memory="0.5 GiB").cluster
    leasts = [each.least_memory for each in (cluster.light, cluster.casa, cluster.transfer)]
    assert leasts == ["100 MB", "512 MB", "512 MB"]


@pytest.mark.parametrize("value", ["TARGET.Memory > 1\nqueue 1000", "a\rb", "a\0b"])
def test_an_expression_that_comes_in_another_way_is_one_line_too(value: str) -> None:
    for name in ("requirements", "rank"):
        with pytest.raises(ValidationError, match="it is more than one line"):
            Resources.model_validate({name: value})


def test_the_fetchers_keys_stand_in(load: Load) -> None:
    theirs = {f"{FETCHER}.defaultThreadsPerHost": "7", f"{FETCHER.upper()}.EXECUTIONSITE": "DSOC"}
    profile = load(**theirs, **{f"{FETCHER}.locatorServiceUrlPrefix": "http://l/location"})
    assert (profile.ngas.streams_per_server, profile.ngas.execution_site) == (7, "DSOC")
    assert profile.ngas.locator_service_url_prefix == "http://l/location"
    assert profile.origins["ppi.ngas.streamsPerServer"].key == f"{FETCHER}.defaultThreadsPerHost"


@pytest.mark.parametrize(("ours", "expected"), [("3", 3), ("", 4)])
def test_ours_wins_over_the_fetchers_even_when_empty(ours: str, expected: int, load: Load) -> None:
    profile = load(**{f"{FETCHER}.defaultThreadsPerHost": "7"}, ppi__ngas__streamsPerServer=ours)
    assert profile.ngas.streams_per_server == expected


def test_foreign_keys_are_ignored(load: Load) -> None:
    profile = load(**{"edu.nrao.archive.configuration.AmqpServer.hostname": "x", "ppid.x": "1"})
    assert set(profile.origins) == set(REQUIRED)


def test_a_login_in_a_url_is_moved_out_of_it(load: Load) -> None:
    profile = load(ppi__metadata__url="postgresql+psycopg://me:p%40w/%3F@db:5432/alma?sslmode=require")
    assert profile.metadata.url == "postgresql+psycopg://db:5432/alma?sslmode=require"
    assert profile.metadata.username == "me"
    assert profile.metadata.password.get_secret_value() == "p@w/?"
    assert profile.origins["ppi.metadata.password"] == profile.origins["ppi.metadata.url"]


def test_keys_win_over_the_login_in_a_url(load: Load) -> None:
    profile = load(ppi__broker__url="amqp://me:one@mq/", ppi__broker__password="two")
    assert (profile.broker.username, profile.broker.password.get_secret_value()) == ("me", "two")
    assert profile.origins["ppi.broker.password"].line == 5


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////a/b@c:d.db",
        "sqlite:///file:/a/b.db?mode=ro&uri=true",
        "postgresql+psycopg:///alma?host=/run/postgresql",
        "oracle+oracledb://db:1521/?service_name=ALMA",
    ],
)
def test_urls_without_a_login_stay_as_they_are(url: str, load: Load) -> None:
    assert load(ppi__metadata__url=url).metadata.url == url


WRONG = {
    "executor": (
        "ppi.casa.executor",
        "rocket",
        "'rocket' cannot be used: input should be 'casatasks' or 'pipeline'",
    ),
    "number": ("ppi.casa.timeoutSeconds", "long", "'long' cannot be used: input should be a valid integer"),
    "negative": ("ppi.ngas.streamsPerServer", "0", "'0' cannot be used: input should be greater than 0"),
    "not finite": ("ppi.ngas.timeoutSeconds", "inf", "'inf' cannot be used: input should be a finite number"),
    "no path": ("ppi.processing.rootDirectory", "/ar\0ea", "it has a NUL character in it"),
    "relative": ("ppi.processing.rootDirectory", "area", "'area' is not a full path"),
    "home": ("ppi.casa.home", "~/casa", "'~/casa' is not a full path"),
    "scheme of a server": ("ppi.ngas.servers", "a:1,http://b:2", "'http://b:2' is not host:port"),
    "no port": ("ppi.ngas.servers", "ngas1", "'ngas1' is not host:port"),
    "port": ("ppi.ngas.servers", "ngas1:70000", "'ngas1:70000' is not host:port"),
    "login of a server": ("ppi.ngas.servers", "me:pw@a:1", "a name or password has no place in it"),
    "no server": ("ppi.ngas.servers", ",", "it names no server"),
    "unknown database": ("ppi.metadata.url", "mysql://h/db", "a URL begins with sqlite:// or "),
    "no driver": ("ppi.metadata.url", "postgresql://h/db", "a URL begins with sqlite:// or postgresql+psycopg://"),
    "relative sqlite": ("ppi.metadata.url", "sqlite:///alma.db", "an SQLite file is named by its full path"),
    "sqlite in memory": ("ppi.metadata.url", "sqlite://", "an SQLite file is named by its full path"),
    "secret in query": (
        "ppi.catalog.url",
        "postgresql+psycopg://h/d?password=x",
        "it holds a secret behind its '?'",
    ),
    "@ in password": ("ppi.broker.url", "amqp://u:p@w@h", "where its password ends cannot be told"),
    "broker": ("ppi.broker.url", "http://h", "a URL begins with amqp:// or amqps:// here"),
    "port of a broker": ("ppi.broker.url", "amqp://h:99999/", "the URL has no host, or a port that is not"),
    "login for Prefect": ("ppi.prefect.apiUrl", "http://u:p@h/api", "it holds a name or password"),
    "no host": ("ppi.prefect.apiUrl", "http:///api", "the URL has no host, or a port that is not"),
    "port of a URL": ("ppi.prefect.apiUrl", "http://h:x/api", "the URL has no host, or a port that is not"),
    "size without a unit": ("ppi.cluster.casa.memory", "4096", "'4096' is not a size with its unit"),
    "nothing": ("ppi.cluster.casa.disk", "0 GB", "'0 GB' is not a size with its unit"),
    "walltime": ("ppi.cluster.light.walltime", "2d", "'2d' is not hours:minutes:seconds"),
    "limit without a number": (
        "ppi.cluster.casa.concurrencyLimits",
        "CASA, NGAS:x",
        "'NGAS:x' is not the name of a limit, nor NAME:number",
    ),
    "limit of nothing": (
        "ppi.cluster.casa.concurrencyLimits",
        "CASA:0.0",
        "'CASA:0.0' is not the name of a limit, nor NAME:number with a number above 0",
    ),
    "no limit": ("ppi.cluster.casa.concurrencyLimits", ",", "it names no limit"),
    "group": ("ppi.cluster.light.accountingGroup", "group prod", "'group prod' is not the name of an accounting"),
    "address of an interface": (
        "ppi.cluster.interface",
        "10.0.0.1",
        "'10.0.0.1' is not the name of a network interface: an address has no place here",
    ),
    "control character": ("ppi.cluster.light.rank", "a\x1fb", "it is more than one line, or has a control"),
    "more at least than it begins with": (
        "ppi.cluster.casa.leastMemory",
        "17 GB",
        "'17 GB' is more than `memory` of that class, which is 16 GB",
    ),
    "less at most than it begins with": (
        "ppi.cluster.transfer.memoryLimit",
        "3.9GB",
        "'3.9GB' is less than `memory` of that class, which is 4 GB",
    ),
    "no time": ("ppi.cluster.light.walltime", "0:00:00", "'0:00:00' cannot be used: input should be greater than"),
}


@pytest.mark.parametrize(("key", "value", "reason"), WRONG.values(), ids=WRONG)
def test_wrong_values(key: str, value: str, reason: str, tmp_path: Path) -> None:
    lines = refused(tmp_path, written({key: value} | {k: v for k, v in REQUIRED.items() if k != key}))
    assert len(lines) == 1
    assert lines[0].startswith(f"{key} (t.properties:1): {reason}")
    assert f". Next: correct that line, e.g. {key} = " in lines[0]


def test_what_is_required_and_not_there(tmp_path: Path) -> None:
    (line, *others) = refused(tmp_path, "# nothing")
    assert line == (
        "ppi.processing.rootDirectory: it is required, and no file that could be read gives it "
        "(read: t.properties). "
        "Next: add a line to one of them, e.g."
        " ppi.processing.rootDirectory = /lustre/naasc/web/almapipe/pipeline/naasc-test"
    )
    assert [other.partition(":")[0] for other in others] == ["ppi.metadata.url", "ppi.ngas.servers"]


def test_what_is_required_and_empty(tmp_path: Path) -> None:
    lines = refused(tmp_path, written(REQUIRED | {"ppi.ngas.servers": "${env:PPI_UNSET}"}))
    assert [line.partition(". Next")[0] for line in lines] == [
        "ppi.ngas.servers (t.properties:3): it is required, but empty"
    ]


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("ppi.ngas.server", "ppi.ngas.servers"),
        ("PPI.metadata.usernam", "ppi.metadata.username"),
        ("ppi.cluster.cores", "ppi.cluster.casa.cores"),
        ("ppi.x", "ppi."),
        ("ppi.name", "ppi."),
    ],
)
def test_unknown_keys_of_ours(key: str, nearest: str, tmp_path: Path) -> None:
    lines = refused(tmp_path, written(REQUIRED | {key: "hunter2"}))
    assert len(lines) == 1
    assert lines[0].startswith(f"{key} (t.properties:4): PPI has no such key. Next: write {nearest}")
    assert "hunter2" not in lines[0]


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "home" / ".capo" / "t.properties").mkdir(parents=True)
    text = """
    ppi.casa.executor = rocket
    ppi.casa.Executor = pipeline
    ppi.ngas.sevrers = a:1
    ppi.processing.rootDirectory = here
    a line on its own
    edu.nrao.archive.datafetcher.DataFetcherSettings.defaultThreadsPerHost = many
    """
    lines = refused(tmp_path, text)
    assert [line.partition(":")[0].partition(" (")[0] for line in lines] == [
        "home/.capo/t.properties",
        "ppi.metadata.url",
        "ppi.ngas.servers",
        "ppi.casa.executor",
        "ppi.casa.Executor",
        "ppi.ngas.sevrers",
        "ppi.processing.rootDirectory",
        "line",
        "ppi.ngas.streamsPerServer",
    ]
    assert f"(t.properties:7, as {FETCHER}.defaultThreadsPerHost): 'many' cannot be used" in lines[-1]


def test_no_profile_is_found(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="no such file in any directory searched") as caught:
        Profile.load("naasc-test", str(tmp_path))
    assert isinstance(caught.value, ValueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own


def test_a_profile_is_frozen_and_travels(tmp_path: Path) -> None:
    profile = loaded(tmp_path, written(EVERYTHING))
    with pytest.raises(ValidationError, match="frozen"):
        profile.site = "DSOC"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        profile.ngas.servers = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        profile.origins["x"] = profile.origins["ppi.ngas.servers"]  # type: ignore[index]
    again = pickle.loads(pickle.dumps(profile))  # noqa: S301 - our own
    assert again == profile
    assert again.origins == profile.origins
    assert Profile.model_validate(profile.model_dump()).casa == profile.casa


def test_the_default_store_follows_the_area_and_has_no_origin(load: Load) -> None:
    settings = {setting.key: setting for setting in load().describe()}
    assert settings["ppi.processing.storeDirectory"] == (
        "ppi.processing.storeDirectory",
        "/lustre/test/store",
        None,
    )


MARK = "Zq7xK"
PASSWORDS = st.tuples(*2 * [st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=4)]).map(
    MARK.join
)
SCHEMES = {
    "metadata": "oracle+oracledb",
    "catalog": "postgresql+psycopg",
    "broker": "amqp",
    "prefect.database": "postgresql+psycopg",
}


def shown(text: str) -> str:
    """Return everything that a person or a log may get to see of a profile that is loaded, or refused."""
    with TemporaryDirectory() as directory:
        try:
            profile = loaded(Path(directory), text)
        except ProfileError as error:
            chain = (error, error.__cause__, error.__context__)
            return f"{chain} {chain!r} {error.problems!r}"
    dumped = profile.model_dump(mode="json")
    return f"{profile} {profile!r} {profile.describe()} {dumped} {profile.origins}"


@settings(deadline=None)
@given(
    PASSWORDS,
    st.sampled_from(sorted(SCHEMES)),
    st.booleans(),
    st.sampled_from(["", "nonsense", "ppi.casa.executor = x"]),
)
def test_no_secret_is_shown(password: str, section: str, escaped: bool, fault: str) -> None:
    inside = quote(password, safe="") if escaped else password
    url = {f"ppi.{section}.url": f"{SCHEMES[section]}://me:{inside}@host:99/x"}
    for properties in (REQUIRED | url, REQUIRED | {f"ppi.{section}.password": password}):
        assert MARK not in shown(f"{written(properties)}\n{fault}")


@settings(deadline=None)
@given(PASSWORDS, st.sampled_from(["ppi.prefect.apiUrl", "ppi.ngas.locatorServiceUrlPrefix", "ppi.ngas.servers"]))
def test_no_secret_is_shown_where_none_belongs(password: str, key: str) -> None:
    address = f"me:{password}@host:99"
    value = address if key.endswith("servers") else f"http://{address}/api"
    assert MARK not in shown(written(REQUIRED | {key: value}))


@settings(deadline=None)
@given(PASSWORDS)
def test_an_escaped_login_in_a_url_is_read_exactly(password: str) -> None:
    url = f"postgresql+psycopg://{quote(password, safe='')}:{quote(password, safe='')}@host/x"
    with TemporaryDirectory() as directory:
        profile = loaded(Path(directory), written(REQUIRED | {"ppi.metadata.url": url}))
    login = profile.metadata.username, profile.metadata.password.get_secret_value(), profile.metadata.url
    assert login == (password, password, "postgresql+psycopg://host/x")


def test_the_examples_given_to_operators_are_right(tmp_path: Path) -> None:
    keys = keys_of(Profile)
    assert all(key.field.description for key in keys)
    profile = loaded(tmp_path, "\n".join(key.example for key in keys if "${env:" not in key.example))
    assert len(profile.origins) == sum("${env:" not in key.example for key in keys)


def test_the_documentation_lists_each_key_with_its_default() -> None:
    rows = re.findall(
        r"^\| `(ppi\.[\w.]+)`[^|]*\| ([^|]*) \| [^|]+ \| ", (ROOT / "docs" / "profiles.md").read_text(), re.M
    )
    defaults = {setting.key: setting.value for setting in bare().describe()}
    required = {key.name for key in keys_of(Profile) if key.field.is_required()}
    derived = {
        "ppi.processing.storeDirectory": "`<rootDirectory>/store`",
        "ppi.prefect.workPool": "the profile's name",
    }
    said = {
        name: "required" if name in required else f"`{value}`" if value else "" for name, value in defaults.items()
    }
    assert dict(rows) == said | derived


def bare() -> Profile:
    with TemporaryDirectory() as directory:
        return loaded(Path(directory), written(REQUIRED))


def test_importing_blocks_is_light() -> None:
    code = "import sys, blocks; print([m for m in ('prefect', 'sqlalchemy', 'dask', 'tasks') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
