#!/usr/bin/env bash
# A software bill of materials of what is shipped: CycloneDX 1.5, JSON, from Cargo.lock.
#
#   ci/sbom.sh [FILE]      target/package/firedrill.cdx.json unless said otherwise
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

file="${1:-target/package/firedrill.cdx.json}"
made=firedrill-sbom

command -v cargo-cyclonedx >/dev/null || {
  printf 'sbom.sh: cargo-cyclonedx is not installed: cargo install --locked cargo-cyclonedx\n' >&2
  exit 1
}
trap 'rm -f "$made.json"' EXIT
# Only what is linked into the binary of this machine's kind: no tools of the build, no tests.
SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" cargo cyclonedx --format json --spec-version 1.5 --no-build-deps \
  --target "$(rustc -vV | sed -n 's/^host: //p')" --override-filename "$made"
mkdir -p "$(dirname "$file")"
mv "$made.json" "$file"
# What it lists is what is locked.
python3 - "$file" <<'PYTHON'
import json, re, sys
listed = {(one["name"], one["version"]) for one in json.load(open(sys.argv[1]))["components"]}
locked = set(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', open("Cargo.lock").read()))
if not listed or listed - locked:
    sys.exit(f"sbom.sh: not in Cargo.lock: {sorted(listed - locked) or 'nothing is listed'}")
print(f"sbom.sh: {sys.argv[1]}, {len(listed)} packages")
PYTHON
