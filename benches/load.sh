#!/usr/bin/env bash
# Measures `firedrill load` beside other load generators and writes docs/benchmarks.md.
#
#   benches/load.sh [ROUNDS] [SECONDS]
#
# The target is an nginx that answers `200` from memory, pinned to one core; the generator is pinned to another. Tools
# take turns, round by round, so that what else the machine does befalls all of them; of each figure the median of the
# rounds counts. What is compared are ratios within one run: absolute figures belong to the machine they were made on.
# What a tool costs is measured by benches/measure.py. Tools that are not installed are left out and named.
set -euo pipefail
export LC_ALL=C

rounds=${1:-3}
seconds=${2:-5}
generator_core=${GENERATOR_CORE:-0}
target_core=${TARGET_CORE:-1}
here=$(cd "$(dirname "$0")/.." && pwd)
firedrill=${FIREDRILL:-$here/target/release/firedrill}
page=${PAGE:-$here/docs/benchmarks.md}
work=$(mktemp -d)
nginx_pid=
held_pid=

cleanup() {
    [ -z "$held_pid" ] || kill "$held_pid" 2>/dev/null || true
    [ -z "$held_pid" ] || wait "$held_pid" 2>/dev/null || true
    [ -z "$nginx_pid" ] || kill "$nginx_pid" 2>/dev/null || true
    [ -z "$nginx_pid" ] || wait "$nginx_pid" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

have() { command -v "$1" >/dev/null; }

[ -x "$firedrill" ] || { echo "$firedrill is missing: cargo build --release first" >&2; exit 4; }
for tool in nginx taskset openssl python3; do
    have "$tool" || { echo "$tool is needed" >&2; exit 4; }
done

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

# --- the target ----------------------------------------------------------------------------------------------------

plain=$(free_port)
secure=$(free_port)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null
cat >"$work/nginx.conf" <<NGINX
worker_processes 1;
daemon off;
pid $work/nginx.pid;
error_log $work/error.log;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
    server {
        listen 127.0.0.1:$plain;
        default_type application/json;
        location / { return 200 "ok\n"; }
        location /login { return 200 '{"token":"2f1c9d40","user":{"name":"ada","roles":["buyer"]}}\n'; }
        location /items { return 200 '{"items":[{"id":1,"name":"tea"},{"id":2,"name":"cake"}],"total":2}\n'; }
    }
    server {
        listen 127.0.0.1:$secure ssl http2;
        ssl_certificate $work/certificate.pem;
        ssl_certificate_key $work/key.pem;
        location / { return 200 "ok\n"; }
    }
}
NGINX
taskset -c "$target_core" nginx -p "$work" -c "$work/nginx.conf" -e "$work/error.log" &
nginx_pid=$!
until (exec 3<>"/dev/tcp/127.0.0.1/$plain") 2>/dev/null; do
    kill -0 "$nginx_pid" || { cat "$work/error.log" >&2; exit 4; }
    sleep 0.05
done
http=http://127.0.0.1:$plain/
https=https://127.0.0.1:$secure/

# --- one run of one tool -------------------------------------------------------------------------------------------

# run TOOL URL CONNECTIONS: prints requests made, seconds of CPU, and the peak of memory in KiB.
run() {
    local tool=$1 url=$2 connections=$3 out=$work/out cost made
    case $tool in
    firedrill) set -- "$firedrill" load "$url" --users "$connections" --for "${seconds}s" --threads 1 --insecure \
        --no-save --quiet --report "json=$work/events" ;;
    firedrill2) set -- "$firedrill" load "$url" --users "$connections" --for "${seconds}s" --threads 1 --insecure \
        --http 2 --no-save --quiet --report "json=$work/events" ;;
    wrk) set -- wrk -t1 -c"$connections" -d"${seconds}s" "$url" ;;
    ab) set -- ab -k -q -c "$connections" -t "$seconds" -n 100000000 "$url" ;;
    hey) set -- hey -c "$connections" -z "${seconds}s" "$url" ;;
    h2load) set -- h2load -t1 -c"$connections" -D"$seconds" --h1 "$url" ;;
    h2load2) set -- h2load -t1 -c"$connections" -D"$seconds" "$url" ;;
    oha) set -- oha --no-tui --insecure -c "$connections" -z "${seconds}s" --output-format json "$url" ;;
    oha2) set -- oha --no-tui --insecure --http2 -c "$connections" -z "${seconds}s" --output-format json "$url" ;;
    esac
    cost=$(python3 "$here/benches/measure.py" "$out" taskset -c "$generator_core" "$@") || true
    case $tool in
    firedrill*) made=$(sed -n 's/.*"loaded".*"ended":\([0-9]*\).*/\1/p' "$work/events") ;;
    wrk) made=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' "$out") ;;
    ab) made=$(sed -n 's/^Complete requests: *\([0-9]*\)/\1/p' "$out") ;;
    hey) made=$(sed -n 's/^ *\[200\][[:space:]]*\([0-9]*\) responses/\1/p' "$out") ;;
    h2load*) made=$(sed -n 's/^requests: .* \([0-9]*\) succeeded.*/\1/p' "$out") ;;
    oha*) made=$(sed -n 's/.*"200": *\([0-9]*\).*/\1/p' "$out") ;;
    esac
    [ -n "$made" ] && [ "$made" -gt 0 ] || { echo "$tool made no requests:" >&2; tail -5 "$out" >&2; exit 4; }
    echo "$made $cost"
}

median() { sort -g | awk '{ all[NR] = $1 } END { print NR % 2 ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'; }

# compare TITLE URL CONNECTIONS BASE TOOL…: a table of every tool's CPU per request, rate and memory, beside BASE's.
compare() {
    local title=$1 url=$2 connections=$3 base=$4 tool round
    shift 4
    rm -f "$work"/figures.*
    for tool in "$@"; do run "$tool" "$url" "$connections" >/dev/null; done
    for ((round = 1; round <= rounds; round++)); do
        for tool in "$@"; do
            echo "$title, round $round of $rounds: $tool" >&2
            run "$tool" "$url" "$connections" >>"$work/figures.$tool"
        done
    done
    for tool in "$@"; do
        awk '{ print $2 / $1 * 1e6 }' "$work/figures.$tool" | median >"$work/cpu.$tool"
        awk -v s="$seconds" '{ print $1 / s }' "$work/figures.$tool" | median >"$work/rate.$tool"
        awk '{ print $3 / 1024 }' "$work/figures.$tool" | median >"$work/memory.$tool"
    done
    printf '\n### %s\n\n' "$title"
    printf '| | CPU µs a request | × %s | requests/s | × %s | peak MB |\n|---|---|---|---|---|---|\n' "$base" "$base"
    for tool in "$@"; do
        awk -v tool="$tool" -v cpu="$(cat "$work/cpu.$tool")" -v base_cpu="$(cat "$work/cpu.$base")" \
            -v rate="$(cat "$work/rate.$tool")" -v base_rate="$(cat "$work/rate.$base")" \
            -v memory="$(cat "$work/memory.$tool")" 'BEGIN {
            sub(/2$/, " (HTTP/2)", tool)
            printf "| %s | %.2f | %.2f | %.0f | %.2f | %.1f |\n", tool, cpu, cpu / base_cpu, rate, rate / base_rate, memory
        }'
    done
}

# installed TOOL…: those that are, and first of all our own.
installed() {
    local tool
    for tool in "$@"; do
        case $tool in
        firedrill*) echo "$tool" ;;
        *2) have "${tool%2}" && echo "$tool" || true ;;
        *) have "$tool" && echo "$tool" || true ;;
        esac
    done
}

# --- peers that are not here ---------------------------------------------------------------------------------------

# What was measured once of peers that are not installed, on a machine of two such cores: CPU a request beside wrk's,
# at 50 and at 256 connections, and peak memory in MB at 256.
quoted() {
    cat <<'FIGURES'
oha 1.44 1.52 107
rewrk 1.28 1.62 25
vegeta 4.46 4.91 24
k6 11.4 10.7 111
autocannon 3.36 3.33 86
drill 3.67 4.02 39
goose 4.93 5.81 51
hey 4.69 4.09 84
siege 9.67 9.12 138
locust 29.6 29.3 59
FIGURES
}

# absent: a table of those peers that are not installed.
absent() {
    local tool at50 at256 memory
    printf '\n### Peers that are not installed\n\n*Not measured in this run*: their own ratios to wrk, from an earlier measurement on a machine of two such cores.\n\n'
    printf '| | CPU a request × wrk, 50 connections | 256 connections | peak MB at 256 |\n|---|---|---|---|\n'
    quoted | while read -r tool at50 at256 memory; do
        have "$tool" || printf '| %s | %s | %s | %s |\n' "$tool" "$at50" "$at256" "$memory"
    done
}

# --- a flow --------------------------------------------------------------------------------------------------------

# flow: rounds of a flow of two requests, with a capture, JSON expectations and a cookie jar for each way through.
flow() {
    local round cost made
    cat >"$work/flow.yaml" <<SCENARIO
scenario: flow
steps:
  - name: flow
    load:
      users: 50
      for: ${seconds}s
      threads: 1
      flow:
        - name: log in
          http: { post: "${http}login", json: { user: ada, password: lovelace } }
          expect: { status: 200, json: { $.user.name: ada } }
          capture: { token: { json: $.token } }
        - name: look around
          http: { get: "${http}items?token=\${token}" }
          expect: { status: 200, json: { $.total: 2, "$.items[0].name": tea } }
SCENARIO
    rm -f "$work/figures.flow"
    for ((round = 0; round <= rounds; round++)); do
        echo "a flow, round $round of $rounds" >&2
        cost=$(python3 "$here/benches/measure.py" "$work/out" taskset -c "$generator_core" "$firedrill" run \
            "$work/flow.yaml" --no-save --quiet --report "json=$work/events") || { tail -5 "$work/out" >&2; exit 4; }
        made=$(python3 - "$work/events" <<'PYTHON'
import json, sys
for line in open(sys.argv[1]):
    event = json.loads(line)["event"]
    if "loaded" in event:
        parts = event["loaded"]["parts"]
        assert all(part["tally"]["good"] == part["tally"]["ended"] for part in parts), parts
        print(sum(part["tally"]["ended"] for part in parts))
PYTHON
        )
        # The first one warms up.
        [ "$round" -eq 0 ] || echo "$made $cost" >>"$work/figures.flow"
    done
    awk '{ print $2 / $1 * 1e6 }' "$work/figures.flow" | median >"$work/cpu.flow"
    awk -v s="$seconds" '{ print $1 / s }' "$work/figures.flow" | median >"$work/rate.flow"
    awk '{ print $3 / 1024 }' "$work/figures.flow" | median >"$work/memory.flow"
    printf '| | CPU µs a request | requests/s on one core | peak MB |\n|---|---|---|---|\n'
    printf '| firedrill | %.2f | %.0f | %.1f |\n' "$(cat "$work/cpu.flow")" "$(cat "$work/rate.flow")" "$(cat "$work/memory.flow")"
    have k6 || printf '| k6, single requests without captures or checks; *not measured in this run* | 146 | | 62 |\n'
    have hurl || printf '| hurl, as its users report it; *not measured in this run* | | 3000 | |\n'
}

# --- connections that are held ---------------------------------------------------------------------------------------

# held NUMBER: so many idle WebSocket connections at once; prints how many were good, and the peak of memory in KiB.
held() {
    local number=$1 cost
    cat >"$work/held.yaml" <<SCENARIO
scenario: held
steps:
  - name: held
    load:
      rate: $((number / 5))/s
      for: 5s
      connections: $number
      threads: 1
      websocket: { url: "ws://127.0.0.1:$held_port/", hold: 10s }
SCENARIO
    cost=$(python3 "$here/benches/measure.py" "$work/out" taskset -c "$generator_core" "$firedrill" run \
        "$work/held.yaml" --no-save --quiet --report "json=$work/events") || { tail -5 "$work/out" >&2; exit 4; }
    python3 - "$work/events" "${cost#* }" <<'PYTHON'
import json, sys
for line in open(sys.argv[1]):
    event = json.loads(line)["event"]
    if "loaded" in event:
        tally = event["loaded"]["tally"]
        print(tally["good"], tally["in_flight_peak"], sys.argv[2])
PYTHON
}

sockets() {
    local few many
    held_port=$(free_port)
    taskset -c "$target_core" python3 "$here/benches/held.py" "$held_port" &
    held_pid=$!
    until (exec 3<>"/dev/tcp/127.0.0.1/$held_port") 2>/dev/null; do
        kill -0 "$held_pid" || exit 4
        sleep 0.05
    done
    echo "idle WebSocket connections" >&2
    few=$(held 100)
    many=$(held 10000)
    kill "$held_pid"
    wait "$held_pid" 2>/dev/null || true
    held_pid=
    printf '| opened and held to their end | at once | peak MB | KiB for each, beside a run of 100 |\n|---|---|---|---|\n'
    echo "$few $many" | awk '{ printf "| %d | %d | %.1f | %.1f |\n", $4, $5, $6 / 1024, ($6 - $3) / ($5 - $2) }'
}

# --- a fixed rate --------------------------------------------------------------------------------------------------

# told KEY…: a figure of the last load's events, as `latency.p99`; times in microseconds.
told() {
    python3 - "$work/events" "$@" <<'PYTHON'
import json, sys
for line in open(sys.argv[1]):
    event = json.loads(line)["event"]
    if "loaded" in event:
        tally = event["loaded"]["tally"]
figures = []
for key in sys.argv[2:]:
    value = tally
    for part in key.split("."):
        value = value[part]
    figures.append(f"{value / 1000:.0f}" if "." in key else str(value))
print(*figures)
PYTHON
}

# at_rate RATE: a row of how well a rate was kept, and how late beside a bare timer.
at_rate() {
    local rate=$1 round
    rm -f "$work"/fixed.*
    for ((round = 1; round <= rounds; round++)); do
        echo "fixed rate $rate/s, round $round of $rounds" >&2
        taskset -c "$generator_core" "$timer" "$rate" "$seconds" >>"$work/fixed.timer"
        taskset -c "$generator_core" "$firedrill" load "$http" --rate "$rate/s" --for "${seconds}s" --threads 1 \
            --no-save --quiet --report "json=$work/events" >/dev/null || true
        told begun lateness.p50 lateness.p99 latency.p50 latency.p99 >>"$work/fixed.firedrill"
    done
    field() { awk -v field="$2" '{ print $field }' "$work/fixed.$1" | median; }
    awk -v rate="$rate" -v seconds="$seconds" -v begun="$(field firedrill 1)" \
        -v timer50="$(field timer 1)" -v timer99="$(field timer 2)" \
        -v late50="$(field firedrill 2)" -v late99="$(field firedrill 3)" \
        -v latency50="$(field firedrill 4)" -v latency99="$(field firedrill 5)" 'BEGIN {
        printf "| %d/s | %.2f %% | %d / %d µs | %d / %d µs | %d / %d µs |\n", rate, begun / rate / seconds * 100,
            late50, late99, timer50, timer99, latency50, latency99
    }'
}

# --- a server that stalls --------------------------------------------------------------------------------------------

# stalling COMMAND…: runs it for 30 s while nginx stands still for half a second every five; the stalls go to $work/stalls.
stalling() {
    local pid worker began
    worker=$(pgrep -P "$nginx_pid" | head -1)
    : >"$work/stalls"
    "$@" >"$work/out" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 2.5
        began=$(date +%s%N)
        kill -STOP "$worker"
        sleep 0.5
        kill -CONT "$worker"
        echo $((($(date +%s%N) - began) / 1000)) >>"$work/stalls"
        sleep 2
    done
    wait "$pid" || true
}

# truth: the quantiles that evenly spread arrivals see by arithmetic, from how long the stalls really were.
truth() {
    head -6 "$work/stalls" | python3 -c '
import sys
stalls = [int(line) for line in sys.stdin]
def beyond(limit):
    return sum(max(0, stall - limit) for stall in stalls) / 30e6
def quantile(share):
    low, high = 0, max(stalls)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if beyond(middle) > 1 - share else (low, middle)
    return high
print(*(f"{quantile(share) / 1000:.0f}" for share in (0.99, 0.999)), f"{max(stalls) / 1000:.0f}")
'
}

stall() {
    local tool
    printf '| | p50 ms | p99 | p99.9 | max | p99 by arithmetic | p99.9 | max |\n|---|---|---|---|---|---|---|---|\n'
    for tool in $(installed firedrill hey oha wrk ab); do
        echo "a server that stalls: $tool" >&2
        case $tool in
        firedrill) stalling taskset -c "$generator_core" "$firedrill" load "$http" --rate 1000/s --for 30s --threads 1 \
            --no-save --quiet --report "json=$work/events" ;;
        hey) stalling taskset -c "$generator_core" hey -c 50 -q 20 -z 30s "$http" ;;
        oha) stalling taskset -c "$generator_core" oha --no-tui -c 50 -q 1000 -z 30s "$http" ;;
        wrk) stalling taskset -c "$generator_core" wrk -t1 -c50 -d30s --latency "$http" ;;
        ab) stalling taskset -c "$generator_core" ab -k -q -c 50 -t 30 -n 100000000 "$http" ;;
        esac
        case $tool in
        firedrill) set -- $(told latency.p50 latency.p99 latency.p999 latency.max |
            awk '{ print $1 / 1000, $2 / 1000, $3 / 1000, $4 / 1000 }') ;;
        hey) set -- $(awk '/ 50% in/ { h = $3 * 1000 } / 99% in/ { p = $3 * 1000 } /Slowest/ { m = $2 * 1000 }
            END { print h, p, "–", m }' "$work/out") ;;
        oha) set -- $(awk '/ 50.00% in/ { h = $3 * 1000 } / 99.00% in/ { p = $3 * 1000 } / 99.90% in/ { q = $3 * 1000 } /Slowest/ { m = $2 * 1000 }
            END { print h, p, q, m }' "$work/out") ;;
        wrk) set -- $(awk '/^ *50%/ { h = $2 } /^ *99%/ { p = $2 } /Latency .*%/ { m = $4 } END { print h, p, "–", m }' "$work/out") ;;
        ab) set -- $(awk '/ 50%/ { h = $2 } / 99%/ { p = $2 } /100%/ { m = $2 } END { print h, p, "–", m }' "$work/out") ;;
        esac
        printf '| %s | %s | %s | %s | %s ' "$tool" "$1" "$2" "$3" "$4"
        truth | awk '{ printf "| %s | %s | %s |\n", $1, $2, $3 }'
    done
}

# --- the page ------------------------------------------------------------------------------------------------------

timer=${TIMER:-$here/target/release/examples/timer}
tools=$(installed firedrill wrk ab h2load hey oha | tr '\n' ' ')
{
    cat <<'PAGE'
# Benchmarks

Made by `benches/load.sh`, which holds the method: an nginx that answers 200 from memory on one core, the generator on another, tools by turns, medians of the rounds, CPU of the whole process as the kernel counts it. Ratios travel from machine to machine, absolute figures do not. firedrill does in each of these runs what it always does: due times, three histograms, a check of every status, percentiles.
PAGE
    printf '\nThis run: %s rounds of %s s; %s.\n' "$rounds" "$seconds" \
        "$( (wrk -v 2>&1 | head -1 | cut -d[ -f1; h2load --version; ab -V | head -1 | sed 's/.*Version/ab/'; nginx -v 2>&1) \
            2>/dev/null | tr '\n' ';' | sed 's/;$//; s/;/; /g')"
    for tool in wrk ab h2load hey oha; do
        have "$tool" || printf '\n`%s` is not installed and *not measured in this run*.\n' "$tool"
    done
    printf '\n## Closed loop, HTTP/1.1, kept connections\n'
    compare '50 connections' "$http" 50 wrk $tools
    compare '256 connections' "$http" 256 wrk $tools
    absent
    printf '\n## TLS\n'
    compare 'HTTPS, HTTP/1.1, 50 connections' "$https" 50 wrk $(installed firedrill wrk h2load oha)
    printf '\n## HTTP/2\n'
    compare 'HTTPS, HTTP/2, 50 connections, one request at a time on each' "$https" 50 h2load2 \
        $(installed firedrill2 h2load2 oha2)
    printf '\n## A flow\n\nTwo requests a flow, 50 users: a POST of JSON whose answer is checked and a token kept of it, and a GET with that token whose JSON is checked in two places. Each flow begins without cookies or captures.\n\n'
    flow
    printf '\n## Idle WebSocket connections\n\nOpened at 2,000/s and held for 10 s, against a server that only upgrades. Memory is that of our process alone.\n\n'
    sockets
    printf '\n## A fixed rate\n\nThe open model on one core. *Late* is from due to send; beside it a bare loop over the same timer, which does nothing but wake up.\n\n'
    printf '| wanted | sent | late, p50 / p99 | bare timer, p50 / p99 | latency, p50 / p99 |\n|---|---|---|---|---|\n'
    at_rate 5000
    at_rate 20000
    printf '\n## A server that stalls\n\nnginx stands still for half a second every five seconds, 1,000 requests/s are wanted (wrk and ab know no rate). What all who came during the stalls have waited follows by arithmetic from how long the stalls were.\n\n'
    stall
} >"$work/page.md"
mv "$work/page.md" "$page"
echo "$page"
