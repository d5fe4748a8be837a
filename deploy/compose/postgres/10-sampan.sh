#!/bin/bash
# A role and a database for each service; run once, by the image's entry point, when the cluster is made.
set -eu
for service in catalog orders warehouse access; do
  psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres \
    --set=service="$service" --set=password="$(cat "/run/secrets/${service}_password")" <<'SQL'
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
