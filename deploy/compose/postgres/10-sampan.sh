#!/bin/bash
# A role and a database for each service whose password is here; run once, by the image's entry point, when the cluster is made.
set -eu
for file in /run/secrets/*_password; do
  service=$(basename "$file" _password)
  [ "$service" != postgres ] || continue
  psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres \
    --set=service="$service" --set=password="$(cat "$file")" <<'SQL'
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
