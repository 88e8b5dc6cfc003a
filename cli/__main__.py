"""``python -m cli`` is `ppi`."""

from cli.main import main

main()
