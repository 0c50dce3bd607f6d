#!/usr/bin/env bash
# What a drill costs that brings many rules along: how long the stack takes, and whether the alert is on time.
#
# usage: benches/drill.sh FIREDRILL [RULES...]      rules beside the drill's own; 0 and 2000 unless said
#
# The method. `fixtures/drills` is copied, and N alerts of their own group are added to its rules, each a ratio of two
# rates that no traffic reaches. One drill (`kill: web`, speed 60, as processes) runs RUNS times for each N; told are the
# medians of the whole run's wall time, of what Prometheus took to be ready, and the highest rule time at which the
# alert fired, beside the latest that its configuration allows (5m40s). The clock's factor is told too: it is lowered by
# itself where the rules take longer than their interval.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

RUNS="${RUNS:-5}"
(($#)) || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
firedrill="$(realpath "$1")"
shift
(($#)) || set -- 0 2000

work="$(mktemp -d "${TMPDIR:-/tmp}/firedrill-bench.XXXXXX")"
trap 'rm -rf "$work"' EXIT

# The N-th of lines of numbers, sorted: the median.
median() { sort -g | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

printf '%8s %12s %14s %16s %8s\n' rules 'run (s)' 'ready (s)' 'fires by (s)' factor
for rules in "$@"; do
  rm -rf "$work/drill"
  cp -r fixtures/drills "$work/drill"
  if ((rules)); then
    awk -v n="$rules" 'BEGIN {
      print "\n  - name: many\n    rules:"
      for (i = 1; i <= n; i++)
        printf "      - { alert: Many%d, expr: \"sum by (job) (rate(http_requests_total[5m])) / sum by (job) (up) > 1e9 + %d\" }\n", i, i
    }' >>"$work/drill/alerts.yml"
  fi
  cat >"$work/drill/bench.yaml" <<SCENARIO
scenario: bench
stack: stack.yaml
clock: { speed: 60 }
steps:
  - { name: calm, quiet: { for: 2m } }
  - { name: dies, fault: { kill: web }, alerts: { WebDown: { reaches: pager } } }
SCENARIO
  : >"$work/runs"
  for ((run = 0; run < RUNS; run++)); do
    began="$(date +%s.%N)"
    "$firedrill" run --no-save --quiet --runtime processes --report "json=$work/events" "$work/drill/bench.yaml" \
      >"$work/said" || { cat "$work/said" >&2; exit 1; }
    took="$(awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')"
    jq -rs --arg took "$took" '
      [.[].event | objects] as $all
      | ([$all[].drilled? // empty | .alert] | first) as $alert
      | ([$all[].service_ready? // empty | select(.service == "prometheus") | .took] | last / 1e9) as $ready
      | ([$alert.rungs[] | select(.rung == "firing") | .at] | first / 1e9) as $fired
      | "\($took) \($ready) \($fired) \($alert.speed)"' "$work/events" >>"$work/runs"
  done
  printf '%8s %12.1f %14.1f %16.0f %8s\n' "$rules" \
    "$(cut -d ' ' -f 1 "$work/runs" | median)" "$(cut -d ' ' -f 2 "$work/runs" | median)" \
    "$(cut -d ' ' -f 3 "$work/runs" | sort -g | tail -n 1)" "$(cut -d ' ' -f 4 "$work/runs" | sort -g | head -n 1)"
done
