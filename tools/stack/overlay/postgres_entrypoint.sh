#!/bin/bash
# Entrypoint of the database in `./test overlay`. Like that of the public image, it creates a
# database in an empty volume, with a server that listens on a socket only, and then runs the
# command. It runs as the user of the Compose file, never as root.
set -euo pipefail

mkdir -p "$PGDATA"
chmod 0700 "$PGDATA"
chmod 3775 /var/run/postgresql
if [[ ! -s $PGDATA/PG_VERSION ]]; then
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --options="-c listen_addresses=''" --wait start
    [[ $POSTGRES_DB == postgres ]] || createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sh; do
        [[ ! -e $script ]] || bash "$script"
    done
    pg_ctl --mode=fast --wait stop
fi
exec "$@"
