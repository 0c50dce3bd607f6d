#!/usr/bin/env bash
# Checks what ci/github, ci/gitlab and ci/kubernetes offer to others: each file against the published schema of its
# kind, and the scripts in them by running them on a scenario.
#
#   ci/manifests.sh [FIREDRILL]      needs python3 with venv, and PyPI for the schemas
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

firedrill="$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/firedrill}")"
folder="$(mktemp -d /tmp/firedrill-manifests.XXXXXX)"
trap 'rm -rf "$folder"' EXIT

main() {
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install --quiet check-jsonschema==0.39.0 kubernetes-validate==1.37.0 pyyaml
  export FIREDRILL_NO_SAVE=1

  "$folder/venv/bin/kubernetes-validate" --strict ci/kubernetes/*.yaml
  "$folder/venv/bin/check-jsonschema" --builtin-schema vendor.github-actions ci/github/action.yml
  "$folder/venv/bin/check-jsonschema" --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci ci/gitlab/firedrill.yml
  kubernetes
  github scenarios/first.yaml 0
  github tests/cmd/short-session.yaml 1
  gitlab
  printf 'manifests.sh: all hold\n'
}

die() {
  printf 'manifests.sh: %s\n' "$@" >&2
  exit 1
}

# What a template says, by a Python expression over its documents `all`.
said() {
  "$folder/venv/bin/python" -c 'import sys, yaml; all = list(yaml.safe_load_all(open(sys.argv[1]))); print(eval(sys.argv[2]))' "$@"
}

# The arguments that the pods are started with are arguments of ours.
kubernetes() {
  local text arguments
  text="$(said ci/kubernetes/nightly.yaml '"\n".join(all[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"])')"
  text="${text//\/report\//$folder/}"
  mapfile -t arguments <<<"${text//\/scenarios/scenarios/first.yaml}"
  "$firedrill" "${arguments[@]}" >/dev/null 2>&1
  [[ -s $folder/run.jsonl && -s $folder/report.html ]] || die "the nightly run writes no report"

  text="$(said ci/kubernetes/serve.yaml '"\n".join(all[1]["spec"]["template"]["spec"]["containers"][0]["args"])')"
  text="${text//\/store\//$folder/}"
  text="${text//0.0.0.0:9115/127.0.0.1:0}"
  mapfile -t arguments <<<"${text//\/scenarios/scenarios/first.yaml}"
  "$firedrill" "${arguments[@]}" 2>"$folder/served" &
  local served=$! waited
  for ((waited = 0; waited < 100; waited++)); do
    [[ ! -s $folder/store.db ]] || break
    sleep 0.1
  done
  kill "$served" 2>/dev/null || die "serve does not start:" "$(cat "$folder/served")"
  wait "$served" || die "serve does not end well:" "$(cat "$folder/served")"
  [[ -s $folder/store.db ]] || die "serve makes no store"
}

# The action's own script, as a runner would run it.
github() {
  local exit=0
  said ci/github/action.yml '[step["run"] for step in all[0]["runs"]["steps"] if step.get("id") == "run"][0]' >"$folder/run.sh"
  (
    mkdir -p "$folder/work"
    export GITHUB_OUTPUT="$folder/output" GITHUB_STEP_SUMMARY="$folder/summary.md"
    export PROGRAM="$firedrill" PATHS="$PWD/$1" ARGUMENTS=""
    rm -f "$GITHUB_OUTPUT" "$GITHUB_STEP_SUMMARY"
    cd "$folder/work"
    bash --noprofile --norc -eo pipefail "$folder/run.sh" >"$folder/annotations" 2>/dev/null
  ) || exit=$?
  ((exit == $2)) || die "the action ends with $exit on $1, expected $2"
  grep -qx "exit=$2" "$folder/output" || die "the action's output is \`$(cat "$folder/output")\`, expected \`exit=$2\`"
  [[ -s $folder/summary.md ]] || die "the action writes no job summary"
  (($2 == 0)) || grep -q '^::error ' "$folder/annotations" || die "the action annotates no failure"
}

gitlab() {
  said ci/gitlab/firedrill.yml '"\n".join(all[0][".firedrill"]["script"])' >"$folder/gitlab.sh"
  (
    export FIREDRILL="$firedrill" FIREDRILL_PATHS="$PWD/scenarios/first.yaml" FIREDRILL_ARGUMENTS=""
    cd "$folder/work"
    bash "$folder/gitlab.sh" >/dev/null 2>&1
  ) || die "GitLab's script fails"
  [[ -s $folder/work/junit.xml && -s $folder/work/gl-code-quality-report.json ]] || die "GitLab's script writes no reports"
}

main
