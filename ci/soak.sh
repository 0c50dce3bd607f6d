#!/usr/bin/env bash
# What takes longer than the test command may: `ci/soak.sh JOB …` runs these jobs, `ci/soak.sh` says which there are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Each job is a function of its name; what it is, and what makes it shorter or longer.
declare -A jobs=(
  [fuzz]="files and everything a target sends, changed at random; FIREDRILL_FUZZ_CASES=20000"
  [kills]="runs in containers that are killed at random moments leave nothing; FIREDRILL_KILLS=50"
  [serve]="serving for long, with reloads and targets that fail, holds no more memory at its end; FIREDRILL_SERVE_MINUTES=30"
  [killed]="runs with a stack of processes, killed at random moments; FIREDRILL_KILLED_RUNS=50"
)

job_fuzz() {
  # Not by nextest, which ends a test after two minutes.
  FIREDRILL_FUZZ_CASES="${FIREDRILL_FUZZ_CASES:-20000}" cargo test --locked --test fuzz
}

job_kills() {
  # The engine and the images are those that `ci/test.sh` starts and builds.
  FIREDRILL_KILLS="${FIREDRILL_KILLS:-50}" cargo test --locked --test containers -- \
    --ignored --exact runs::runs_that_are_killed_leave_what_clean_removes
}

job_killed() {
  FIREDRILL_KILLED_RUNS="${FIREDRILL_KILLED_RUNS:-50}" cargo test --locked --test stacks -- killed
}

# Half of 400 scenarios fail; files change every half minute, pages and probes are asked for all the time. After a sixth of
# the time memory is where it stays: at the end it may be a tenth more.
job_serve() (
  local minutes="${FIREDRILL_SERVE_MINUTES:-30}" work port target serving page number early late until
  cargo build --release --locked --bin firedrill
  work="$(mktemp -d "${TMPDIR:-/tmp}/firedrill-soak.XXXXXX")"
  trap 'kill $(jobs -p) 2>/dev/null || true; wait || true; rm -rf "$work"' EXIT
  read -r port target < <(python3 -c 'import socket
ports = [socket.socket() for _ in range(2)]
for one in ports: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in ports))')
  printf '%s\n' "daemon off; pid $work/nginx.pid; error_log stderr error; events {} http { access_log off; server { listen 127.0.0.1:$target; location /well { return 200 ok; } location / { return 500 ill; } } }" >"$work/nginx.conf"
  nginx -p "$work" -e stderr -c "$work/nginx.conf" &
  mkdir "$work/scenarios"
  for ((number = 0; number < 400; number++)); do
    printf 'scenario: s%s\nevery: 2s\nsteps:\n  - name: get\n    http: { get: "http://127.0.0.1:%s/%s" }\n    expect: { status: 200 }\n    sli: soak\n' \
      "$number" "$target" "$( ((number % 2)) && printf ill || printf well)" >"$work/scenarios/s$number.yaml"
  done
  "${CARGO_TARGET_DIR:-target}/release/firedrill" serve "$work/scenarios" --store "$work/store.db" \
    --listen "127.0.0.1:$port" --probe-allow-net 127.0.0.0/8 2>"$work/log" &
  serving=$!
  until="$((SECONDS + minutes * 60))"
  early=
  while ((SECONDS < until)); do
    sleep 5
    kill -0 "$serving" || { tail "$work/log"; return 1; }
    for page in / /metrics /scenario/s1 "/probe?target=127.0.0.1:$target/well"; do
      curl --silent --fail --max-time 20 --output /dev/null "http://127.0.0.1:$port$page" || [[ -z $early ]] || return 1
    done
    ((SECONDS % 30 >= 5)) || sed -i "s/^every: .*/every: $((2 + RANDOM % 2))s/" "$work/scenarios/s$((RANDOM % 400)).yaml"
    late="$(awk '/^VmRSS:/ { print $2 }' "/proc/$serving/status")"
    [[ -n $early ]] || ((until - SECONDS > minutes * 50)) || early="$late"
  done
  printf 'soak.sh: %s KiB after a sixth of the time, %s KiB at the end\n' "$early" "$late"
  ((late * 10 <= early * 11))
)

if (($# == 0)); then
  printf 'usage: ci/soak.sh JOB …\n'
  for job in "${!jobs[@]}"; do
    printf '  %-8s %s\n' "$job" "${jobs[$job]}"
  done
  exit 2
fi
for job in "$@"; do
  if [[ -z ${jobs[$job]+known} ]]; then
    printf 'soak.sh: there is no job %s; there is: %s\n' "$job" "${!jobs[*]}" >&2
    exit 2
  fi
done
for job in "$@"; do
  printf '\n==> %s\n' "$job"
  "job_$job"
done
