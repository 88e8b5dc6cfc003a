"""An observation of two sessions with its calibration, archived on loopback: what a plan is made of."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployments.local.ngas_index import Plugin
from deployments.local.ngas_server import archive, requests_of
from tasks.alma import ArchiveFile, EntityId, ExecutionBlock, ObservingUnitSet, Session
from tasks.casa.versions import wheels_version
from tasks.ngas import NgasClient, Patience
from tasks.ppr.manifest import Manifest, ManifestBlock, ManifestSession
from tasks.ppr.manifest import write as write_manifest
from tasks.restore.plan import Casa, Plan, PlannedFile, make_plan, read_manifest

MOUS = EntityId("uid://A001/X1284/X265f")
FIRST, SECOND, THIRD = (EntityId(f"uid://A002/Xc7111c/{end}") for end in ("X3979", "X409e", "X86a7"))
MANIFEST = f"member.{MOUS.file_form}.hifa_cal.pipeline_manifest.xml"
CASA = Casa(executor="casatasks", version=wheels_version())


def raw_name(uid: EntityId) -> str:
    return f"{uid.file_form}.asdm.sdm.tar"


def flags_name(uid: EntityId) -> str:
    return f"{uid.file_form}.ms.flagversions.tgz"


def commands_name(uid: EntityId) -> str:
    return f"{uid.file_form}.ms.calapply.txt"


def reference_name(uid: EntityId) -> str:
    return f"{uid.file_form}.ms.reference.json"


def tables_name(session: int) -> str:
    return f"{MOUS.file_form}.session_{session}.caltables.tgz"


def manifest_of(sessions: Mapping[str, tuple[EntityId, ...]], **changes: Any) -> Manifest:
    """A manifest of execution blocks by the names of their sessions."""
    whole = Manifest(
        ous=MOUS.file_form,
        casa_version=CASA.version,
        sessions=tuple(
            ManifestSession(
                name=name,
                caltables=f"{MOUS.file_form}.{name}.caltables.tgz",
                execution_blocks=tuple(_manifest_block(uid) for uid in blocks),
            )
            for name, blocks in sessions.items()
        ),
    )
    return whole.model_copy(update=changes)


def _manifest_block(uid: EntityId) -> ManifestBlock:
    return ManifestBlock(vis=f"{uid.file_form}.ms", final_flags=flags_name(uid), apply_commands=commands_name(uid))


@dataclass
class Archived:
    """An observation in an archive; a test archives, lists and names what it likes before it plans."""

    root: Path
    address: str
    listed: list[ArchiveFile] = field(default_factory=list)
    sessions: tuple[tuple[EntityId, ...], ...] = ((FIRST,), (), (SECOND,))
    manifest: Manifest = field(
        default_factory=lambda: manifest_of({"session_1": (FIRST,), "session_3": (SECOND,)})
    )
    raw_sizes: dict[EntityId, int | None] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def put(
        self,
        file_id: str,
        data: bytes = b"",
        *,
        listed: bool = True,
        size: int | None = None,
        plugin: Plugin = "crc32",
    ) -> None:
        """Archive a file, and list it in the archive's tables, perhaps with a size that is not its own."""
        source = self.root.parent / secrets.token_hex(8)
        source.write_bytes(data or file_id.encode())
        entry = archive(self.root, source, file_id, plugin=plugin)
        if listed:
            self.list(file_id, size or entry.file_size)

    def list(self, file_id: str, size: int | None = 5) -> None:
        self.listed.append(ArchiveFile(file_id=file_id, file_class="calibration", size=size))

    def put_all(self, prefix: str = "member.", *, plugin: Plugin = "crc32") -> None:
        """Archive everything that the manifest names, except what the test wants to be without."""
        self.put(MANIFEST, write_manifest(self.manifest))
        for session in self.manifest.sessions:
            names = [session.caltables]
            for block in session.execution_blocks:
                names += [block.final_flags, block.apply_commands]
                self._put_unless(f"{block.vis.removesuffix('.ms')}.asdm.sdm.tar", listed=False, plugin=plugin)
            for name in names:
                self._put_unless(f"{prefix}{name}", plugin=plugin)

    def _put_unless(self, file_id: str, *, listed: bool = True, plugin: Plugin) -> None:
        if file_id.removeprefix("member.") not in self.without:
            self.put(file_id, listed=listed, plugin=plugin)

    @property
    def client(self) -> NgasClient:
        return NgasClient((self.address,), timeout=5, patience=Patience(rounds=1))

    @property
    def observation(self) -> ObservingUnitSet:
        blocks = tuple(uid for session in self.sessions for uid in session)
        return ObservingUnitSet(
            mous=MOUS, gous=MOUS, sous=MOUS, project_code="2017.1.00886.L", project_uid=MOUS, project_status=None,
            part_id=None, sched_block=None, sched_block_status=None, state=None, qa2_status=None, delivery=None,
            sessions=tuple(
                Session(number=number, execution_blocks=blocks, start=None, end=None)
                for number, blocks in enumerate(self.sessions, 1)
            ),
            execution_blocks=tuple(
                ExecutionBlock(
                    uid=uid,
                    sched_block=None,
                    raw=ArchiveFile(file_id=raw_name(uid), file_class="raw", size=self.raw_sizes.get(uid)),
                )
                for uid in blocks
            ),
            products=tuple(self.listed),
        )  # fmt: skip

    def read_manifest(self) -> tuple[PlannedFile, Manifest]:
        place = self.root.parent / "manifest.xml"

        def fetch(file: Any) -> bytes:
            self.client.retrieve(file, place)
            return place.read_bytes()

        return read_manifest(self.observation, self.client, fetch)

    def plan(self, casa: Casa = CASA) -> Plan:
        file, manifest = self.read_manifest()
        return make_plan(self.observation, manifest, file, self.client, casa)

    def retrieved(self) -> set[str]:
        return {request["file_id"] for request in requests_of(self.root, "RETRIEVE")}
