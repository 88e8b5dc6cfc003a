"""Profiles as blocks on their own Prefect server: saved by `ppi deploy`, loaded by the runs of a worker.

A profile is one block with one block for each of its sections; all have the slug of the profile's name. Each
names the profile that it is of, and the profile's block, which is written last, has a digest of them all: blocks
that are mixed, edited by hand or half saved are found out, and not used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentCreate, BlockDocumentUpdate
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from pydantic import BaseModel, SecretStr, ValidationError

from blocks._kinds import PROFILE, Kind
from blocks.compare import differences
from blocks.errors import Problem, ProfileError
from blocks.keys import keys_of, shown
from blocks.names import checked, slug
from blocks.profile import Profile

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import BlockDocument

__all__ = ["Foreign", "load", "save", "slug"]

_NOT_SAVED = frozenset(key.name for key in keys_of(Profile) if not key.saved)


class Foreign(ProfileError):
    """The blocks under a profile's slug are another profile's."""


def load(name: str) -> Profile:
    """Return a profile from the blocks on the Prefect server that this process uses.

    Raises
    ------
    Foreign
        It is another one's.
    ProfileError
        It is not there, or cannot be used.
    httpx.HTTPError, httpx.InvalidURL
        The server does not answer, or not as it should.
    """
    with _server(checked(name)) as client:
        document = _find(client, PROFILE, slug(name))
        server = _address(client)
    if document is None:
        raise _wrong(name, f"there are none on the Prefect server {server}", f"ppi deploy {name}")
    _require_own(name, document)
    return _made(name, document.data)


def save(profile: Profile) -> None:
    """Write a profile's blocks to its own Prefect server: only what differs, the whole one's last.

    Raises
    ------
    Foreign
        Another profile's blocks are there under the same slug.
    ProfileError
        This process uses another server.
    httpx.HTTPError, httpx.InvalidURL
        The server does not answer, or not as it should.
    """
    with _server(profile.name) as client:
        _require_server(profile, _address(client))
        there = _find(client, PROFILE, slug(profile.name))
        if there is not None:
            _require_own(profile.name, there)
            if _is_saved(profile, there):
                return
        PROFILE.block.register_type_and_schema()
        _put(client, PROFILE, profile, profile)


@contextmanager
def _server(name: str) -> Iterator[SyncPrefectClient]:
    if not PREFECT_API_URL.value():
        reason = "this process has no Prefect server (PREFECT_API_URL)"
        raise _wrong(name, reason, f"set ppi.prefect.apiUrl, then: ppi deploy {name}")
    with get_client(sync_client=True) as client:
        yield client


def _address(client: SyncPrefectClient) -> str:
    return str(client.api_url).rstrip("/")


def _require_server(profile: Profile, used: str) -> None:
    own = profile.prefect.api_url
    if own and own.rstrip("/") != used:
        reason = f"this process uses the Prefect server {used}, and the profile's own is {own}"
        raise _wrong(profile.name, reason, f"ppi deploy {profile.name}")


def _find(client: SyncPrefectClient, kind: Kind, name: str) -> BlockDocument | None:
    try:
        return client.read_block_document_by_name(name, kind.slug, include_secrets=True)
    except ObjectNotFound:
        return None


def _require_own(name: str, document: BlockDocument) -> None:
    owner = document.data.get("name")
    if owner != name:
        address = f"{PROFILE.slug}/{document.name}"
        todo = f"give one of the two another name; only if '{owner}' is not in use, delete that block"
        problem = Problem("blocks", f"the block {address} holds the profile '{owner}', not '{name}'", todo)
        raise Foreign(name, (problem,))


def _is_saved(profile: Profile, document: BlockDocument) -> bool:
    try:
        return not differences(_made(profile.name, document.data), profile)
    except ProfileError:
        return False


def _made(name: str, data: dict[str, Any]) -> Profile:
    """Make a profile of its blocks' data, proving that they belong together."""
    _require_sections_of(name, PROFILE, data)
    made = _validated(name, _given(PROFILE, data))
    if data.get("digest") != _digest(made):
        reason = "they do not belong together: half saved, edited by hand, or saved by another version of PPI"
        raise _wrong(name, reason, f"ppi deploy {name}")
    return made


def _require_sections_of(name: str, kind: Kind, data: dict[str, Any]) -> None:
    for part, inner in kind.parts.items():
        section = data.get(part)
        if not isinstance(section, dict):
            raise _wrong(name, f"{inner.slug}/{slug(name)} is missing", f"ppi deploy {name}")
        if (owner := section.get("profile")) != name:
            reason = f"the block {inner.slug} that they refer to is of the profile '{owner}', not of '{name}'"
            raise _wrong(name, reason, f"ppi deploy {name}")
        _require_sections_of(name, inner, section)


def _given(kind: Kind, data: dict[str, Any]) -> dict[str, Any]:
    """Return the data as it is given to a profile: an empty value is as good as none."""
    values = {name: value for name, value in data.items() if value and name not in {"profile", "digest"}}
    return values | {name: _given(part, data[name]) for name, part in kind.parts.items()}


def _validated(name: str, values: dict[str, Any]) -> Profile:
    # Raised outside of the except clause: pydantic's error holds values.
    try:
        made = Profile.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
    else:
        made._left_out = _NOT_SAVED
        return made
    wrong = ((".".join(map(str, fault["loc"])), fault["type"], fault["msg"]) for fault in faults)
    raise ProfileError(name, tuple(_fault(name, *fault) for fault in wrong))


def _fault(name: str, field: str, kind: str, message: str) -> Problem:
    reason = "PPI of this installation has no such field" if kind == "extra_forbidden" else message
    return Problem(f"blocks, field {field}", reason, f"ppi deploy {name}")


def _put(client: SyncPrefectClient, kind: Kind, model: BaseModel, profile: Profile) -> UUID:
    """Write the blocks of a section's parts, then its own; return its id."""
    parts = {name: _put(client, part, getattr(model, name), profile) for name, part in kind.parts.items()}
    mark = {"digest": _digest(profile)} if kind is PROFILE else {"profile": profile.name}
    data = mark | {name: _plain(getattr(model, name)) for name in kind.values}
    there = _find(client, kind, slug(profile.name))
    if there is None:
        return _create(client, kind, slug(profile.name), data | _references(parts))
    if _held(there) != (kind.schema_id, data, parts):
        _replace(client, kind, there.id, data | _references(parts))
    return there.id


def _create(client: SyncPrefectClient, kind: Kind, name: str, data: dict[str, Any]) -> UUID:
    made = BlockDocumentCreate(name=name, data=data, block_schema_id=kind.schema_id, block_type_id=kind.type_id)
    return client.create_block_document(made).id


def _replace(client: SyncPrefectClient, kind: Kind, there: UUID, data: dict[str, Any]) -> None:
    made = BlockDocumentUpdate(data=data, block_schema_id=kind.schema_id, merge_existing_data=False)
    client.update_block_document(there, made)


def _held(document: BlockDocument) -> tuple[UUID | None, dict[str, Any], dict[str, UUID]]:
    """Return the schema of a block, its own values, and the ids of the blocks that it refers to."""
    references = document.block_document_references
    parts = {name: UUID(str(held["block_document"]["id"])) for name, held in references.items()}
    return document.block_schema_id, {k: v for k, v in document.data.items() if k not in parts}, parts


def _references(parts: dict[str, UUID]) -> dict[str, Any]:
    return {name: {"$ref": {"block_document_id": str(part)}} for name, part in parts.items()}


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else shown(value)


def _digest(profile: Profile) -> str:
    """Return a digest of all that is saved but secrets, of which it could tell something."""
    saved = (key for key in keys_of(Profile) if key.saved and not key.is_secret)
    values = {key.name: shown(key.value_in(profile)) for key in saved}
    return sha256(json.dumps([profile.name, values]).encode()).hexdigest()


def _wrong(name: str, reason: str, todo: str) -> ProfileError:
    return ProfileError(name, (Problem("blocks", reason, todo),))
