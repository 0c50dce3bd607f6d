#!/usr/bin/env bash
# A container image of the static binary and nothing else, run as nobody.
#
#   ci/image.sh [NAME[:TAG]]      firedrill:latest unless said otherwise
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name="${1:-firedrill:latest}"
folder="target/package/image"

main() {
  [[ -x target/package/firedrill ]] || ci/static.sh
  rm -rf "$folder"
  mkdir -p "$folder/folders/work"
  mkdir -m 1777 "$folder/folders/tmp"
  cp target/package/firedrill ci/Dockerfile "$folder/"
  docker build --quiet --tag "$name" "$folder" >/dev/null
  smoke
  printf 'image.sh: %s, %s bytes\n' "$name" "$(docker image inspect --format '{{.Size}}' "$name")"
}

# It is nobody's, and runs a scenario with a stand-in, without a network and without a place to write but /tmp.
smoke() {
  local user
  user="$(docker image inspect --format '{{.Config.User}}' "$name")"
  [[ $user == 65534:65534 ]] || {
    printf 'image.sh: the image runs as %s\n' "$user" >&2
    exit 1
  }
  docker run --rm --network none --read-only --tmpfs /tmp --cap-drop ALL --env FIREDRILL_NO_SAVE=1 \
    --volume "$PWD:/work:ro" "$name" run --quiet scenarios/first.yaml
}

main
