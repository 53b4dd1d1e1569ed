#!/bin/sh
# Run by sh as the parent of a job's command: `sh start.sh RESULT_FILE ENVIRONMENT_FILE COMMAND…`.
# Secrets come in a file, so no argument vector and no `docker inspect` shows them; it is gone before the
# command starts. Both output streams become one, so their lines keep their order.
# RESULT_FILE appears when the command has ended, and only then: its exit code, and the signal that the whole
# job was sent, if there was one. A job that ends without it was cut off.
exec 2>&1
set -a
# shellcheck disable=SC1090 # a file of this run alone
. "$2"
set +a
rm -f "$2"
trainer_result=$1
trainer_signal=
shift 2
# The command gets each of these too, as a member of the same process group; here they are only remembered.
trap 'trainer_signal=2' INT
trap 'trainer_signal=15' TERM
trap 'trainer_signal=1' HUP
[ -n "$trainer_signal" ] || "$@"
trainer_code=$?
echo "$trainer_code $trainer_signal" >"$trainer_result.new" && mv "$trainer_result.new" "$trainer_result"
# Where the folder is gone with the container: what the command wrote in it. The code itself is of 1970.
if [ -f "$trainer_result.files" ]; then
  find . -xdev -name __pycache__ -prune -o -type f -mtime -18000 -exec stat -c '%s %n' {} + \
    >"$trainer_result.files" 2>/dev/null
fi
exit "$trainer_code"
