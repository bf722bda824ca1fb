#!/bin/bash
# The image runs it once, after it has created a database in an empty volume.
set -euo pipefail

# psql reads the passwords itself, so that no process list shows them.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --single-transaction --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
\set owner_password `cat /run/secrets/owner_password`
\set application_password `cat /run/secrets/application_password`
\ir /docker-entrypoint-initdb.d/roles/roles.sql
SQL
