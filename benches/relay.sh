#!/usr/bin/env bash
# What firedrill's relay costs where no fault is in, against haproxy and nginx's stream proxy on the same work.
#
# Method: one nginx as the origin; before it, one after another, `firedrill relay`, haproxy (mode tcp, one thread) and
# nginx (stream, one process), each held to one core of the machine. wrk does the same three works through each:
# small answers on kept connections, a connection for each answer, and large answers. What counts is the processor
# time that the proxy itself used (from /proc) for each request, connection and gibibyte: other load on the machine
# moves that far less than it moves rates. ROUNDS rounds in turn; of each figure the median. Latency through each, and
# straight to the origin, is of one connection. Last, what a fault of 100 ms does to answers, at p50 and p99, on a
# stack held by `firedrill up`.
#
# needs nginx with its stream module, haproxy and wrk: apt-get install nginx libnginx-mod-stream haproxy wrk
#
# usage: benches/relay.sh [FIREDRILL]          ROUNDS=5 SECONDS_EACH=4 CORE=0
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PATH="$PATH:/usr/sbin:/sbin"

firedrill="$(realpath "${1:-${CARGO_TARGET_DIR:-$here/target}/release/firedrill}")"
rounds="${ROUNDS:-5}" each="${SECONDS_EACH:-4}" core="${CORE:-0}"
folder="$(mktemp -d /tmp/firedrill-bench.XXXXXX)"
ticks="$(getconf CLK_TCK)"
started=()
# Ports below those of outgoing connections.
origin=$((20000 + RANDOM % 5000)) relay=$((origin + 1)) haproxy=$((origin + 2)) stream=$((origin + 3))

finish() {
  ((${#started[@]} == 0)) || kill "${started[@]}" 2>/dev/null || true
  wait || true
  rm -rf "$folder"
}
trap finish EXIT

die() {
  printf 'relay.sh: %s\n' "$@" >&2
  exit 1
}

main() {
  local program
  for program in nginx haproxy wrk taskset; do
    command -v "$program" >/dev/null || die "\`$program\` is not in PATH"
  done
  start_all
  local round proxy
  for ((round = 0; round < rounds; round++)); do
    for proxy in relay haproxy stream; do
      work "$proxy"
    done
  done
  report
  injected
}

start_all() {
  mkdir "$folder/www"
  head -c 1024 /dev/zero >"$folder/www/small"
  head -c $((16 << 20)) /dev/zero >"$folder/www/large"
  nginx_conf "$folder/origin.conf" "http { access_log off; keepalive_requests 1000000000; sendfile on;
    server { listen 127.0.0.1:$origin backlog=4096; root $folder/www; } }"
  run origin nginx -e stderr -p "$folder" -c "$folder/origin.conf"
  nginx_conf "$folder/stream.conf" "stream { server { listen 127.0.0.1:$stream backlog=4096;
    proxy_pass 127.0.0.1:$origin; } }"
  cat >"$folder/haproxy.cfg" <<END
global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen relay
  bind 127.0.0.1:$haproxy
  server origin 127.0.0.1:$origin
END
  run relay taskset -c "$core" "$firedrill" relay --listen "127.0.0.1:$relay" --to "127.0.0.1:$origin"
  run haproxy taskset -c "$core" haproxy -db -f "$folder/haproxy.cfg"
  run stream taskset -c "$core" nginx -e stderr -p "$folder" -c "$folder/stream.conf"
  local port tries
  for port in "$origin" "$relay" "$haproxy" "$stream"; do
    for ((tries = 0; tries < 100; tries++)); do
      ! (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null || continue 2
      sleep 0.1
    done
    die "nobody listens at port $port"
  done
}

nginx_conf() {
  printf 'daemon off; master_process off; worker_processes 1; pid %s.pid; error_log stderr crit;
    worker_rlimit_nofile 16384; events { worker_connections 8000; }\n%s\n' "$1" "$2" >"$1"
  if [[ $2 == stream* && -e /usr/lib/nginx/modules/ngx_stream_module.so ]]; then
    sed -i '1i load_module /usr/lib/nginx/modules/ngx_stream_module.so;' "$1"
  fi
}

# run NAME PROGRAM…: starts it, and keeps its number for `spent`.
run() {
  local name="$1"
  shift
  "$@" >"$folder/$name.log" 2>&1 &
  started+=("$!")
  declare -g "pid_$name=$!"
}

# The processor time that a proxy has used, in ticks.
spent() {
  local pid="pid_$1"
  sed 's/.*) //' "/proc/${!pid}/stat" | cut -d ' ' -f 12,13 | tr ' ' '+' | bc
}

work() {
  local proxy="$1" before
  local at="http://127.0.0.1:${!proxy}"
  before="$(spent "$proxy")"
  ask -c 32 "$at/small"
  note "$proxy" requests "$(per "$before" "$proxy" "$requests" 1000000)"
  note "$proxy" rate "$(bc <<<"$requests / $each")"
  before="$(spent "$proxy")"
  ask -c 32 -H 'Connection: close' "$at/small"
  note "$proxy" connections "$(per "$before" "$proxy" "$requests" 1000000)"
  before="$(spent "$proxy")"
  ask -c 4 "$at/large"
  note "$proxy" gibibytes "$(per "$before" "$proxy" "$(bc -l <<<"$requests * 16 / 1024")" 1)"
  note "$proxy" throughput "$(bc -l <<<"$requests * 16 / $each" | cut -d . -f 1)"
  ask -c 1 "$at/small"
  note "$proxy" latency "$median"
  ask -c 1 "http://127.0.0.1:$origin/small"
  note origin latency "$median"
}

# Has wrk ask, and reads how many answers came and the median of their latencies in microseconds.
ask() {
  local told
  told="$(wrk -t1 -d"${each}s" --latency "$@")"
  requests="$(awk '/requests in/ { print $1 }' <<<"$told")"
  median="$(awk '$1 == "50%" { time = $2 } END { print micros(time) }
    function micros(text) { return text ~ /us$/ ? text + 0 : text ~ /ms$/ ? text * 1000 : text * 1000000 }' <<<"$told")"
  p99="$(awk '$1 == "99%" { print $2 }' <<<"$told")" p50="$(awk '$1 == "50%" { print $2 }' <<<"$told")"
  ((requests > 0)) || die "nothing was answered:" "$told"
}

# per BEFORE PROXY COUNT SCALE: processor time since then for each of so many.
per() {
  bc -l <<<"scale=3; ($(spent "$2") - $1) / $ticks * $4 / $3"
}

note() { printf '%s\n' "$3" >>"$folder/$1.$2"; }

middle() { sort -g "$folder/$1.$2" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

report() {
  local proxy what
  printf '%-10s %14s %14s %12s %12s %10s %12s\n' proxy 'us/request' 'us/connection' 's/GiB' 'requests/s' 'MiB/s' 'p50 us'
  for proxy in relay haproxy stream; do
    printf '%-10s' "$proxy"
    for what in requests connections gibibytes rate throughput latency; do
      printf ' %12s' "$(middle "$proxy" "$what")"
    done
    printf '\n'
  done
  printf 'straight to the origin: p50 %s us\n' "$(middle origin latency)"
  for proxy in haproxy stream; do
    printf 'relay to %s:' "$proxy"
    for what in requests connections gibibytes; do
      printf ' %s %.2f' "$what" "$(bc -l <<<"$(middle relay "$what") / $(middle "$proxy" "$what")")"
    done
    printf '\n'
  done
}

# What 100 ms of latency do to answers.
injected() {
  local stack web
  export TMPDIR="$folder"
  "$firedrill" up --runtime processes "$here/fixtures/resilience/alone.yaml" >"$folder/up" 2>/dev/null &
  started+=("$!")
  for ((tries = 0; tries < 100; tries++)); do
    grep -q Ctrl-C "$folder/up" && break
    sleep 0.1
  done
  stack="$(head -n 1 "$folder/up" | awk '{ print $NF }')"
  web="$(grep -o 'http://127[^ ]*' "$folder/up" | head -n 1)"
  "$firedrill" fault add web latency=100ms --stack "$stack" >/dev/null
  ask -c 8 "$web/who"
  printf 'latency=100ms: answers at p50 %s, p99 %s\n' "$p50" "$p99"
}

main
