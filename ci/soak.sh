#!/usr/bin/env bash
# What takes too long for every change: runs that are killed at random moments, fifty times over, leave nothing.
#
# Needs what `ci/test.sh` installs and starts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export FIREDRILL_KILLS="${FIREDRILL_KILLS:-50}"
cargo test --locked --test containers -- --ignored --exact runs::runs_that_are_killed_leave_what_clean_removes
