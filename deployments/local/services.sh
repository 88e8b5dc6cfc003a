#!/bin/sh
# The services that the tests need and no package index has: installed from the system's packages where they are not.
set -eu
missing=
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v zsh >/dev/null 2>&1 || missing="$missing zsh"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$missing rabbitmq-server"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    # The names are words of this script's own, meant to be split.
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
    exit 0
fi
echo "The tests need these of your system's packages:$missing. Install them and run again." >&2
exit 1
