#!/bin/bash
# Makes the cluster at the first start, as the official image's entry point does, then becomes the server.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # shellcheck disable=SC2086 # options, separated by spaces
  initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" ${POSTGRES_INITDB_ARGS:-} >/dev/null
  printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  # Reachable by its socket only until the databases are there.
  pg_ctl --wait --options="-c listen_addresses=''" start >/dev/null
  for script in /docker-entrypoint-initdb.d/*.sh; do
    "$script"
  done
  pg_ctl --wait --mode=fast stop >/dev/null
fi
exec "$@" -c listen_addresses='*'
