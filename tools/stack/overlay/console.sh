# Checks of the light overlay, compose.console.yaml. prove.sh sources this file; it is not a program.
# shellcheck shell=bash disable=SC2154,SC2034,SC2317 # prove.sh says where the deployment is, and calls this

console=http://127.0.0.1:3001

consoled() {
    compose --file "$deployment/compose.console.yaml" --file "$repository/tools/stack/overlay/compose.console.test.yaml" "$@"
}

# Replaces the other overlay, as an operator would.
light_overlay_is_added() {
    overlaid down --remove-orphans >"$known/down" 2>&1 || { cat "$known/down"; return 1; }
    up consoled && becomes_healthy "${base_services[@]}" console
}

# The link in the container's output opens the pages.
console_opens() {
    local link
    link=$(docker logs "$(container console)" 2>&1 | grep --only-matching 'http://127.0.0.1:3001/?token=[^ ]*' | tail -n 1)
    [[ -n $link ]] || { echo "no link in its output"; return 1; }
    fetch --output /dev/null --cookie-jar "$known/cookies" "$link" || return
    [[ $(fetch --output /dev/null --write-out '%{http_code}' "$console/") == 401 ]] || { echo "it opens without the link, too"; return 1; }
    shows / 'Overview' && echo "by the link that it prints, and not without"
}

# shows PATH TEXT
shows() {
    fetch --fail --cookie "$known/cookies" "$console$1" >"$known/page" || return
    grep --quiet --fixed-strings -- "$2" "$known/page" || { echo "$1 does not contain $2"; return 1; }
}

request_in_console() {
    shows "/requests/$(<"$known/creation")" /v1/organizations && shows "/traces/$(<"$known/creation")" /v1/organizations &&
        shows /logs socialize.organizations.created && echo "its page, its trace and its line"
}

# Its limits, by the checks of the other containers.
console_is_confined() {
    local all_services=(console)
    overlaid() { consoled "$@"; }
    limits_hold && roots_are_read_only && no_rights
}

console_survives_a_kill() {
    # Longer than the interval at which it writes what it holds.
    sleep 35
    docker kill --signal KILL "$(container console)" >/dev/null || return
    up consoled && eventually 60 healthy console >/dev/null && console_opens >/dev/null && eventually 30 request_in_console
}
