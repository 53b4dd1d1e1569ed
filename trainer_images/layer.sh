#!/bin/sh
# Makes the layer of a step come out the same in every build, bit for bit. A step of the Dockerfile that writes to the
# image mounts this script and calls it twice: `sh layer.sh begin` first, `sh layer.sh end` last. What was written
# between the two is cleaned up and compiled, and then gets one and the same time. Not for use outside of a build.
set -eu
: "${SOURCE_DATE_EPOCH:?}"
mark=/dev/shm/begin # in memory, and so in no layer

clean_up() {
  # What nothing imports, and what only a compiler reads, where there is none.
  find lib -type d -name tests -newer "$mark" -prune -exec rm -r {} +
  command -v cc >/dev/null || rm -rf lib/python*/site-packages/*/include
}

compile() {
  # Once, instead of at every start of a run: 10 s against 3 s each time. Python is not to compare byte code with its
  # source, whose time or content it would have to read: nothing changes in an image. With -S no package writes byte
  # code of its own as Python starts. A file that is no valid Python stays as it is.
  find lib -name '*.py' -newer "$mark" -print0 |
    xargs -0 -r -n 250 -P "$(nproc)" \
      bin/python -S -m compileall -qq --invalidation-mode unchecked-hash || true
}

set_times() {
  # Of all but what the engine mounts.
  find / \( -path /dev -o -path /proc -o -path /sys -o -path '/mnt/*' -o -path /etc/hosts -o -path /etc/resolv.conf \) \
    -prune -o -newer "$mark" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
}

case ${1-} in
begin)
  touch -d '10 seconds ago' "$mark" # before the engine made the mounts, which writes to /etc and /mnt
  ;;
end)
  test -e "$mark"
  if [ -d /opt/trainer ]; then
    cd /opt/trainer
    clean_up
    compile
  fi
  set_times
  ;;
*)
  echo "usage: sh layer.sh begin|end" >&2
  exit 2
  ;;
esac
