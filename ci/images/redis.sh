#!/bin/sh
# Starts Redis as its public image does: options alone are redis-server's, and other containers may connect.
set -e
case "${1:-}" in
  -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "${1:-}" = redis-server ]; then
  # Debian's program answers only this container unless told otherwise; what is said later wins.
  shift
  case "${1:-}" in
    *.conf)
      file="$1"
      shift
      set -- "$file" --protected-mode no "$@"
      ;;
    *) set -- --protected-mode no "$@" ;;
  esac
  exec redis-server "$@"
fi
exec "$@"
