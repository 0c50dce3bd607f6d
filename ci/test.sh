#!/usr/bin/env bash
# The test command: installs what the tests need and is missing, then checks and runs everything.
#
# As root on Debian nothing else is asked of the machine but Rust. Elsewhere the programs have to be in PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The programs the build and the tests start, each with the Debian packages it comes from.
programs=(cc nginx redis-server prometheus promtool prometheus-alertmanager etcd dnsmasq dig openssl curl sqlite3 prometheus-redis-exporter victoria-metrics prometheus-postgres-exporter prometheus-node-exporter prometheus-blackbox-exporter postgres docker iptables tc setpriv python psql pgbench chromium)
declare -A packages=(
  [cc]="gcc libc6-dev"
  [nginx]="nginx"
  [redis-server]="redis-server"
  [prometheus]="prometheus"
  [prometheus-alertmanager]="prometheus-alertmanager"
  [prometheus-redis-exporter]="prometheus-redis-exporter"
  [prometheus-postgres-exporter]="prometheus-postgres-exporter"
  [prometheus-node-exporter]="prometheus-node-exporter"
  [prometheus-blackbox-exporter]="prometheus-blackbox-exporter"
  [postgres]="postgresql"
  [etcd]="etcd-server"
  [dnsmasq]="dnsmasq-base"
  [dig]="bind9-dnsutils"
  [openssl]="openssl"
  [curl]="curl"
  [sqlite3]="sqlite3"
  [promtool]="prometheus"
  [victoria-metrics]="victoria-metrics"
  [docker]="docker.io"
  [iptables]="iptables"
  [tc]="iproute2"
  [setpriv]="util-linux"
  [python]="python-is-python3"
  [psql]="postgresql-client"
  [pgbench]="postgresql"
  [chromium]="chromium"
)
# Those of them that Debian would run as a service of the same name.
services=(nginx redis-server prometheus prometheus-alertmanager prometheus-redis-exporter etcd victoria-metrics prometheus-postgres-exporter prometheus-node-exporter prometheus-blackbox-exporter postgresql docker)

policy=/usr/sbin/policy-rc.d

say() { printf 'test.sh: %s\n' "$*"; }

die() {
  printf 'test.sh: %s\n' "$@" >&2
  exit 1
}

has() { command -v "$1" >/dev/null; }

main() {
  # Where rustup puts cargo, and Debian nginx, and a user's PATH may not look.
  export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/local/sbin:/usr/sbin:/sbin"
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/firedrill/target}"

  has cargo || die "\`cargo\` is not in PATH" "install Rust 1.88 or later with rustup: https://rustup.rs"
  add_postgres
  install_missing
  bash ci/check.sh
  start_engine
  bash ci/images.sh
  run_tests
}

install_missing() {
  local program missing=()
  for program in "${programs[@]}"; do
    has "$program" || missing+=("$program")
  done
  ((${#missing[@]})) || return 0

  if ((EUID != 0)) || [[ ! -e /etc/debian_version ]] || ! has apt-get; then
    die "not in PATH: ${missing[*]}" "install them, or run this as root on Debian, where it installs them itself"
  fi

  forbid_services
  trap allow_services EXIT
  apt_get update
  for program in "${missing[@]}"; do
    say "installing \`$program\` from Debian's ${packages[$program]}"
    # shellcheck disable=SC2086 # one word for each package
    apt_get install --no-install-recommends ${packages[$program]}
    add_postgres
    has "$program" || die "${packages[$program]} is installed, yet \`$program\` is not in PATH"
    leave_disabled "$program"
  done
  allow_services
  trap - EXIT
}

# Debian keeps what PostgreSQL's server is of apart, by version; and its service has another name.
add_postgres() {
  local folder
  for folder in /usr/lib/postgresql/*/bin; do
    [[ ! -d $folder ]] || PATH="$PATH:$folder"
  done
}

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >/dev/null ||
    die "\`apt-get $*\` failed, see above" "mend apt, or install these yourself: ${programs[*]}"
}

# A package must neither start its service nor restart one that was running: ports 80, 6379 and 9090 are not ours.
forbid_services() {
  # One of ours may be left over from a run that was killed; any other is the machine's own and comes back.
  if [[ -e $policy ]] && ! grep -q firedrill "$policy"; then
    mv "$policy" "$policy.aside"
  fi
  printf '#!/bin/sh\n# firedrill: no service starts while its tests install programs\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}

allow_services() {
  rm -f "$policy"
  if [[ -e $policy.aside ]]; then
    mv "$policy.aside" "$policy"
  fi
}

# What this script installed must not start with the next boot either.
leave_disabled() {
  [[ $1 != postgres ]] || set -- postgresql
  [[ " ${services[*]} " == *" $1 "* ]] || return 0
  if has systemctl; then
    systemctl --quiet disable "$1"
  elif has update-rc.d; then
    update-rc.d "$1" disable
  fi
}

# The container engine that answers, else one of our own, which ends with this script.
start_engine() {
  local log waited
  if timeout 20 docker version >/dev/null 2>&1; then
    return
  fi
  if [[ -n ${DOCKER_HOST:-} ]] || ((EUID != 0)) || ! has dockerd; then
    die "no container engine answers" "start one, or run this as root on Debian, where it starts one itself"
  fi
  log="$(mktemp /tmp/firedrill-dockerd.XXXXXX)"
  say "starting \`dockerd\`, its log is $log"
  dockerd >"$log" 2>&1 &
  engine=$!
  trap stop_engine EXIT
  for ((waited = 0; waited < 120; waited++)); do
    if timeout 20 docker version >/dev/null 2>&1; then
      return
    fi
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.5
  done
  die "\`dockerd\` does not come up; the end of its log:" "$(tail -n 20 "$log")"
}

stop_engine() {
  kill "$engine" 2>/dev/null || return 0
  wait "$engine" || true
}

# Everything, the tests marked `#[ignore = "needs …"]` too; the runner's closing lines come last.
run_tests() {
  if has cargo-nextest; then
    cargo nextest run --locked --profile ci --run-ignored all
  else
    say "cargo-nextest is not installed: running \`cargo test\`, with no limit on a test's time and no JUnit file"
    cargo test --locked --tests -- --include-ignored
  fi
}

main
