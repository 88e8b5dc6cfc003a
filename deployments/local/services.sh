#!/bin/sh
# The services that the tests need and no package index has: installed from the system's packages where they are not.
set -eu
if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql >/dev/null
    exit 0
fi
echo "The tests need PostgreSQL (initdb); install your system's postgresql package and run again." >&2
exit 1
