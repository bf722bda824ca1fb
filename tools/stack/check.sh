#!/usr/bin/env bash
# Validates the files of deploy/ with the programs that read them, or their parsers. `./test deploy`
# calls it with these programs in the PATH.
set -uo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/machine.sh
source "$repository/scripts/machine.sh"
cd "$repository/deploy" || exit 1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

# check WHAT COMMAND…: shows the output on failure.
check() {
    local what=$1
    shift
    if "$@" >"$scratch/output" 2>&1; then
        echo "ok      $what"
    else
        echo "FAILED  $what: $*"
        tail -30 "$scratch/output" | sed "s/^/        /"
        failures=$((failures + 1))
    fi
}

# render FILE…: the merged and resolved Compose files as JSON.
render() {
    local file arguments=()
    for file in "$@"; do
        arguments+=(--file "$file")
    done
    "$repository/tools/stack/render.sh" "${arguments[@]}"
}

# The overlay may add settings and list entries to the base, but must not change or remove any.
only_adds() {
    jq --null-input --raw-output --slurpfile base "$1" --slurpfile merged "$2" '
        def lost(base; merged; path):
            # The base sets nothing here, so nothing can be changed.
            if base == null then empty
            elif (base | type) == "object" and (merged | type) == "object" then
                base | keys[] as $key | lost(base[$key]; merged[$key]; path + [$key])
            elif (base | type) == "array" and (merged | type) == "array" then
                base[] as $entry | select(all(merged[]; . != $entry)) | (path + [$entry] | map(tostring) | join(" > "))
            elif base != merged then
                path | join(" > ")
            else empty end;
        lost($base[0]; $merged[0]; []) | "the overlay changes or removes: " + .
    ' >"$scratch/lost" && ! grep . "$scratch/lost"
}

# Guards against an empty overlay.
adds_services() {
    local added
    added=$(jq --null-input --raw-output --slurpfile base "$1" --slurpfile merged "$2" \
        '($merged[0].services | keys) - ($base[0].services | keys) | join(" ")')
    [[ $added == "alertmanager alloy grafana loki postgres-statistics prometheus tempo" ]] || { echo "it adds the services: $added" && false; }
}

# The output of prepare.sh for the example has its receivers and everything of the shipped file.
own_receivers() {
    local own=$scratch/deploy/alertmanager
    mkdir -p "$scratch/deploy"
    cp -r alertmanager settings.env.example "$scratch/deploy/"
    cp "$own/receivers.example.yml" "$own/receivers.yml"
    ./prepare.sh "$scratch/deploy" || return
    amtool check-config "$own/own.yml" || return
    diff <(amtool_routes "$own/own.yml") <(amtool_routes alertmanager/alertmanager.yml) || return
    [[ $(grep -c inhibit_rules: "$own/own.yml") == 1 && $(grep -c receivers: "$own/own.yml") == 1 ]]
}

amtool_routes() {
    amtool config routes --config.file="$1"
}

has jq || install_packages "Checking Compose files" jq

check "prepare.sh notices what Docker Compose changes in settings.env" "$repository/tools/stack/settings_file.sh"
check "compose.yaml" render compose.yaml
cp "$scratch/output" "$scratch/base.json"
check "compose.yaml with compose.console.yaml" render compose.yaml compose.console.yaml
cp "$scratch/output" "$scratch/light.json"
check "the light overlay changes nothing of the base" only_adds "$scratch/base.json" "$scratch/light.json"
check "compose.yaml with compose.observability.yaml" render compose.yaml compose.observability.yaml
cp "$scratch/output" "$scratch/merged.json"
check "compose.yaml with both overlays and compose.public-probe.yaml" \
    render compose.yaml compose.observability.yaml compose.public-probe.yaml
check "the overlay changes nothing of the base" only_adds "$scratch/base.json" "$scratch/merged.json"
check "the overlay adds its services" adds_services "$scratch/base.json" "$scratch/merged.json"

# Checks that memory-backed file systems have sizes, and the networks of each service.
tmpfs_have_sizes() {
    jq --raw-output '.services | to_entries[] | .key as $service | .value.tmpfs[]? | select(test("(:|,)size=") | not) | "\($service): \(.)"' \
        "$1" >"$scratch/lost" && ! grep . "$scratch/lost"
}

members() {
    local seen
    seen=$(jq --raw-output --arg network "$2" '[.services | to_entries[] | select(.value.networks | has($network)) | .key] | join(" ")' "$1")
    [[ $seen == "$3" ]] || { echo "in $2 are: $seen" && false; }
}

# Processes know only the password of the role that reads and writes rows; only the database knows
# the superuser's.
knows() {
    local seen
    seen=$(jq --raw-output --arg secret "$2" '[.services | to_entries[] | select(any(.value.secrets[]?; .source == $secret)) | .key] | join(" ")' "$1")
    [[ $seen == "$3" ]] || { echo "$2 is known to: $seen" && false; }
}

# cookie URL: the result of Grafana's entrypoint for it, with another program in place of Grafana.
cookie() {
    local script
    script=$(jq --raw-output '.services.grafana.entrypoint[2]' "$scratch/merged.json" | sed 's/\$\$/$/g')
    [[ $script == *"exec /run.sh" ]] || return
    GF_SERVER_ROOT_URL=$1 sh -c "${script%exec /run.sh} echo \"\${GF_SECURITY_COOKIE_SECURE-}\""
}

cookie_follows_the_url() {
    [[ $(cookie https://grafana.example.com) == true && -z $(cookie http://localhost:3000) && -z $(cookie http://https.example.com) ]]
}

check "compose: memory-backed file systems have sizes" tmpfs_have_sizes "$scratch/merged.json"
check "compose: only those who need it reach the database" members "$scratch/merged.json" database "api migrate postgres worker"
check "compose: nothing but the application is on its way out" members "$scratch/merged.json" default "api worker"
check "compose: processes know their own role" knows "$scratch/merged.json" database_url "api worker"
check "compose: migrations know the owner" knows "$scratch/merged.json" owner_database_url "migrate"
check "compose: nobody knows the superuser" knows "$scratch/merged.json" postgres_password "postgres"
check "compose: Grafana's cookie is secure where its URL is" cookie_follows_the_url

check "prometheus/prometheus.yml" promtool check config --lint=all --lint-fatal --syntax-only prometheus/prometheus.yml
check "prometheus/rules" promtool check rules --lint=all --lint-fatal prometheus/rules/*.yml
# Concurrently, because some of them simulate weeks.
check "prometheus/tests" xargs --null --max-args=1 --max-procs="$(nproc)" promtool test rules \
    < <(printf '%s\0' prometheus/tests/*.yml)
check "alertmanager/alertmanager.yml" amtool check-config alertmanager/alertmanager.yml
check "alertmanager/receivers.example.yml" own_receivers
check "otelcol/config.yaml" otelcol validate --config=otelcol/config.yaml
check "alloy/config.alloy" alloy-syntax alloy/config.alloy
check "loki/loki.yaml" loki -config.file=loki/loki.yaml -verify-config
check "tempo/tempo.yaml" tempo -config.file=tempo/tempo.yaml -config.verify=true

if ((failures > 0)); then
    echo "$failures checks FAILED."
    exit 1
fi
