#!/bin/bash
# Starts PostgreSQL as the well-known image of that name does, as far as a cluster uses it: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, PGDATA and
# /docker-entrypoint-initdb.d/*.{sh,sql}. A pod killed in the middle of the first start begins it again: the data folder counts as made only when all scripts have run.
set -euo pipefail

: "${PGDATA:=/var/lib/postgresql/data}"
: "${POSTGRES_USER:=postgres}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
export PGDATA POSTGRES_USER POSTGRES_DB
unfinished="$PGDATA/.initialising"

run_scripts() {
  local script
  for script in /docker-entrypoint-initdb.d/*; do
    case "$script" in
      *.sh)
        echo "entrypoint: running $script"
        if [ -x "$script" ]; then "$script"; else bash "$script"; fi
        ;;
      *.sql)
        echo "entrypoint: running $script"
        psql --no-psqlrc -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file "$script"
        ;;
    esac
  done
}

make_database() {
  : "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD: it becomes the password of the superuser $POSTGRES_USER}"
  initdb --pgdata "$unfinished" --username "$POSTGRES_USER" --encoding UTF8 --locale C.UTF-8 \
    --auth-local trust --auth-host scram-sha-256 --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD")
  echo 'host all all all scram-sha-256' >> "$unfinished/pg_hba.conf"
  # Only through the socket: nobody may find a half-made database over the network.
  pg_ctl --pgdata "$unfinished" --options "-c listen_addresses='' -c unix_socket_directories=/var/run/postgresql" --wait start
  if [ "$POSTGRES_DB" != postgres ]; then
    createdb --username "$POSTGRES_USER" --maintenance-db postgres "$POSTGRES_DB"
  fi
  run_scripts
  pg_ctl --pgdata "$unfinished" --mode fast --wait stop
  # PG_VERSION last: without it this folder is no database, and the next start begins anew.
  find "$unfinished" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv --target-directory "$PGDATA" {} +
  mv "$unfinished/PG_VERSION" "$PGDATA/"
}

if [ "${1:-}" = postgres ]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA" 2>/dev/null || true
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -e "$unfinished" ]; then
      echo "entrypoint: the first start was interrupted, beginning it again"
      find "$PGDATA" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
    fi
    make_database
  fi
  rmdir "$unfinished" 2>/dev/null || true
  set -- "$@" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
fi
exec "$@"
