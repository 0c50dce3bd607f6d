#!/usr/bin/env bash
# What takes longer than the test command may: `ci/soak.sh JOB …` runs these jobs, `ci/soak.sh` says which there are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Each job is a function of its name; what it is, and what makes it shorter or longer.
declare -A jobs=(
  [fuzz]="files and everything a target sends, changed at random; FIREDRILL_FUZZ_CASES=20000"
  [kills]="runs in containers that are killed at random moments leave nothing; FIREDRILL_KILLS=50"
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

if (($# == 0)); then
  printf 'usage: ci/soak.sh JOB …\n'
  for job in "${!jobs[@]}"; do
    printf '  %-8s %s\n' "$job" "${jobs[$job]}"
  done
  exit 2
fi
for job in "$@"; do
  if [[ -z ${jobs[$job]+known} ]]; then
    printf 'soak.sh: there is no job `%s`; there is: %s\n' "$job" "${!jobs[*]}" >&2
    exit 2
  fi
done
for job in "$@"; do
  printf '\n==> %s\n' "$job"
  "job_$job"
done
