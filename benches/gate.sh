#!/usr/bin/env bash
# How long the gate takes over many SLOs on a Prometheus of this machine.
#
# Method: SLOS services with two counters each, a sample every STEP seconds for 31 days, written into blocks by
# promtool and served by a real Prometheus; an availability objective of 30 days for each. The gate asks for the
# budget of every one of them, ROUNDS times; the median counts. Beside it stands the least that anybody can ask of
# that Prometheus for those budgets: the increase of each counter over 30 days, all of them in two queries. What the
# gate takes beyond that is its own: lookbacks, coverage, questions and answers.
#
# usage: benches/gate.sh          SLOS=1000 STEP=60 ROUNDS=3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

slos="${SLOS:-1000}" step="${STEP:-60}" rounds="${ROUNDS:-3}"
target="${CARGO_TARGET_DIR:-target}"
end=1767225600 # 2026-01-01T00:00:00Z
folder="$(mktemp -d /tmp/firedrill-bench.XXXXXX)"
server=

finish() {
  [[ -z $server ]] || kill "$server" 2>/dev/null || true
  wait || true
  rm -rf "$folder"
}
trap finish EXIT

series() {
  printf '# TYPE requests counter\n'
  awk -v slos="$slos" -v step="$step" -v end="$end" 'BEGIN {
    for (slo = 0; slo < slos; slo++)
      for (code = 200; code <= 500; code += 300)
        for (time = end - 31 * 86400; time <= end; time += step)
          printf "requests_total{service=\"s%d\",code=\"%d\"} %d %d\n", slo, code,
            (time - end + 32 * 86400) * (code == 200 ? 10 : 0.001), time
    print "# EOF"
  }'
}

objectives() {
  local slo
  for ((slo = 0; slo < slos; slo++)); do
    cat <<END
---
apiVersion: openslo/v1
kind: SLO
metadata: { name: s$slo }
spec:
  service: s$slo
  timeWindow: [{ duration: 30d, isRolling: true }]
  budgetingMethod: Occurrences
  indicator:
    metadata: { name: s$slo-errors }
    spec:
      ratioMetric:
        counter: true
        bad: { metricSource: { type: prometheus, spec: { query: 'requests_total{service="s$slo",code="500"}' } } }
        total: { metricSource: { type: prometheus, spec: { query: 'requests_total{service="s$slo"}' } } }
  objectives: [{ target: 0.999 }]
END
  done
}

# Seconds that a command takes, its output dropped: the median of all rounds.
median() {
  local round begun
  for ((round = 0; round < rounds; round++)); do
    begun="$EPOCHREALTIME"
    "$@" >/dev/null
    awk -v begun="$begun" -v ended="$EPOCHREALTIME" 'BEGIN { printf "%.2f\n", ended - begun }'
  done | sort -n | sed -n "$((rounds / 2 + 1))p"
}

gate() {
  "$target/release/firedrill" gate "$folder/all.slo.yaml" --prometheus "http://$address" --at 2026-01-01T00:00:00Z --no-save
}

least() {
  local query
  for query in 'sum by (service) (increase(requests_total{code="500"}[30d]))' 'sum by (service) (increase(requests_total[30d]))'; do
    curl -sf "http://$address/api/v1/query" --data-urlencode "query=$query" --data-urlencode "time=$end"
  done
}

cargo build --release --locked --quiet
series >"$folder/series.txt"
objectives >"$folder/all.slo.yaml"
promtool tsdb create-blocks-from openmetrics --max-block-duration=744h --quiet "$folder/series.txt" "$folder/data"
rm "$folder/series.txt"
printf 'global: {}\n' >"$folder/prometheus.yml"
address="127.0.0.1:${PORT:-19191}"
prometheus --config.file="$folder/prometheus.yml" --storage.tsdb.path="$folder/data" \
  --storage.tsdb.retention.time=100y --web.listen-address="$address" 2>"$folder/log" &
server=$!
for ((waited = 0; waited < 150; waited++)); do
  ! curl -sf "http://$address/-/ready" >/dev/null || break
  sleep 0.2
done

gate | tail -n 1
printf '%d SLOs, a sample every %d s: gate %s s, the least %s s\n' "$slos" "$step" "$(median gate)" "$(median least)"
