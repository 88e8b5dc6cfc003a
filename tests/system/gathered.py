"""An observation that is planned and gathered once, and copied for each test that tampers with it."""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from environments import PROPRIETARY, Environment, MakeEnvironment, own_archive

from blocks.profile import Access, Metadata, Ngas, Processing, Profile
from deployments.local.ngas_index import Index
from deployments.local.ngas_server import archive, serving
from deployments.local.observatory.build import Observatory
from tasks.alma.ids import EntityId
from tasks.casa.environment import measures_directory
from tasks.casa.executor import Watch
from tasks.casa.record import BlockRecord
from tasks.ngas.client import NgasClient
from tasks.ngas.model import StoredFile
from tasks.ngas.store import Store
from tasks.ngas.tasks import archive_client
from tasks.restore import gather, process
from tasks.restore.plan import Plan, PlannedBlock
from tasks.restore.tasks import make_restore_plan
from tasks.workspace.layout import Area, Tree

__all__ = [
    "Gathered",
    "casa_children",
    "gathered",
    "original",
    "repacked",
    "republished",
    "truncated",
    "truncated_block",
    "unwatched",
]


def unwatched(step: str) -> None:
    """Take no notice of a step."""


@dataclass(frozen=True)
class Gathered:
    """A plan and its directories, as they are when CASA's turn comes."""

    plan: Plan
    tree: Tree

    @property
    def planned(self) -> PlannedBlock:
        """The only execution block."""
        (block,) = self.plan.blocks
        return block

    @property
    def name(self) -> str:
        return self.planned.uid.file_form

    @property
    def vis(self) -> str:
        return f"{self.name}.ms"

    @property
    def asdm(self) -> Path:
        return self.tree.rawdata / self.name

    def product(self, name: str) -> Path:
        return self.tree.products / name

    @property
    def attempt(self) -> Path:
        """The directory of the only attempt at the execution block."""
        (directory,) = self.tree.working.glob(f"attempts/{self.name}.*")
        return directory

    def copied(self, root: Path) -> Gathered:
        """Copy it; nothing of the copy is shared with the original."""
        shutil.copytree(self.tree.root, root)
        return replace(self, tree=replace(self.tree, root=root))

    def restored(
        self,
        watch: Watch = unwatched,
        *,
        seconds: float = 120,
        measures: Path | None = None,
    ) -> BlockRecord:
        """Restore the execution block with casatasks."""
        casa = process.CasaSettings(measures_directory(measures), seconds)
        return process.restore_block(self.plan, self.planned, self.tree, casa, watch)

    def with_block(self, **changed: object) -> Gathered:
        """Return it with another plan of the execution block."""
        block = self.planned.model_copy(update=changed)
        return replace(self, plan=self.plan.model_copy(update={"blocks": (block,)}))


def gathered(observatory: Observatory, root: Path, observation: str = PROPRIETARY) -> Gathered:
    """Plan the restore of an observation, by default that of one execution block, and gather it."""
    with serving(observatory.archive_root) as address:
        profile = Profile(
            name="controls",
            processing=Processing(root_directory=root),
            metadata=Metadata(url=observatory.database_url),
            ngas=Ngas(servers=(address,)),
            access=Access(projects=frozenset("*")),
        )
        store, client = Store(root.with_name(f"{root.name}-store")), archive_client(profile)
        mous = EntityId.parse(observation)
        plan = make_restore_plan(profile, mous, lambda file: _read(store, client, file))
        area = Area(root)
        with area.held(mous):
            tree = area.attempt(mous, plan.key, plan.observation.project_code, plan.relative_path)
        gather.write_request(plan, tree, "TEST", "ppi")
        gather.fetch_products(plan, tree, store, client)
        for block in plan.blocks:
            gather.fetch_block(block, tree, store, client)
    return Gathered(plan, tree)


def _read(store: Store, client: NgasClient, file: StoredFile) -> bytes:
    with store.using(client, file) as held:
        return held.path.read_bytes()


def original(observatory: Observatory, file_id: str) -> Path:
    """Return where the archive keeps a file."""
    index = Index(observatory.archive_root)
    entry = index.find(file_id)
    assert entry, file_id
    return index.files / entry.file_name


@contextmanager
def repacked(archive: Path, folder: Path) -> Iterator[Path]:
    """Unpack a tar into a new folder, and put it together again in its place when that was changed."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    yield folder
    archive.unlink()
    with tarfile.open(archive, "w:gz" if archive.suffix == ".tgz" else "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def republished(
    observatory: Observatory, make_environment: MakeEnvironment, root: Path, file_id: str, content: Path
) -> Environment:
    """Make an environment whose archive holds another content, rightly described, as a file's newest version."""
    copy, database = own_archive(observatory, root / "tampered-ngas"), root / "metadata.sqlite"
    entry = archive(copy, content, file_id)
    shutil.copyfile(observatory.folder / "metadata.sqlite", database)
    with closing(sqlite3.connect(database)) as tables, tables:
        tables.execute(
            "UPDATE asa_product_files SET stored_size = ? WHERE ngas_file_id = ?", (entry.file_size, file_id)
        )
    return make_environment(archive=copy, access_projects="*", metadata_url=f"sqlite:///{database}")


def truncated_block(
    observatory: Observatory, make_environment: MakeEnvironment, root: Path, name: str
) -> Environment:
    """Make an environment whose archive has an execution block with a binary file cut in half."""
    tar = root / "execution-block.tar"
    shutil.copyfile(original(observatory, f"{name}.asdm.sdm.tar"), tar)
    with repacked(tar, root / "asdm") as folder:
        truncated(sorted(folder.glob("*/ASDMBinary/*"))[3])
    return republished(observatory, make_environment, root, f"{name}.asdm.sdm.tar", tar)


def casa_children(module: str = "tasks.casa.recipes") -> list[psutil.Process]:
    """Return the CASA processes that this process has started and that still run."""
    found = psutil.Process().children(recursive=True)
    return [
        child for child in found if child.name().startswith("python") and module in " ".join(child.cmdline()[:4])
    ]
