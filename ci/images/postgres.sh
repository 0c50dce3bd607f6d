#!/bin/sh
# Makes a database on the first start, by the public image's variables, and then runs PostgreSQL.
set -e
case "${1:-}" in
  -*) set -- postgres "$@" ;;
esac
user="${POSTGRES_USER:-postgres}"
database="${POSTGRES_DB:-$user}"
method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"

# Creates the database and runs what stands in `/docker-entrypoint-initdb.d`, while nobody else can connect.
fill() {
  pg_ctl -D "$PGDATA" -s -w -o "-c listen_addresses=''" start
  if [ "$database" != postgres ]; then
    printf 'CREATE DATABASE :"database";\n' |
      psql -qX -v ON_ERROR_STOP=1 -U "$user" -d postgres -v database="$database"
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sql) psql -qX -v ON_ERROR_STOP=1 -U "$user" -d "$database" -f "$file" ;;
      *.sh) . "$file" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -s -w -m fast stop
}

if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
    echo "the database has no password: set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust" >&2
    exit 1
  fi
  printf '%s\n' "${POSTGRES_PASSWORD:-unused}" >/tmp/password
  # shellcheck disable=SC2086 # several words are meant
  initdb -D "$PGDATA" -U "$user" --pwfile=/tmp/password -E UTF8 --locale=C.UTF-8 --no-sync \
    ${POSTGRES_INITDB_ARGS:-} >/dev/null
  rm /tmp/password
  printf "host all all all %s\n" "$method" >>"$PGDATA/pg_hba.conf"
  printf "listen_addresses = '*'\n" >>"$PGDATA/postgresql.conf"
  if [ "$database" != postgres ] || [ -n "$(ls /docker-entrypoint-initdb.d)" ]; then
    fill
  fi
fi
exec "$@"
