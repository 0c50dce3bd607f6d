#!/usr/bin/env bash
# What takes too long for every change: runs killed at fifty random moments, and nothing of them left.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/local/sbin:/usr/sbin:/sbin"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/firedrill/target}"

SOAK="${SOAK:-50}" cargo test --locked --test stacks -- --include-ignored killed
