"""Run the benchmarks: all, or those that are named."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks


def main(names: list[str]) -> None:
    """Run each benchmark's `main`."""
    modules = pkgutil.iter_modules(benchmarks.__path__)
    every = [module.name for module in modules if module.name.startswith("bench_")]
    wanted = [f"bench_{name}" for name in names] or every
    if unknown := sorted(set(wanted) - set(every)):
        known = ", ".join(name.removeprefix("bench_") for name in every)
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {known}")
    for name in wanted:
        importlib.import_module(f"benchmarks.{name}").main()


main(sys.argv[1:])
