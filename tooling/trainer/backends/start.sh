#!/bin/sh
# Run by sh as the parent of a job's command: `sh start.sh RESULT_FILE ENVIRONMENT_FILE COMMAND…`.
# Secrets come in a file, so no argument vector and no `docker inspect` shows them; it is gone before the
# command starts. Both output streams become one, so their lines keep their order.
# What the project or its image says of threads stays as it is; see docs/determinism.md.
# RESULT_FILE appears when the command has ended, and only then: its exit code, and the signal that the whole
# job was sent, if there was one. A job that ends without it was cut off.
exec 2>&1
set -a
# shellcheck disable=SC1090 # a file of this run alone
. "$2"
set +a
rm -f "$2"
# The whole cores of the smallest quota of time that this process is under, if that is less than it may run on.
# Frameworks count the latter, and threads that have to share what they get wait for each other.
trainer_quota() (
  cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc) || exit 0
  least=$cores
  while IFS=: read -r _ controllers group; do
    case ",$controllers," in
      ,,) root=/sys/fs/cgroup ;;
      *,cpu,*) root=/sys/fs/cgroup/cpu ;;
      *) continue ;;
    esac
    while :; do # In a container the path may be the host's: then only the last, the mounted one, is there.
      quota=max
      period=100000
      if [ -r "$root$group/cpu.max" ]; then
        read -r quota period <"$root$group/cpu.max"
      elif [ -r "$root$group/cpu.cfs_quota_us" ]; then
        read -r quota <"$root$group/cpu.cfs_quota_us"
        read -r period <"$root$group/cpu.cfs_period_us"
      fi
      case $quota in
        max | -1) ;;
        *) whole=$(((quota + period - 1) / period)) && [ "$whole" -lt "$least" ] && least=$whole ;;
      esac
      [ -n "${group%/}" ] || break
      group=${group%/*}
    done
  done </proc/self/cgroup
  [ "$least" -ge "$cores" ] || echo "$least"
)
# What it is given of its own (--cpus N) is known; an OpenMP of its own counts the machine's, as OpenBLAS may.
if trainer_cores=${TRAINER_CPUS:-$(trainer_quota 2>/dev/null)} && [ -n "$trainer_cores" ]; then
  export OMP_NUM_THREADS="${OMP_NUM_THREADS-$trainer_cores}"
  export TF_NUM_INTRAOP_THREADS="${TF_NUM_INTRAOP_THREADS-$trainer_cores}"
  export TF_NUM_INTEROP_THREADS="${TF_NUM_INTEROP_THREADS-$trainer_cores}"
fi
# Otherwise OpenMP's threads spin where they wait for each other, and take the core from the one that is waited for.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY-PASSIVE}"
# Where trainkit says how far the run is: between the lines of its output, and of nothing else.
TRAINER_OUTPUT=$(stat -Lc %d:%i "/proc/$$/fd/1" 2>/dev/null) && export TRAINER_OUTPUT
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
  # No path has `//` in it: so each line that begins a file is known, whatever line breaks names have.
  find .//. -xdev -name __pycache__ -prune -o -type f -mtime -18000 -exec stat -c '%s %n' {} + \
    >"$trainer_result.files" 2>/dev/null
fi
exit "$trainer_code"
