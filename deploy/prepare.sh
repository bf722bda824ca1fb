#!/usr/bin/env bash
# Creates secrets, a file of settings to fill in, and Alertmanager's configuration with your
# receivers. Existing secrets and settings are kept.
#
# usage: ./prepare.sh [DIRECTORY]      the directory of compose.yaml, by default the one of this script
set -euo pipefail

cd "${1:-$(dirname "${BASH_SOURCE[0]}")}"

# Each container has its own user and gets the file as it is, so all may read it; only the owner can
# enter the directory.
mkdir -p secrets
chmod 700 secrets

random() {
    head --bytes=32 /dev/urandom | base64 | tr --delete '/+=\n'
}

# secret NAME VALUE
secret() {
    if [[ -e secrets/$1 ]]; then
        echo "secrets/$1 exists and stays."
    else
        (umask 077 && printf '%s\n' "$2" >"secrets/$1.new")
        chmod 444 "secrets/$1.new"
        mv "secrets/$1.new" "secrets/$1"
        echo "secrets/$1 is new."
    fi
}

secret postgres_password "$(random)"
secret owner_password "$(random)"
secret application_password "$(random)"
# Processes read and write rows as one role; migrations create tables as another.
secret database_url "postgres://socialize:$(cat secrets/application_password)@postgres/socialize"
secret owner_database_url "postgres://socialize_owner:$(cat secrets/owner_password)@postgres/socialize"
# For the role that reads Postgres's statistics, and for the superuser, who creates it.
secret statistics_database_url "postgres://socialize_statistics:$(random)@postgres/socialize?sslmode=disable"
secret superuser_database_url "postgres://postgres:$(cat secrets/postgres_password)@postgres/socialize"
secret server_secret "$(random)$(random)"
secret grafana_admin_password "$(random)"
# To be filled in if settings.env names them.
secret smtp_password ""
secret s3_secret_access_key ""
# To be filled in if alertmanager/receivers.yml names them.
secret alert_smtp_password ""
secret alert_webhook_url ""
secret alert_watchdog_url ""

if [[ -e settings.env ]]; then
    echo "settings.env exists and stays."
else
    (umask 077 && cp settings.env.example settings.env)
    echo "settings.env is new: fill in what it asks for."
fi

# notice NUMBER NAME PROBLEM: does not print the value, which may be a secret.
notice() {
    echo "settings.env, line $1: $2 $3" >&2
}

# Reports values of settings.env that Docker Compose changes: it interpolates $, ends values at a #
# after a blank, and leaves single-quoted text unchanged.
check_settings() {
    local line name value number=0
    # Quoted text, with escaped quotes and an optional comment.
    local single="^'([^'\\\\]|\\\\.)*'[[:space:]]*(#.*)?\$" double='^"([^"\\]|\\.)*"[[:space:]]*(#.*)?$'
    while IFS= read -r line || [[ -n $line ]]; do
        number=$((number + 1))
        line=${line#$'\xef\xbb\xbf'}
        line=${line%$'\r'}
        [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z_0-9.]*)[[:space:]]*[=:][[:space:]]*(.*)$ ]] || continue
        name=${BASH_REMATCH[2]}
        value=${BASH_REMATCH[3]}
        if [[ $value == \'* ]]; then
            [[ $value =~ $single ]] ||
                notice "$number" "$name" "is not in one pair of single quotes: Docker Compose refuses it or takes a part of it."
            continue
        fi
        if [[ $value == \"* ]]; then
            [[ $value =~ $double ]] ||
                notice "$number" "$name" "is not in one pair of quotation marks: Docker Compose refuses it or takes a part of it."
        elif [[ $value =~ [[:blank:]]\# && $value != \#* ]]; then
            value=${value%%[[:blank:]]\#*}
            notice "$number" "$name" "ends before the # for Docker Compose, which takes the rest for a comment. Where it is none, write the value in 'single quotes'."
        fi
        if [[ $value =~ \$[A-Za-z_{$] ]]; then
            notice "$number" "$name" "contains a \$, with which Docker Compose replaces what follows. Write the value in 'single quotes'."
        fi
    done <settings.env
}

check_settings

# Alertmanager's shipped file with your receivers instead of its last section; repeated after each
# upgrade.
if [[ -e alertmanager/receivers.yml ]]; then
    {
        sed '/^receivers:/,$d' alertmanager/alertmanager.yml
        cat alertmanager/receivers.yml
    } >alertmanager/own.yml
    echo "alertmanager/own.yml is new. Alertmanager reads it where .env says ALERTMANAGER_CONFIG=own.yml."
fi
