#!/bin/sh
# Make the run @name@ (@id@) again, with Docker alone, and compare its metrics.
# What it writes is in a folder of its own below out/. Exit code: 0 where the metrics agree, 1 where they do not.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
base=${BASE_IMAGE:-@base@}
@secrets@
if ! docker image inspect @image@ >/dev/null 2>&1; then
@build@
fi
@check@
out=$here/out/$(date +%Y%m%d-%H%M%S)
mkdir -p "$out/code" "$out/home" "$out/cache"
docker run --rm --init --user "$(id -u):$(id -g)" --cap-drop ALL --security-opt no-new-privileges \
@options@
  --workdir /out/code @image@ sh -c 'cp -R /source/. . && exec "$@"' sh \
  @command@
docker run --rm --user "$(id -u):$(id -g)" -v "$out:/out:ro" -v "$here:/export:ro" @image@ \
  python /export/compare.py /out/mlruns /export/metrics.json
