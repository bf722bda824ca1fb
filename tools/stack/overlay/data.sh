# Actions of a user, and searches for their traces. prove.sh sources this file; it is not a program.
# shellcheck shell=bash disable=SC2154 # prove.sh says where the deployment is, and which services it has

# post PATH BODY [ARGUMENT…]: the response; its headers go to a file.
post() {
    local path=$1 body=$2
    shift 2
    fetch --fail-with-body --dump-header "$known/header" --header 'content-type: application/json' --data "$body" "$@" "$api$path"
}

request_id() {
    tr --delete '\r' <"$known/header" | sed -n 's/^x-request-id: //Ip'
}

credentials() {
    jq --null-input --compact-output --arg password "$(<"$known/password")" '{email: "ada@example.com", password: $password}'
}

# Token of the only e-mail, which is quoted-printable.
verification_token() {
    cat "$deployment"/mail/*.eml | tr --delete '\r' | sed -e ':join' -e '/=$/{N;s/=\n//;bjoin' -e '}' |
        sed -n 's/.*verify-email#token=3D\([A-Za-z0-9_-]*\).*/\1/p' | head -n 1 | grep .
}

log_in() {
    post /v1/auth/login "$(credentials)" | jq --exit-status --raw-output .access_token >"$known/access_token"
}

register() {
    head --bytes=24 /dev/urandom | base64 | tr '/+' 'ab' >"$known/password"
    post /v1/auth/register "$(credentials | jq '. + {display_name: "Ada"}')" >/dev/null || return
    eventually 60 verification_token >"$known/token" || { cat "$known/token"; return 1; }
    post /v1/auth/verify-email "$(jq --null-input --arg token "$(<"$known/token")" '{$token}')" >/dev/null || return
    log_in || return
    echo "registered, confirmed by the link in an e-mail, logged in"
}

create_organization() {
    post /v1/organizations '{"name": "Before"}' --header "authorization: Bearer $(<"$known/access_token")" >/dev/null || return
    request_id | grep . >"$known/creation" || return
    echo "POST /v1/organizations answers 201 and names its trace"
}

user_is_there() {
    local names
    log_in || { echo "the user cannot log in"; return 1; }
    names=$(fetch --header "authorization: Bearer $(<"$known/access_token")" "$api/v1/organizations" |
        jq --raw-output '[.. | .name? // empty] | join(" ")')
    echo "the user logs in and has the organization $names"
    [[ $names == Before ]]
}

# lines QUERY: number of lines in Loki in the last hour, or an error.
lines() {
    fetch --get "http://$(store loki):3100/loki/api/v1/query_range" --data-urlencode "query=$1" --data "start=$(($(date +%s) - 3600))" --data limit=100 |
        jq --exit-status '[.data.result[].values[]] | length'
}

in_loki() {
    local seen
    seen=$(lines "{service_name=\"socialize-api\"} | trace_id=\"$(<"$known/creation")\"") || { echo "no answer: $seen"; return 1; }
    echo "$seen with the trace's id"
    ((seen > 0))
}

in_tempo() {
    local spans
    spans=$(fetch "http://$(store tempo):3200/api/traces/$(<"$known/creation")" |
        jq --exit-status --raw-output '[.batches[].scopeSpans[].spans[] | .name] | join(", ")') || { echo "no trace"; return 1; }
    echo "$spans"
    [[ $spans == *"POST /v1/organizations"* ]]
}

# in_prometheus [TIME]: now, or at a time in the past.
in_prometheus() {
    local query='histogram_count(http_server_request_duration_seconds{http_route="/v1/organizations",http_request_method="POST",http_response_status_code="201"})'
    local seen created at=${1:-$(date +%s)}
    { seen=$(number "$query" "$at") && created=$(number socialize_organizations_created_total "$at"); } || { echo "no such series"; return 1; }
    echo "$seen such request, $created organization created"
    [[ $seen == 1 && $created == 1 ]]
}

number() {
    fetch --get "http://$(store prometheus):9090/api/v1/query" --data-urlencode "query=sum($1)" --data "time=$2" |
        jq --exit-status --raw-output '.data.result[0].value[1]'
}

worker_in_loki() {
    local seen
    seen=$(lines '{service_name="socialize-worker"}') || { echo "no answer: $seen"; return 1; }
    echo "$seen"
    ((seen > 0))
}

telemetry_survived() {
    in_prometheus "$(<"$known/before")" && in_loki && in_tempo
}
