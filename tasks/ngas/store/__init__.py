"""Files that were fetched once, kept for every environment of a site.

One archive serves all environments, so nothing should cross the wire twice. A file is kept by its id, version
and checksum, read-only, with a record beside it that is written last: what the record does not vouch for is
proven again or fetched anew, never served. Whoever fetches a file has its lease; the others, on whatever host,
wait and then find it there. Of one who dies the next takes up what it left. The tree of folders is the truth; all
else is derived from it.
"""

from __future__ import annotations

from tasks.ngas.store.prune import Kept, Pruned, Reason, Removed
from tasks.ngas.store.status import Standing
from tasks.ngas.store.store import Held, Store
from tasks.ngas.store.verify import STAGE, Bad, Verified

__all__ = ["STAGE", "Bad", "Held", "Kept", "Pruned", "Reason", "Removed", "Standing", "Store", "Verified"]
