"""The plan of a restore: which files, which CASA, which request; made before a byte of data is fetched."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import PurePath
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tasks.alma.ids import EntityId
from tasks.alma.model import ArchiveFile, ObservingUnitSet
from tasks.casa.executor import Block
from tasks.casa.versions import require_restorable_with
from tasks.casa.wheels import RECIPE
from tasks.errors import Missing, Refused
from tasks.ngas.client import NgasClient
from tasks.ngas.model import StoredFile
from tasks.ppr import manifest as manifests
from tasks.ppr.compose import compose
from tasks.ppr.manifest import Manifest, ManifestBlock, ManifestSession
from tasks.ppr.model import Ppr, Procedure
from tasks.ppr.procedures import IMAGE, RESTORE

__all__ = ["Casa", "Plan", "PlannedBlock", "PlannedFile", "make_plan", "read_manifest"]

_EXTRAS = (
    ".casa_pipescript.py", ".casa_piperestorescript.py", ".casa_commands.log", ".weblog.tgz", ".pprequest.xml",
    "flux.csv", "flagtemplate.txt", "flagtsystemplate.txt",
)  # fmt: skip
"""Endings of the products that are delivered along although the restore does not read them."""

_PREFIX = "member."
"""What the archive puts before the names that the pipeline gave."""
_SPACE_FACTOR, _SPACE_FACTOR_OF_IMAGING = 4, 8
"""A restore writes 3.4 bytes for each byte of raw data (measured); imaging copies the targets twice (a guess)."""
_SAFE_NAME = re.compile(r"\w[\w.+=@-]*")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Casa(_Frozen):
    """The CASA that would do the work."""

    executor: Literal["casatasks", "pipeline"]
    version: str


class PlannedFile(_Frozen):
    """A file to fetch, and its name in ``rawdata/`` or ``products/``."""

    name: str
    stored: StoredFile


class PlannedBlock(_Frozen):
    """An execution block to restore: its raw file, and the names of its products."""

    uid: EntityId
    session: str
    raw: PlannedFile
    flags: str
    commands: str
    caltables: str
    reference: str | None

    def block(self) -> Block:
        """Return it as an executor wants it."""
        name = self.uid.file_form
        return Block(
            self.uid, name, f"{name}.ms", self.session, self.flags, self.commands, self.caltables, self.reference
        )


class Plan(_Frozen):
    """Everything that a restore will do.

    Parameters
    ----------
    observation
        What the archive's tables say of it.
    casa, calibrated_with
        The CASA that restores, and the one that calibrated.
    procedure
        What the PPR asks for.
    blocks
        The execution blocks, by session.
    products
        The calibration products, each once.
    caveats
        What the user of the result should know already now.
    """

    observation: ObservingUnitSet
    casa: Casa
    calibrated_with: str
    procedure: Procedure
    blocks: tuple[PlannedBlock, ...]
    products: tuple[PlannedFile, ...]
    caveats: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[PlannedFile, ...]:
        """Every file to fetch."""
        return tuple(block.raw for block in self.blocks) + self.products

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stored.size for file in self.files)

    @property
    def space(self) -> int:
        """Bytes that it writes: stored and unpacked files, measurement sets with two data columns, and images."""
        return self.size * (_SPACE_FACTOR_OF_IMAGING if self.procedure.exports else _SPACE_FACTOR)

    @property
    def recipe(self) -> str:
        """What does the work: our own recipe, or the pipeline's."""
        return RECIPE if self.casa.executor == "casatasks" else f"pipeline of CASA {self.casa.version}"

    @property
    def key(self) -> str:
        """Hash of all that decides the result: the same key makes the same bytes."""
        decisive = self.model_dump(mode="json", include={"casa", "procedure", "blocks", "products"})
        for file in (*decisive["products"], *(block["raw"] for block in decisive["blocks"])):
            del file["stored"]["server"]
        text = json.dumps([self.observation.mous, self.recipe, decisive], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def covers(self) -> tuple[str, ...]:
        """Keys of the plans whose results are all among those of this one: images come of a restore."""
        return (self.model_copy(update={"procedure": RESTORE}).key,) if self.procedure == IMAGE else ()

    def relative_path(self, stamp: datetime) -> str:
        """Return the RelativePath of an attempt that is begun at `stamp`."""
        return self.request(stamp, "Undefined", "Undefined").data_set.relative_path

    def request(self, stamp: datetime, site: str, operator: str) -> Ppr:
        """Compose the PPR of an attempt that was begun at `stamp`."""
        return compose(
            self.observation,
            self.procedure,
            stamp=stamp,
            site=site,
            operator=operator,
            execution_blocks=[block.uid for block in self.blocks],
        )


def read_manifest(
    observation: ObservingUnitSet, client: NgasClient, fetch: Callable[[StoredFile], bytes]
) -> tuple[PlannedFile, Manifest]:
    """Find, fetch and read the pipeline manifest of an observation's calibration.

    Raises
    ------
    Missing
        The archive lists none.
    Refused
        It lists several, or it cannot be read.
    """
    found = [file for file in _by_name(observation.products).values() if _is_manifest(file, observation.mous)]
    if len(found) != 1:
        names = ", ".join(file.file_id for file in found)
        kind = Refused if found else Missing
        raise kind(
            f"the pipeline manifest of {observation.mous}",
            f"the archive lists several: {names}" if found else "the archive lists none",
            "ask the archive's staff which calibration is the valid one",
        )
    stored = client.describe(found[0].file_id, expected_size=found[0].size)
    return PlannedFile(name=_plain(stored.file_id), stored=stored), manifests.read(fetch(stored))


def make_plan(
    observation: ObservingUnitSet,
    manifest: Manifest,
    manifest_file: PlannedFile,
    client: NgasClient,
    casa: Casa,
    procedure: Procedure = RESTORE,
) -> Plan:
    """Plan a restore from the archive's tables and the calibration's manifest.

    Raises
    ------
    Refused
        The calibration and the archive disagree on a session, or CASA is too old.
    Missing
        A file that is needed is not in the archive.
    """
    caveats = require_restorable_with(casa.version, manifest.casa_version)
    pairs = tuple(_matched(observation, manifest))
    raws = _raw_files(observation, pairs)
    finder = _Finder((*observation.products, *raws.values()), client)
    wanted = sorted({_plain(name) for session, block in pairs for name in _names(session, block)})
    references = [name for _, block in pairs if finder.lists(name := _reference(block))]
    finder.describe(*(raw.file_id for raw in raws.values()), *wanted, *references, *finder.extras())
    blocks = tuple(_planned(block, session, raws, finder) for session, block in pairs)
    _require_sessions(observation, blocks)
    extras, absent = finder.those_there(finder.extras())
    products = (manifest_file, *(finder.file(name) for name in (*wanted, *references)), *extras)
    return Plan(
        observation=observation,
        casa=casa,
        calibrated_with=manifest.casa_version,
        procedure=procedure,
        blocks=blocks,
        products=products,
        caveats=caveats + absent + _unused(observation, blocks) + _unchecked(products, blocks),
    )


class _Finder:
    """Find files by the names that the manifest gives them, with and without ``member.``; with it comes first."""

    def __init__(self, listed: Iterable[ArchiveFile], client: NgasClient) -> None:
        self._listed = _by_name(listed)
        self._client = client
        self._known: dict[str, StoredFile | Missing] = {}

    def lists(self, name: str) -> bool:
        """Tell whether the archive's tables list a file."""
        return name in self._listed

    def extras(self) -> list[str]:
        """Return the products that are delivered along."""
        return sorted(name for name in self._listed if name.endswith(_EXTRAS) and _SAFE_NAME.fullmatch(name))

    def describe(self, *names: str) -> None:
        """Ask NGAS about many files at once; one that is missing is told of when it is used."""
        with ThreadPoolExecutor(8) as pool:
            plain = [_plain(name) for name in names]
            self._known.update(zip(plain, pool.map(self._described, plain), strict=True))

    def file(self, name: str) -> PlannedFile:
        """Return a file as planned, under the name that the manifest gives it.

        Raises
        ------
        Missing
            NGAS does not have it.
        """
        stored = self._known[_plain(name)]
        if isinstance(stored, Missing):
            raise stored
        return PlannedFile(name=_plain(name), stored=stored)

    def those_there(self, names: Iterable[str]) -> tuple[list[PlannedFile], tuple[str, ...]]:
        """Return the files that NGAS has, and a caveat for each that it has not."""
        known = {name: self._known[name] for name in names}
        return (
            [self.file(name) for name, stored in known.items() if not isinstance(stored, Missing)],
            tuple(f"{name} is listed but not archived" for name, s in known.items() if isinstance(s, Missing)),
        )

    def _described(self, name: str) -> StoredFile | Missing:
        try:
            if listed := self._listed.get(name):
                return self._client.describe(listed.file_id, expected_size=listed.size)
            return self._unlisted(name)
        except Missing as error:
            return error

    def _unlisted(self, name: str) -> StoredFile:
        try:
            return self._client.describe(f"{_PREFIX}{name}")
        except Missing:
            return self._client.describe(name)


def _matched(observation: ObservingUnitSet, manifest: Manifest) -> Iterable[tuple[ManifestSession, ManifestBlock]]:
    """Pair the manifest's execution blocks with their sessions, in the archive's order."""
    calibrated = {
        PurePath(block.vis).stem: (session, block)
        for session in manifest.sessions
        for block in session.execution_blocks
    }
    known = [block.uid.file_form for block in observation.execution_blocks]
    if unknown := sorted(set(calibrated) - set(known)):
        raise Missing(
            f"raw data of {', '.join(unknown)}",
            f"they are calibrated, but the archive's tables do not list them under {observation.mous}",
            "ask the archive's staff",
        )
    if not calibrated:
        raise Refused(f"the calibration of {observation.mous}", "its manifest names no execution block")
    return [calibrated[name] for name in known if name in calibrated]


def _raw_files(
    observation: ObservingUnitSet, pairs: tuple[tuple[ManifestSession, ManifestBlock], ...]
) -> dict[str, ArchiveFile]:
    raws = {block.uid.file_form: block.raw for block in observation.execution_blocks}
    return {name: raws[name] for name in (PurePath(block.vis).stem for _, block in pairs)}


def _names(session: ManifestSession, block: ManifestBlock) -> tuple[str, str, str]:
    return block.final_flags, block.apply_commands, session.caltables


def _reference(block: ManifestBlock) -> str:
    return f"{block.vis}.reference.json"


def _planned(
    block: ManifestBlock, session: ManifestSession, raws: Mapping[str, ArchiveFile], finder: _Finder
) -> PlannedBlock:
    name = PurePath(block.vis).stem
    return PlannedBlock(
        uid=EntityId.parse(name),
        session=session.name,
        raw=finder.file(raws[name].file_id).model_copy(update={"name": name}),
        flags=_plain(block.final_flags),
        commands=_plain(block.apply_commands),
        caltables=_plain(session.caltables),
        reference=_reference(block) if finder.lists(_reference(block)) else None,
    )


def _require_sessions(observation: ObservingUnitSet, blocks: tuple[PlannedBlock, ...]) -> None:
    """Refuse where PPR and manifest would give an execution block the tables of different sessions."""
    by_block = {
        uid: f"session_{session.number}" for session in observation.sessions for uid in session.execution_blocks
    }
    for block in blocks:
        if by_block.get(block.uid) != block.session:
            raise Refused(
                f"execution block {block.uid}",
                f"it is in {by_block.get(block.uid, 'no session')} of the status XML, but in {block.session} "
                "of the calibration's manifest",
                "ask the archive's staff; a restore would apply the tables of the wrong session",
            )


def _unused(observation: ObservingUnitSet, blocks: tuple[PlannedBlock, ...]) -> tuple[str, ...]:
    used = {block.uid for block in blocks}
    return tuple(
        f"execution block {block.uid} is not part of the calibration and was left out"
        for block in observation.execution_blocks
        if block.uid not in used
    )


def _unchecked(products: tuple[PlannedFile, ...], blocks: tuple[PlannedBlock, ...]) -> tuple[str, ...]:
    files = (*(block.raw for block in blocks), *products)
    return tuple(
        f"the archive keeps no checksum of {file.stored.file_id}: only its size was checked"
        for file in files
        if file.stored.checksum is None
    )


def _by_name(files: Iterable[ArchiveFile]) -> dict[str, ArchiveFile]:
    """Key files by the names that the pipeline gave; of two, that with ``member.`` is delivered."""
    delivered_last = sorted(files, key=lambda file: (file.file_id.startswith(_PREFIX), file.file_id))
    return {_name(file.file_id): file for file in delivered_last}


def _name(file_id: str) -> str:
    return file_id.removeprefix(_PREFIX)


def _plain(name: str) -> str:
    plain = _name(name)
    if not _SAFE_NAME.fullmatch(plain):
        raise Refused(
            f"product name {name!r}", "it cannot be the name of a file", "have the product archived anew"
        )
    return plain


def _is_manifest(file: ArchiveFile, mous: EntityId) -> bool:
    name = _name(file.file_id)
    return name.startswith(f"{mous.file_form}.") and name.endswith("pipeline_manifest.xml")
