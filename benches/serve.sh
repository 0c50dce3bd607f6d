#!/usr/bin/env bash
# What a target costs `firedrill serve`, and what it costs blackbox_exporter driven by Prometheus: the same targets, the
# same period, one after the other on the same machine.
#
#   benches/serve.sh [TARGETS=2000] [PERIOD=15] [MINUTES=5]
#
# Method. nginx answers `GET /` on TARGETS ports' worth of paths with two bytes, so that targets cost next to nothing and
# cost both sides alike. Each side is started alone, is left to itself for a whole minute, and is then measured for MINUTES:
#   - CPU per probe: processor time that the side's processes used, by /proc, over the probes that it counts itself. For
#     blackbox_exporter that is the exporter's time and Prometheus's: without Prometheus it probes nothing.
#   - memory per target: resident memory at the end, less that of the same processes with no target at all.
#   - lateness (firedrill alone): the 99th percentile of `firedrill_schedule_delay_seconds` over the time measured.
#   - targets per core: how many targets every PERIOD seconds one core would carry at that CPU per probe.
# Both probe over HTTP/1.1 with a connection of its own for each probe, and check the status. The binary is the release
# one. The machine should have nothing else to do; the script says how busy it was before it began.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

targets="${1:-2000}"
period="${2:-15}"
minutes="${3:-5}"
work="$(mktemp -d "${TMPDIR:-/tmp}/firedrill-bench.XXXXXX")"
declare -a started=()

clean() {
  local pid
  for pid in "${started[@]}"; do
    kill "$pid" 2>/dev/null || true
  done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

start() {
  "$@" >>"$work/log" 2>&1 &
  started+=($!)
}

# Whether a page answers within a minute.
await() {
  local tries
  for ((tries = 0; tries < 120; tries++)); do
    curl --silent --fail --output /dev/null "$1" && return
    sleep 0.5
  done
  printf 'serve.sh: %s does not answer; the end of the log:\n' "$1" >&2
  tail -n 20 "$work/log" >&2
  exit 4
}

# Processor time of processes, in hundredths of a second, and their resident memory in KiB.
ticks() { local pid; for pid in "$@"; do sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 }'; done | awk '{ sum += $1 } END { print sum }'; }
resident() { local pid; for pid in "$@"; do awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status"; done | awk '{ sum += $1 } END { print sum }'; }

main() {
  local nginx_port
  cargo build --release --locked --quiet --bin firedrill
  printf 'load before: %s; cores: %s; %s targets every %s s, measured for %s min\n' "$(cut -d' ' -f1-3 /proc/loadavg)" "$(nproc)" "$targets" "$period" "$minutes"
  nginx_port="$(free_port)"
  cat >"$work/nginx.conf" <<NGINX
worker_processes 1;
daemon off;
pid $work/nginx.pid;
error_log stderr error;
events { worker_connections 16384; }
http { access_log off; server { listen 127.0.0.1:$nginx_port backlog=16384; location / { return 200 ok; } } }
NGINX
  start nginx -p "$work" -e stderr -c "$work/nginx.conf"
  await "http://127.0.0.1:$nginx_port/"
  of_firedrill "$nginx_port"
  of_blackbox "$nginx_port"
}

scenarios() {
  local number
  mkdir -p "$2"
  for ((number = 0; number < $3; number++)); do
    printf 'scenario: target-%s\nevery: %ss\nsteps:\n  - name: get\n    http: { get: "http://127.0.0.1:%s/%s" }\n    expect: { status: 200 }\n' \
      "$number" "$period" "$1" "$number" >"$2/target-$number.yaml"
  done
}

# The sum of a family's samples on a page.
counted() { curl --silent "$1" | awk -v name="$2" 'index($1, name) == 1 { sum += $NF } END { printf "%.0f\n", sum }'; }

of_firedrill() {
  local port pid idle before after probes used memory binary
  binary="${CARGO_TARGET_DIR:-target}/release/firedrill"
  scenarios "$1" "$work/none" 1
  port="$(free_port)"
  start "$binary" serve "$work/none" --store "$work/none.db" --listen "127.0.0.1:$port"
  pid="${started[-1]}"
  await "http://127.0.0.1:$port/-/ready"
  sleep 10
  idle="$(resident "$pid")"
  stop "$pid"
  scenarios "$1" "$work/scenarios" "$targets"
  port="$(free_port)"
  start "$binary" serve "$work/scenarios" --store "$work/store.db" --listen "127.0.0.1:$port"
  pid="${started[-1]}"
  await "http://127.0.0.1:$port/-/ready"
  sleep 60
  before="$(ticks "$pid")"
  probes="$(counted "http://127.0.0.1:$port/metrics" 'firedrill_step_attempts_total{')"
  sleep "$((minutes * 60))"
  after="$(ticks "$pid")"
  probes="$(($(counted "http://127.0.0.1:$port/metrics" 'firedrill_step_attempts_total{') - probes))"
  memory="$(resident "$pid")"
  used="$((after - before))"
  tell firedrill "$used" "$probes" "$((memory - idle))"
  curl --silent "http://127.0.0.1:$port/metrics" | grep '^firedrill_schedule_delay_seconds_bucket' |
    awk -F'[" ]' '{ le[NR] = $2; n[NR] = $NF } END { for (i = 1; i <= NR; i++) if (n[i] >= 0.99 * n[NR]) { print "  99 of 100 runs began within " le[i] " s of when they were due"; exit } }'
  stop "$pid"
}

of_blackbox() {
  local exporter port blackbox prometheus idle before probes used memory
  exporter="$(free_port)"
  printf 'modules: { http_2xx: { prober: http, http: { preferred_ip_protocol: ip4 } } }\n' >"$work/blackbox.yml"
  start prometheus-blackbox-exporter --config.file="$work/blackbox.yml" --web.listen-address="127.0.0.1:$exporter"
  blackbox="${started[-1]}"
  await "http://127.0.0.1:$exporter/-/healthy"
  printf '[]\n' >"$work/targets.json"
  cat >"$work/prometheus.yml" <<PROMETHEUS
global: { scrape_interval: ${period}s }
scrape_configs:
  - job_name: blackbox
    metrics_path: /probe
    file_sd_configs: [{ files: [$work/targets.json], refresh_interval: 5s }]
    relabel_configs:
      - { source_labels: [__address__], target_label: __param_target }
      - { source_labels: [__param_target], target_label: instance }
      - { target_label: __address__, replacement: "127.0.0.1:$exporter" }
PROMETHEUS
  port="$(free_port)"
  start prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$port"
  prometheus="${started[-1]}"
  await "http://127.0.0.1:$port/-/ready"
  sleep 10
  idle="$(resident "$blackbox" "$prometheus")"
  python3 -c 'import json, sys; print(json.dumps([{"targets": [f"http://127.0.0.1:{sys.argv[1]}/{n}" for n in range(int(sys.argv[2]))]}]))' \
    "$1" "$targets" >"$work/targets.new"
  mv "$work/targets.new" "$work/targets.json"
  sleep 70
  before="$(ticks "$blackbox" "$prometheus")"
  local since
  since="$(date +%s)"
  sleep "$((minutes * 60))"
  used="$(($(ticks "$blackbox" "$prometheus") - before))"
  memory="$(resident "$blackbox" "$prometheus")"
  probes="$(curl --silent --data-urlencode "query=sum(count_over_time(probe_success[$(($(date +%s) - since))s]))" "http://127.0.0.1:$port/api/v1/query" |
    python3 -c 'import json, sys; print(int(float(json.load(sys.stdin)["data"]["result"][0]["value"][1])))')"
  tell 'blackbox_exporter and Prometheus' "$used" "$probes" "$((memory - idle))"
  stop "$blackbox"
  stop "$prometheus"
}

stop() {
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# Hundredths of a second, probes, KiB.
tell() {
  awk -v side="$1" -v used="$2" -v probes="$3" -v memory="$4" -v targets="$targets" -v period="$period" 'BEGIN {
    if (probes == 0) { print side ": no probe was counted"; exit 4 }
    each = used * 10000 / probes
    printf "%s: %d probes, %.0f µs of a core each, %.1f KiB a target, %.0f targets every %d s on a core\n", side, probes, each, memory / targets, period * 1000000 / each, period
  }'
}

main
