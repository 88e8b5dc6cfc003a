"""dask-jobqueue without its grip on Ctrl-C: when it is imported it has SIGINT leave the process without a word.

What an interruption does is for the program to say. To be imported in the main thread first, since others may not
touch signals.
"""

from __future__ import annotations

import signal

__all__ = ["HTCondorJob", "quote_environment"]

_handler = signal.getsignal(signal.SIGINT)

from dask_jobqueue.htcondor import HTCondorJob, quote_environment  # noqa: E402

signal.signal(signal.SIGINT, _handler)
