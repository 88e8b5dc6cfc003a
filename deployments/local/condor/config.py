"""The configuration of a private pool: loopback alone, ports as they come, its owner alone, and everything fast.

Its nodes are slots of this one machine, larger on purpose than it is: trials want many small jobs at once.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deployments.local.condor.install import Release, require_plain
from tasks import disk
from tasks.errors import Refused

__all__ = ["ACCOUNT", "DOMAIN", "Node", "Settings", "account", "config_file", "log_folder", "master_file", "write"]

_MEGABYTE, _KILOBYTE = 1 << 20, 1 << 10
_NAME: Final = re.compile(r"[A-Za-z]\w*")
DOMAIN: Final = "condor.test"
ACCOUNT: Final = "daemon"
"""Who we are to the pool when we are root, as which HTCondor never runs a job."""
_FOLDERS: Final = ("log", "run", "lock", "spool", "execute", "credentials", "tokens", "passwords")


@dataclass(frozen=True)
class Node:
    """A class of nodes: one slot that is divided among jobs.

    Parameters
    ----------
    name
        What jobs may ask for as ``TARGET.NodeClass == "name"``.
    cpus
        However many the machine has.
    memory, disk
        Bytes, as above.
    """

    name: str = "general"
    cpus: int = 8
    memory: int = 16 * 10**9
    disk: int = 100 * 10**9


@dataclass(frozen=True)
class Settings:
    """What a private pool is like.

    Parameters
    ----------
    nodes
        At least one.
    limits
        Of the negotiator, by the name that jobs give as concurrency limit.
    further
        More configuration, by the name of each setting; it counts over ours.
    """

    nodes: tuple[Node, ...] = (Node(),)
    limits: Mapping[str, float] = field(default_factory=dict)
    further: Mapping[str, str] = field(default_factory=dict)


def config_file(directory: Path) -> Path:
    """Return where the configuration of a pool is."""
    return directory / "condor_config"


def log_folder(directory: Path) -> Path:
    """Return where the logs of a pool's daemons are."""
    return directory / "log"


def master_file(directory: Path) -> Path:
    """Return where the number of a pool's first daemon is."""
    return directory / "run" / "master.pid"


def account() -> str:
    """Return who we are to the pool."""
    return ACCOUNT if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def write(directory: Path, release: Release, settings: Settings) -> None:
    """Write the configuration of a pool, and make its folders, for us alone.

    Raises
    ------
    Refused
        A path or a name cannot stand in HTCondor's configuration.
    """
    text = _text(directory, release, settings)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _FOLDERS:
        (directory / name).mkdir(mode=0o755 if name in ("spool", "execute") else 0o700, exist_ok=True)
    disk.write_whole(config_file(directory), text.encode())


def _text(directory: Path, release: Release, settings: Settings) -> str:
    for path in (directory, release.prefix):
        require_plain(path)
    lines = (_places(directory, release), _OWNER.format(own=f"{account()}@{DOMAIN}", ids=_ids()), _LOOPBACK)
    return "\n".join(
        (*lines, _nodes(settings.nodes), _FAST, _CONFINED, _limits(settings.limits), _further(settings))
    )


def _ids() -> str:
    return f"{os.geteuid()}.{os.getegid()}"


def _places(directory: Path, release: Release) -> str:
    return _PLACES.format(
        directory=directory,
        prefix=release.prefix,
        programs=release.programs,
        daemons=release.daemons,
        libraries=release.libraries,
        helpers=release.helpers,
    )


def _nodes(nodes: tuple[Node, ...]) -> str:
    """Write one divisible slot for each class; what of each is a node's is told in numbers, and not in parts."""
    slots = []
    for number, node in enumerate(nodes, 1):
        memory, disk_space = node.memory // _MEGABYTE, f"{100 * node.disk / sum(each.disk for each in nodes):.3f}%"
        slots += [
            f"NUM_SLOTS_TYPE_{number} = 1",
            f"SLOT_TYPE_{number} = cpus={node.cpus}, memory={memory}, disk={disk_space}",
            f"SLOT_TYPE_{number}_PARTITIONABLE = True",
            f'SLOT_TYPE_{number}_NodeClass = "{_named(node.name)}"',
        ]
    whole = (
        f"NUM_CPUS = {sum(node.cpus for node in nodes)}",
        f"MEMORY = {sum(node.memory // _MEGABYTE for node in nodes)}",
        f"DISK = {sum(node.disk for node in nodes) // _KILOBYTE}",
        "STARTD_ATTRS = $(STARTD_ATTRS) NodeClass",
    )
    return "\n".join((*whole, *slots, ""))


def _limits(limits: Mapping[str, float]) -> str:
    return "".join(f"{_named(name).upper()}_LIMIT = {value:g}\n" for name, value in limits.items())


def _further(settings: Settings) -> str:
    for name, value in settings.further.items():
        if "\n" in value:
            raise Refused(f"{name} in the pool's configuration", "its value has more than one line", "use one")
    return "".join(f"{_named(name)} = {value}\n" for name, value in settings.further.items())


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        why = "it is made of letters, digits and underscores, with a letter first"
        raise Refused(f"{name!r} as a name in the pool's configuration", why, "give another")
    return name


_PLACES: Final = """\
# A private HTCondor on loopback. Written by PPI at each of its starts.
RELEASE_DIR = {prefix}
BIN = {programs}
SBIN = {daemons}
LIB = {libraries}
LIBEXEC = {helpers}
SHARE = $(RELEASE_DIR)/share/condor
LOCAL_DIR = {directory}
ETC = $(LOCAL_DIR)
LOG = $(LOCAL_DIR)/log
RUN = $(LOCAL_DIR)/run
LOCK = $(LOCAL_DIR)/lock
SPOOL = $(LOCAL_DIR)/spool
EXECUTE = $(LOCAL_DIR)/execute
CRED_STORE_DIR = $(LOCAL_DIR)/credentials
SEC_TOKEN_DIRECTORY = $(LOCAL_DIR)/tokens
SEC_TOKEN_SYSTEM_DIRECTORY = $(LOCAL_DIR)/tokens
SEC_PASSWORD_DIRECTORY = $(LOCAL_DIR)/passwords
LOCAL_CONFIG_DIR =
LOCAL_CONFIG_FILE =
REQUIRE_LOCAL_CONFIG_FILE = False
STARTD_HISTORY = $(SPOOL)/startd_history
"""

_OWNER: Final = """\
# Its jobs run as its owner, whoever submits them: nobody else may.
CONDOR_IDS = {ids}
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = FS
SEC_DEFAULT_INTEGRITY = REQUIRED
SEC_DEFAULT_ENCRYPTION = OPTIONAL
COLLECTOR_BOOTSTRAP_SSL_CERTIFICATE = False
TRUST_DOMAIN = $(UID_DOMAIN)
ALLOW_READ = {own}
ALLOW_WRITE = {own}
ALLOW_DAEMON = {own}
ALLOW_NEGOTIATOR = {own}
ALLOW_ADMINISTRATOR = {own}
ALLOW_CONFIG = {own}
"""

_LOOPBACK: Final = f"""\
DAEMON_LIST = MASTER COLLECTOR NEGOTIATOR SCHEDD STARTD
CONDOR_HOST = 127.0.0.1
COLLECTOR_HOST = 127.0.0.1:0
NETWORK_INTERFACE = 127.0.0.1
NETWORK_HOSTNAME = localhost
BIND_ALL_INTERFACES = False
ENABLE_IPV6 = False
NO_DNS = True
DEFAULT_DOMAIN_NAME = localdomain
USE_SHARED_PORT = False
UID_DOMAIN = {DOMAIN}
FILESYSTEM_DOMAIN = {DOMAIN}
TRUST_UID_DOMAIN = True
CREATE_LOCKS_ON_LOCAL_DISK = False
"""

_FAST: Final = """\
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_CYCLE_DELAY = 1
NEGOTIATOR_MIN_INTERVAL = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 2
STARTER_UPDATE_INTERVAL = 2
STARTER_INITIAL_UPDATE_INTERVAL = 1
SHADOW_QUEUE_UPDATE_INTERVAL = 2
PID_SNAPSHOT_INTERVAL = 2
POLLING_INTERVAL = 1
PERIODIC_EXPR_INTERVAL = 2
MAX_PERIODIC_EXPR_INTERVAL = 5
JOB_START_DELAY = 0
JOB_DEFAULT_LEASE_DURATION = 60
RUNBENCHMARKS = 0
MASTER_UPDATE_INTERVAL = 5
MASTER_BACKOFF_CONSTANT = 1
MASTER_BACKOFF_CEILING = 2
SHUTDOWN_FAST_TIMEOUT = 5
SHUTDOWN_GRACEFUL_TIMEOUT = 10
"""

_CONFINED: Final = """\
# A job that holds more memory than it asked for is held. There are no cgroups to tell: sampling does.
START = True
SUSPEND = False
PREEMPT = False
KILL = False
WANT_SUSPEND = False
WANT_VACATE = False
RANK = 0
use POLICY : HOLD_IF_MEMORY_EXCEEDED
BASE_CGROUP =
CGROUP_MEMORY_LIMIT_POLICY = none
DISCARD_SESSION_KEYRING_ON_STARTUP = False
USE_PID_NAMESPACES = False
MOUNT_UNDER_SCRATCH =
ENABLE_KERNEL_TUNING = False
LINUX_KERNEL_TUNING_SCRIPT =
KERNEL_TUNING_LOGFILE =
ENABLE_SSH_TO_JOB = False
STARTD_ENFORCE_DISK_LIMITS = False
SINGULARITY =
DOCKER =
"""
