#!/bin/sh
# Like start.sh, for a job without a container: it also writes down the exit code, which otherwise only the
# launching process would learn. `sh local_start.sh EXIT_FILE START_SCRIPT ENVIRONMENT_FILE COMMAND…`
exit_file=$1
shift
trap : INT TERM HUP
sh "$@"
code=$?
echo "$code" >"$exit_file.new"
mv "$exit_file.new" "$exit_file"
