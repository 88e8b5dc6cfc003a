"""What a job says of itself in its ClassAd, so that ``condor_q`` reads well and no job is taken for another.

All of it is seen by everybody who may ask the pool: names and numbers, never a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from tasks import kin

__all__ = ["Owner", "Tag", "literal", "own", "spelled"]


_KINDS: Final = {"pid": int, "born": int}
"""What is no text."""


@dataclass(frozen=True)
class Owner:
    """The process that a job works for, known beyond its number; see `tasks.kin`."""

    host: str
    machine: str
    pid: int
    born: int

    @property
    def is_gone(self) -> bool:
        """Whether it is known to have ended; False also where that cannot be seen from here."""
        return kin.is_gone(self.machine, self.pid, self.born)

    @property
    def text(self) -> str:
        """All of it in one line, which `read` understands."""
        return "/".join(str(value) for value in asdict(self).values())

    @classmethod
    def read(cls, text: str) -> Owner:
        """Return the owner of which this is the text.

        Raises
        ------
        ValueError
            It is no such text.
        """
        host, machine, pid, born = text.split("/")
        return cls(host, machine, int(pid), int(born))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class Tag:
    """Whose a job is.

    Parameters
    ----------
    profile, project, observation
        The environment, and on what it works; project and observation may be empty.
    flow, stage
        Names, as in ``restore-ous`` and ``gather``.
    flow_run
        Prefect's id of the flow's run.
    crew
        An id of the stage's own workers, unlike any other's.
    owner
        The flow's process.
    """

    profile: str
    project: str
    observation: str
    flow: str
    stage: str
    flow_run: str
    crew: str
    owner: Owner

    def attributes(self) -> dict[str, str]:
        """Return the ClassAd attributes that `of` reads, as a submit description has them."""
        flat = asdict(self) | {f"owner_{name}": value for name, value in asdict(self.owner).items()}
        del flat["owner"]
        return {_attribute(name): spelled(value) for name, value in flat.items()}

    @classmethod
    def of(cls, ad: Mapping[str, Any]) -> Tag | None:
        """Return the tag in a job's ClassAd, None for a job that is none of ours; anybody may write into an ad."""
        names = [field.name for field in fields(cls) if field.name != "owner"]
        said: dict[str, Any] = {name: ad.get(_attribute(name)) for name in names}
        owner: dict[str, Any] = {field.name: ad.get(_attribute(f"owner_{field.name}")) for field in fields(Owner)}
        are_right = (isinstance(value, _KINDS.get(name, str)) for name, value in {**said, **owner}.items())
        return cls(**said, owner=Owner(**owner)) if all(are_right) else None

    @staticmethod
    def constraint(**values: str) -> str:
        """Return the ClassAd expression that is true for jobs with these values, as in ``crew="…"``."""
        return " && ".join(f"{_attribute(name)} =?= {literal(value)}" for name, value in values.items())


def literal(value: str | int) -> str:
    """Write a value as ClassAd literal; control characters, which none of ours needs, become spaces."""
    return str(value) if isinstance(value, int) else _quoted(value.replace("\\", "\\\\"))


def spelled(value: str | int) -> str:
    """Write a value as a submit description has it: there a backslash is itself, and a dollar begins a macro."""
    return str(value) if isinstance(value, int) else _quoted(value).replace("$", "$(DOLLAR)")


def _quoted(text: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in text)
    return '"' + plain.replace('"', '\\"') + '"'


def own(host: str, pid: int) -> Owner:
    """Return a process of this host as owner of jobs."""
    return Owner(host, kin.machine(), pid, kin.born(pid) or 0)


def _attribute(name: str) -> str:
    return "PPI" + "".join(part.capitalize() for part in name.split("_"))
