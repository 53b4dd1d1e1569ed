#!/bin/sh
# Run by sh as the first process of a job: `sh start.sh ENVIRONMENT_FILE COMMAND…`.
# Secrets come in a file, so no argument vector and no `docker inspect` shows them; it is gone before the
# command starts. Both output streams become one, so their lines keep their order.
set -a
# shellcheck disable=SC1090 # a file of this run alone
. "$1"
set +a
rm -f "$1"
shift
exec "$@" 2>&1
