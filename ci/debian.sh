#!/usr/bin/env bash
# A Debian package of the static binary, with manual pages and completions.
#
#   ci/debian.sh      target/package/firedrill_VERSION_ARCH.deb
set -euo pipefail
# What is packaged can be read by all, whatever the caller's files are.
umask 022
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out="target/package"
root="$out/debian"
binary="$out/firedrill"

main() {
  local version arch package
  [[ -x $binary ]] || ci/static.sh
  version="$("$binary" --version | cut -d' ' -f2)"
  arch="$(dpkg --print-architecture)"
  package="$out/firedrill_${version}_$arch.deb"
  rm -rf "$root"
  install -D -m 755 "$binary" "$root/usr/bin/firedrill"
  install -D -m 644 LICENSE "$root/usr/share/doc/firedrill/copyright"
  install -D -m 644 CHANGELOG.md "$root/usr/share/doc/firedrill/changelog"
  gzip -9n "$root/usr/share/doc/firedrill/changelog"
  "$binary" manual "$root/usr/share/man/man1" 2>/dev/null
  gzip -9n "$root"/usr/share/man/man1/*.1
  completions bash usr/share/bash-completion/completions/firedrill
  completions zsh usr/share/zsh/vendor-completions/_firedrill
  completions fish usr/share/fish/vendor_completions.d/firedrill.fish
  control "$version" "$arch"
  dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
  smoke "$package"
  printf 'debian.sh: %s, %s bytes\n' "$package" "$(stat -c %s "$package")"
}

completions() {
  mkdir -p "$root/$(dirname "$2")"
  "$binary" completions "$1" >"$root/$2"
}

control() {
  mkdir -p "$root/DEBIAN"
  cat >"$root/DEBIAN/control" <<CONTROL
Package: firedrill
Version: $1
Architecture: $2
Maintainer: firedrill <firedrill@localhost>
Section: utils
Priority: optional
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Suggests: prometheus, prometheus-alertmanager
Description: rehearses outages
 It probes a system as its users would, loads it, judges it against its SLOs,
 and proves, by breaking things, that every alert fires, reaches the right
 people and clears again.
CONTROL
}

# It unpacks elsewhere, its binary runs, and its manual is one.
smoke() {
  local there
  there="$(mktemp -d)"
  # Its name is gone by the time the shell ends.
  # shellcheck disable=SC2064
  trap "rm -rf '$there'" EXIT
  dpkg-deb --extract "$1" "$there"
  FIREDRILL_NO_SAVE=1 "$there/usr/bin/firedrill" run --quiet scenarios/first.yaml
  gzip -dc "$there/usr/share/man/man1/firedrill-run.1.gz" | grep -q '^\.SH SYNOPSIS'
}

main
