#!/usr/bin/env bash
# A static binary: for musl where that target is installed, else with glibc linked in (`crt-static`).
#
#   ci/static.sh [FOLDER]      the binary goes to FOLDER/firedrill, target/package unless said otherwise
#
# PROFILE=dev builds quicker and bigger, to try the scripts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder="${1:-target/package}"
profile="${PROFILE:-dist}"
limit=25000000

main() {
  local arch target built size
  arch="$(uname -m)"
  target="$arch-unknown-linux-gnu"
  export RUSTFLAGS="${RUSTFLAGS:-} -Ctarget-feature=+crt-static"
  if [[ -d "$(rustc --print sysroot)/lib/rustlib/$arch-unknown-linux-musl" ]] && command -v musl-gcc >/dev/null; then
    target="$arch-unknown-linux-musl"
  else
    # Relocations take half a megabyte as they are, and next to nothing packed.
    RUSTFLAGS+=" -Clink-arg=-Wl,-z,pack-relative-relocs"
  fi
  # The same sources make the same binary wherever they and what they need lie.
  RUSTFLAGS+=" --remap-path-prefix=$PWD=firedrill --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
  # With a target named, the flags are not meant for build scripts and macros, which cannot be static.
  cargo build --locked --profile "$profile" --target "$target"
  built="${CARGO_TARGET_DIR:-target}/$target/${profile/#dev/debug}/firedrill"
  mkdir -p "$folder"
  cp "$built" "$folder/firedrill"
  strip "$folder/firedrill"
  smoke "$folder/firedrill"
  size="$(stat -c %s "$folder/firedrill")"
  if [[ $profile == dist ]] && ((size > limit)); then
    printf 'static.sh: %s bytes, and %s are allowed\n' "$size" "$limit" >&2
    exit 1
  fi
  printf 'static.sh: %s, %s bytes, for %s\n' "$folder/firedrill" "$size" "$target"
}

# It loads nothing, and works without this machine's environment.
smoke() {
  if LC_ALL=C readelf --program-headers "$1" | grep -q INTERP; then
    printf 'static.sh: %s asks for a loader: it is not static\n' "$1" >&2
    exit 1
  fi
  env -i "$1" --version
  env -i FIREDRILL_NO_SAVE=1 "$1" run --quiet scenarios/first.yaml
}

main
