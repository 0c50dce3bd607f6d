#!/usr/bin/env bash
# Builds every image that the shipped stacks use, so that they run where there is a container engine and no registry.
#
# Each holds a program from Debian's packages, the libraries it asks for, a shell, and nothing else; its commands,
# ports and paths are those of the public image that `fixtures/image-map.yaml` lets it stand in for. One more holds
# firedrill itself, for stand-ins. Nothing is installed, and no root is needed beyond what the engine asks.
#
# usage: ci/images.sh [FIREDRILL]      the firedrill program to put into an image; none where it is left out
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# With a podman and no docker in PATH, `ENGINE=podman`.
engine="${ENGINE:-docker}"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/firedrill/images"
# A step of the build that takes longer than this hangs.
limit=300
export LC_ALL=C

say() { printf 'images.sh: %s\n' "$*"; }

die() {
  printf 'images.sh: %s\n' "$@" >&2
  exit 1
}

main() {
  timeout 20 "$engine" version >/dev/null 2>&1 || die "\`$engine version\` has no answer: no container engine runs"
  [[ -e /etc/debian_version ]] || die "the images are built from Debian's packages, and this is not Debian"
  mkdir -p "$cache/root"
  # One at a time: two runs would unpack into the same folder.
  exec 9>"$cache/lock"
  flock -w "$limit" 9 || die "another build has been at work for $limit seconds"

  image prometheus:2.42.0 prometheus
  image alertmanager:0.25.0 prometheus-alertmanager
  image node-exporter:1.5.0 prometheus-node-exporter
  image blackbox-exporter:0.23.0 prometheus-blackbox-exporter
  image redis:7.0.15 redis-server redis-tools
  image redis-exporter:1.45.0 prometheus-redis-exporter
  image nginx:1.22.1 nginx nginx-common
  image postgres:15 postgresql-15 postgresql-client-15 libc-bin
  image postgres-exporter:0.11.1 prometheus-postgres-exporter
  if (($#)); then
    stand_in "$1"
  fi
}

# image NAME:VERSION PACKAGE...: builds the image unless it is there, made from the same packages by the same script.
image() {
  local name="${1%%:*}" tag="firedrill.local/$1" packages=("${@:2}") stamp
  stamp="$(stamp "${packages[@]}")"
  if [[ "$(label "$tag")" == "$stamp" ]]; then
    return
  fi
  unpack busybox libc6 "${packages[@]}"
  build "$name" "$tag" "$stamp"
}

# What the image is made of: the versions of its packages, and these scripts.
stamp() {
  {
    apt-cache policy busybox libc6 "$@" | grep -e '^[a-z]' -e Candidate
    cat "$here/images.sh" "$here"/images/*
  } | sha256sum | cut -c 1-16
}

label() {
  "$engine" image inspect --format '{{index .Config.Labels "firedrill.made-from"}}' "$1" 2>/dev/null || true
}

# Downloads packages and the libraries they depend on, and unpacks those that were not, into one tree.
unpack() {
  local named package version missing=()
  mapfile -t named < <(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances "$@" | grep -E '^(lib|zlib)' | grep -vE '^(libllvm|libperl)|-perl$')
  mkdir -p "$cache/unpacked"
  while read -r package version; do
    # A name that only others provide has no version.
    [[ $version == '(none)' || -e $cache/unpacked/$package=$version ]] || missing+=("$package=$version")
  done < <(apt-cache policy "$@" "${named[@]}" |
    awk '/^[a-z]/ { sub(/:$/, ""); name = $1 } $1 == "Candidate:" { print name, $2 }' | sort -u)
  ((${#missing[@]})) || return 0

  rm -rf "$cache/debs"
  mkdir -p "$cache/debs"
  (cd "$cache/debs" && timeout "$limit" apt-get -qq -o APT::Sandbox::User=root download "${missing[@]}") ||
    die "Debian's packages cannot be downloaded, see above" "\`apt-get update\` may be needed first"
  for package in "$cache"/debs/*.deb; do
    dpkg -x "$package" "$cache/root"
  done
  for package in "${missing[@]}"; do
    : >"$cache/unpacked/$package"
  done
  rm -rf "$cache/debs"
}

# build NAME TAG STAMP: lays the image's files out in a folder and hands them to the engine.
build() {
  local name="$1" tag="$2" stamp="$3" image changes=()
  image="$(mktemp -d "$cache/image.XXXXXX")"
  # shellcheck disable=SC2064 # the folder of now is meant
  trap "rm -rf '$image'" EXIT
  base
  "lay_${name//-/_}"
  libraries
  import "$tag" "$stamp"
  rm -rf "$image"
  trap - EXIT
}

import() {
  local change arguments=(--change "LABEL firedrill.made-from=$2")
  for change in "${changes[@]}"; do
    arguments+=(--change "$change")
  done
  tar -C "$image" --owner=0 --group=0 --numeric-owner -cf - . |
    timeout "$limit" "$engine" import "${arguments[@]}" - "$1" >/dev/null
  # What it replaces has no name any more.
  timeout "$limit" "$engine" image prune -f --filter label=firedrill.made-from >/dev/null
  say "built $1, $(du -sm "$image" | cut -f 1) MB"
}

# A shell with the small programs that health checks use, the users, and folders that anyone may write to.
base() {
  local applet
  mkdir -p "$image"/{bin,etc,lib64,usr/bin,run,tmp,var/tmp}
  ln -s ../run "$image/var/run"
  chmod 1777 "$image"/{tmp,run,var/tmp}
  cp "$cache/root/bin/busybox" "$image/bin/busybox"
  for applet in $("$image/bin/busybox" --list); do
    [[ $applet == busybox ]] || ln -s busybox "$image/bin/$applet"
  done
  cp "$here/images/passwd" "$here/images/group" "$image/etc/"
  printf 'hosts: files dns\n' >"$image/etc/nsswitch.conf"
}

# The libraries of every program in the image, as the loader that goes with them finds them.
libraries() {
  local loader name paths program library missing
  loader="$(find "$cache"/root/{usr/,}lib -name 'ld-linux*.so.*' ! -type d | head -n 1)"
  name="$(basename "$loader")"
  paths="$(find "$cache"/root/{usr/,}lib -maxdepth 1 -name '*-linux-gnu' | paste -sd :)"
  find "$image" -type f \( -perm -u+x -o -name '*.so' \) | while IFS= read -r program; do
    [[ "$(head -c 4 "$program" | tail -c 3)" != ELF ]] || "$loader" --library-path "$paths" --list "$program"
  done | sort -u >"$cache/libraries"
  missing="$(awk '/not found/ { print $1 }' "$cache/libraries" | paste -sd ' ')"
  [[ -z $missing ]] || die "no package unpacked has $missing"

  mkdir -p "$image/lib"
  cp -L "$loader" "$image/lib/$name"
  awk '$2 == "=>" && $3 ~ /^\// { print $3 }' "$cache/libraries" | sort -u | while IFS= read -r library; do
    cp -L "$library" "$image/lib/"
  done
  # Where programs for this processor name it; elsewhere it is at home in `lib`.
  [[ $name != ld-linux-x86-64* ]] || ln -s "../lib/$name" "$image/lib64/$name"
}

# put FILE... FOLDER: from the unpacked packages into a folder of the image.
put() {
  local folder="$image/${*: -1}" file
  mkdir -p "$folder"
  for file in "${@:1:$#-1}"; do
    cp -a "$cache/root/$file" "$folder/"
  done
}

# program FILE NAME: a program under the name that the public image has for it.
program() {
  mkdir -p "$image/$(dirname "$2")"
  cp -L "$cache/root/$1" "$image/$2"
}

writable() {
  mkdir -p "$image/$1"
  chmod 1777 "$image/$1"
}

# The layouts: one for each image, by its name. `changes` is what a Dockerfile would say after the files.

lay_prometheus() {
  program usr/bin/prometheus bin/prometheus
  put etc/prometheus/prometheus.yml etc/prometheus
  put usr/share/prometheus/web usr/share/prometheus
  writable prometheus
  changes=("USER nobody" "WORKDIR /prometheus" "EXPOSE 9090" 'ENTRYPOINT ["/bin/prometheus"]'
    'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]')
}

lay_alertmanager() {
  program usr/bin/prometheus-alertmanager bin/alertmanager
  mkdir -p "$image/etc/alertmanager"
  cp "$cache/root/etc/prometheus/alertmanager.yml" "$image/etc/alertmanager/"
  # Debian's program reads its templates and its page from there.
  put usr/share/prometheus/alertmanager usr/share/prometheus
  writable alertmanager
  changes=("USER nobody" "WORKDIR /alertmanager" "EXPOSE 9093" 'ENTRYPOINT ["/bin/alertmanager"]'
    'CMD ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"]')
}

lay_node_exporter() {
  program usr/bin/prometheus-node-exporter bin/node_exporter
  changes=("USER nobody" "EXPOSE 9100" 'ENTRYPOINT ["/bin/node_exporter"]')
}

lay_blackbox_exporter() {
  program usr/bin/prometheus-blackbox-exporter bin/blackbox_exporter
  mkdir -p "$image/etc/blackbox_exporter"
  cp "$cache/root/etc/prometheus/blackbox.yml" "$image/etc/blackbox_exporter/config.yml"
  changes=("EXPOSE 9115" 'ENTRYPOINT ["/bin/blackbox_exporter"]'
    'CMD ["--config.file=/etc/blackbox_exporter/config.yml"]')
}

lay_redis() {
  program usr/bin/redis-server usr/bin/redis-server
  program usr/bin/redis-cli usr/bin/redis-cli
  cp "$here/images/redis.sh" "$image/bin/docker-entrypoint.sh"
  writable data
  changes=("WORKDIR /data" "EXPOSE 6379" 'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["redis-server"]')
}

lay_redis_exporter() {
  program usr/bin/prometheus-redis-exporter redis_exporter
  changes=("USER nobody" "EXPOSE 9121" 'ENTRYPOINT ["/redis_exporter"]')
}

lay_nginx() {
  program usr/sbin/nginx usr/sbin/nginx
  put etc/nginx/mime.types etc/nginx
  mkdir -p "$image"/etc/nginx/conf.d "$image"/var/log/nginx "$image"/usr/share/nginx/html
  cp "$here/images/nginx.conf" "$image/etc/nginx/nginx.conf"
  cp "$here/images/nginx-site.conf" "$image/etc/nginx/conf.d/default.conf"
  cp "$cache/root/usr/share/nginx/html/index.html" "$image/usr/share/nginx/html/"
  ln -s /dev/stdout "$image/var/log/nginx/access.log"
  ln -s /dev/stderr "$image/var/log/nginx/error.log"
  writable var/lib/nginx
  changes=("EXPOSE 80" 'CMD ["nginx", "-g", "daemon off;"]')
}

lay_postgres() {
  local home=usr/lib/postgresql/15 program
  for program in postgres initdb pg_ctl psql pg_isready; do
    program "$home/bin/$program" "$home/bin/$program"
  done
  mkdir -p "$image/$home/lib" "$image/usr/share/postgresql" "$image/usr/share/zoneinfo"
  cp -a "$cache/root/$home"/lib/*.so "$image/$home/lib/"
  # Compiles queries with LLVM, which is larger than all the rest.
  rm "$image/$home/lib/llvmjit.so"
  cp -a "$cache/root/usr/share/postgresql/15" "$image/usr/share/postgresql/"
  # initdb asks which locales there are.
  program usr/bin/locale usr/bin/locale
  put usr/lib/locale/C.utf8 usr/lib/locale
  cp "$here/images/postgres.sh" "$image/bin/docker-entrypoint.sh"
  mkdir -p "$image/docker-entrypoint-initdb.d"
  writable var/lib/postgresql
  writable run/postgresql
  changes=("USER postgres" "EXPOSE 5432" "ENV PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin:/$home/bin"
    "ENV PGDATA=/var/lib/postgresql/data" 'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["postgres"]')
}

lay_postgres_exporter() {
  program usr/bin/prometheus-postgres-exporter bin/postgres_exporter
  changes=("USER nobody" "EXPOSE 9187" 'ENTRYPOINT ["/bin/postgres_exporter"]')
}

# stand_in PROGRAM: firedrill in an image, to be started as `firedrill simulate`.
stand_in() {
  local tag stamp firedrill
  firedrill="$(realpath "$1")"
  tag="firedrill.local/firedrill:$("$firedrill" --version | cut -d ' ' -f 2)"
  stamp="$(cat "$firedrill" "$here/images.sh" | sha256sum | cut -c 1-16)"
  if [[ "$(label "$tag")" != "$stamp" ]]; then
    unpack busybox libc6 libgcc-s1
    build firedrill "$tag" "$stamp"
  fi
}

lay_firedrill() {
  strip -o "$image/usr/bin/firedrill" "$firedrill" 2>/dev/null || cp "$firedrill" "$image/usr/bin/firedrill"
  changes=("USER nobody" 'ENTRYPOINT ["firedrill"]')
}

main "$@"
