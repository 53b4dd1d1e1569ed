#!/usr/bin/env bash
# Set up a Docker engine with BuildKit and Compose on a Debian machine (12 or 13) that has none, and a base image
# for trainer images. What is there already stays as it is.
#
#   sudo tooling/docker_engine.sh            install if missing, start if stopped
#   tooling/docker_engine.sh --check         say what is there; change nothing
#
# Prints one line on standard output, the base image to build on, for
#
#   export TRAINER_BASE_IMAGE="$(sudo tooling/docker_engine.sh)"
#
# It is python:3.11-slim-bookworm, or, where no image registry can be reached, trainer-base:bookworm, which is
# then made here from Debian's own packages.
set -euo pipefail

REGISTRY_IMAGE=python:3.11-slim-bookworm
OWN_IMAGE=trainer-base:bookworm
CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
LOG=/var/log/dockerd-by-hand.log
START_S=60

say() { printf 'docker_engine: %s\n' "$*" >&2; }
fail() { say "$1"; say "$2"; exit 1; }
answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
has_image() { docker image inspect "$1" >/dev/null 2>&1; }
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >/dev/null; }
mirror() { awk '/^(URIs:|deb )/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null; }

# Debian 12 has engine 20.10 and no buildx. The packages of Debian 13 run on it, except for runc, which needs a
# newer libc and therefore comes from 12.
use_packages_of_debian_13() {
  cat >/etc/apt/sources.list.d/trixie-docker.sources <<SOURCES
Types: deb
URIs: $(mirror)
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
  cat >/etc/apt/preferences.d/trixie-docker <<'PINS'
Package: *
Pin: release n=trixie
Pin-Priority: 1

Package: docker.io docker-cli docker-buildx docker-compose containerd
Pin: release n=trixie
Pin-Priority: 700
PINS
  apt update
}

install_engine() {
  command -v apt-get >/dev/null || fail "this is not Debian." "Install Docker as its own documentation says."
  say "installing the engine and buildx from Debian's packages"
  apt update
  apt-cache show docker-buildx >/dev/null 2>&1 || use_packages_of_debian_13
  apt install -y --no-install-recommends docker.io docker-cli docker-buildx containerd runc iptables
}

# Debian 12 has Compose 1, which is another program.
install_compose() {
  command -v apt-get >/dev/null || fail "docker has no compose." "Install it as Docker's own documentation says."
  say "installing docker compose from Debian's packages"
  apt update
  apt-cache policy docker-compose | grep -q 'Candidate: 2' || use_packages_of_debian_13
  apt install -y --no-install-recommends docker-compose
}

start_engine() {
  say "starting the engine"
  if [ -d /run/systemd/system ]; then
    systemctl start docker
  else
    rm -f /var/run/docker.pid
    setsid nohup dockerd >"$LOG" 2>&1 </dev/null &
  fi
  for _ in $(seq $((START_S * 2))); do answers && return; sleep 0.5; done
  fail "the engine did not answer within $START_S s." "See $LOG, or journalctl -u docker."
}

# minbase with Python and the machine's certificates: where a proxy signs for the package registries, what is
# built on the image has to trust it too.
make_own_image() {
  say "no image registry can be reached: making $OWN_IMAGE from Debian's packages"
  command -v mmdebstrap >/dev/null || apt install -y --no-install-recommends mmdebstrap
  local work; work=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder's name is meant as it is now
  trap "rm -rf '$work'" EXIT
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip \
    --customize-hook="cp $CA_BUNDLE \"\$1$CA_BUNDLE\"" bookworm "$work/base.tar" "$(mirror)" >&2
  docker import \
    --change "ENV PIP_CERT=$CA_BUNDLE SSL_CERT_FILE=$CA_BUNDLE REQUESTS_CA_BUNDLE=$CA_BUNDLE" \
    --change 'CMD ["python3"]' "$work/base.tar" "$OWN_IMAGE" >/dev/null
}

base_image() {
  for image in "$REGISTRY_IMAGE" "$OWN_IMAGE"; do has_image "$image" && echo "$image" && return; done
  return 1
}

case "${1:-}" in
  --check)
    answers || fail "no engine answers." "Run: sudo $0"
    docker buildx version >/dev/null 2>&1 || fail "docker has no buildx." "Run: sudo $0"
    docker compose version >/dev/null 2>&1 || fail "docker has no compose." "Run: sudo $0"
    base_image || fail "there is no base image." "Run: sudo $0"
    exit ;;
  "") ;;
  *) fail "unknown argument: $1" "Usage: $0 [--check]" ;;
esac

if ! answers || ! docker buildx version >/dev/null 2>&1; then
  [ "$(id -u)" = 0 ] || fail "setting up an engine takes root." "Run: sudo $0"
  if [ ! -x /usr/sbin/dockerd ] && [ ! -x /usr/bin/dockerd ] || ! docker buildx version >/dev/null 2>&1; then
    install_engine
  fi
  answers || start_engine
fi
if ! docker compose version >/dev/null 2>&1; then
  [ "$(id -u)" = 0 ] || fail "setting up docker compose takes root." "Run: sudo $0"
  install_compose
fi
base_image >/dev/null || timeout 300 docker pull --quiet "$REGISTRY_IMAGE" >/dev/null 2>&1 || make_own_image
say "engine $(docker version --format '{{.Server.Version}}'), $(docker buildx version | cut -d' ' -f2)"
base_image
