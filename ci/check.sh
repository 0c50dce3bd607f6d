#!/usr/bin/env bash
# What can be said of the sources before the tests run, the cheapest first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() {
  printf '\n==> %s\n' "$*"
  "$@"
}

step cargo fmt --check
step cargo clippy --locked --all-targets -- -D warnings
# Doctests stand here because nextest does not run them.
step cargo test --locked --doc
RUSTDOCFLAGS="-D warnings" step cargo doc --locked --no-deps
# Not the files that are there to be refused, nor the map of images, which no scenario names. Certificates are made by the tests that need them.
# MoAI-Flow's own rules as planned have errors, and rightly, which is exit 1: docs/defects.json has each, and
# tests/systems.rs holds all five plans to it against their stacks.
GLOBIGNORE=fixtures/bad:fixtures/image-map.yaml:fixtures/audit:fixtures/drills:fixtures/drills/known.json:fixtures/moai-flow
NGINX_CA=/dev/null TLS_CA=/dev/null step cargo run --locked --quiet -- check scenarios slos fixtures/* fixtures/drills/*.{yaml,json} fixtures/moai-flow/repaired fixtures/moai-flow/*.yaml

as_planned=0
step cargo run --locked --quiet -- check fixtures/moai-flow/as-planned || as_planned=$?
((as_planned == 1)) || { printf 'exit %s, where a plan with defects gives 1\n' "$as_planned" >&2; exit 1; }

if command -v cargo-deny >/dev/null; then
  step cargo deny --locked --config ci/deny.toml check licenses bans sources
else
  printf '\n==> licences, bans and sources are not checked: cargo-deny is not installed\n'
fi
