#!/usr/bin/env bash
# Starts the Compose files of deploy/, checks their promises, and prints the results as a table.
# tools/stack/overlay.sh calls it in separate namespaces, with an engine that has the images.
#
# usage: tools/stack/overlay/prove.sh DIRECTORY      where a copy of deploy/ goes, as an operator would have one
set -uo pipefail

repository=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../..")
deployment=$1
# Results of checks for later ones, as files, because checks run in processes of their own.
known=$deployment/known
api=http://127.0.0.1:8080
failures=0
table=()

base_services=(postgres api worker)
overlay_services=(alloy prometheus alertmanager loki tempo)
all_services=("${base_services[@]}" "${overlay_services[@]}")

# shellcheck source=tools/stack/overlay/data.sh
source "$repository/tools/stack/overlay/data.sh"
# shellcheck source=tools/stack/overlay/network.sh
source "$repository/tools/stack/overlay/network.sh"

# shellcheck source=tools/stack/overlay/console.sh
source "$repository/tools/stack/overlay/console.sh"

# The files must not depend on this machine's environment.
compose() {
    env -i PATH="$PATH" DOCKER_HOST="$DOCKER_HOST" DOCKER_CONFIG="$DOCKER_CONFIG" \
        docker-compose --progress quiet --project-directory "$deployment" \
        --file "$deployment/compose.yaml" --file "$repository/tools/stack/overlay/compose.test.yaml" "$@"
}

overlaid() {
    compose --file "$deployment/compose.observability.yaml" --file "$repository/tools/stack/overlay/compose.observability.test.yaml" "$@"
}

# check WHAT COMMAND…: the command's output is the result.
check() {
    local what=$1 seen verdict=ok
    shift
    if ! seen=$("$@" 2>&1); then
        verdict=FAILED
        failures=$((failures + 1))
    fi
    seen=$(awk 'NR > 1 { printf "; " } { printf "%s", $0 }' <<<"$seen")
    printf '%-7s %s: %s\n' "$verdict" "$what" "$seen"
    table+=("| $what | $seen | $verdict |")
}

# must WHAT COMMAND…: a check that the others depend on.
must() {
    local before=$failures
    check "$@"
    ((failures == before)) || { report; exit 1; }
}

# eventually SECONDS COMMAND…: prints the last output.
eventually() {
    local deadline=$((SECONDS + $1)) seen
    shift
    until seen=$("$@" 2>&1); do
        ((SECONDS < deadline)) || { echo "not in time: $seen"; return 1; }
        sleep 1
    done
    echo "$seen"
}

container() {
    docker ps --all --quiet --no-trunc --filter "label=com.docker.compose.service=$1"
}

# The process of a service as seen from this machine, or an error if it is not running.
process() {
    docker inspect --format '{{.State.Pid}}' "$(container "$1")" | grep --invert-match '^0$'
}

# address SERVICE NETWORK
address() {
    docker inspect --format "{{.NetworkSettings.Networks.$2.IPAddress}}" "$(container "$1")"
}

# Address of a service in the stores' network, where this machine is the gateway.
store() {
    address "$1" socialize_stores
}

fetch() {
    curl --silent --show-error --noproxy '*' --max-time 10 "$@"
}

# --- Healthy -----------------------------------------------------------------------------------------------------------------------

# healthy SERVICE…
healthy() {
    local service state wanted
    for service in "$@" migrate; do
        case $service in
            migrate) wanted="exited unchecked 0, restarts 0, out of memory false" ;;
            # Its image contains no program that could probe it.
            tempo) wanted="running unchecked 0, restarts 0, out of memory false" ;;
            *) wanted="running healthy 0, restarts 0, out of memory false" ;;
        esac
        state=$(docker inspect --format '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}unchecked{{end}} {{.State.ExitCode}}, restarts {{.RestartCount}}, out of memory {{.State.OOMKilled}}' \
            "$(container "$service")") || return
        [[ $state == "$wanted" ]] || { echo "$service is $state"; return 1; }
    done
    echo "$*, and migrate has ended without an error"
}

becomes_healthy() {
    local start=$SECONDS seen
    seen=$(eventually 180 healthy "$@") || { echo "$seen"; return 1; }
    echo "$seen, after $((SECONDS - start)) s"
}

stores_are_ready() {
    local targets
    targets=$(fetch --get "http://$(store prometheus):9090/api/v1/query" --data-urlencode 'query=up' |
        jq --raw-output '[.data.result[] | select(.value[1] == "1").metric.job] | sort | join(" ")')
    echo "Prometheus reaches $targets"
    # Grafana is not available.
    [[ $targets == "alertmanager collector loki prometheus tempo" ]]
}

doctor() {
    overlaid exec -T api socialize doctor >"$known/doctor" 2>&1 || { cat "$known/doctor"; return 1; }
    echo "ends without an error"
}

# --- Limits ---------------------------------------------------------------------------------------------------------------------------

# kernel_limit PID CONTROLLER FILE_OF_VERSION_1 FILE_OF_VERSION_2
kernel_limit() {
    local group
    if group=$(sed -n "s/^[0-9]*:$2://p" "/proc/$1/cgroup" | grep .); then
        cat "/sys/fs/cgroup/$2$group/$3"
    else
        group=$(sed -n 's/^0:://p' "/proc/$1/cgroup")
        cat "/sys/fs/cgroup$group/$4"
    fi
}

limits_hold() {
    local service pid memory processes wanted
    overlaid config --format json >"$known/config.json" || return
    for service in "${all_services[@]}"; do
        pid=$(process "$service") || { echo "$service does not run"; return 1; }
        memory=$(kernel_limit "$pid" memory memory.limit_in_bytes memory.max)
        processes=$(kernel_limit "$pid" pids pids.max pids.max)
        wanted=$(jq --raw-output --arg service "$service" '.services[$service] | "\(.mem_limit) \(.pids_limit)"' "$known/config.json")
        echo "$service $((memory / 1048576)) MiB, $processes processes"
        [[ "$memory $processes" == "$wanted" && $wanted =~ ^[1-9][0-9]*\ [1-9][0-9]*$ ]] || { echo "the file says $wanted"; return 1; }
        [[ $(docker inspect --format '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' "$(container "$service")") == "$wanted" ]] ||
            { echo "Docker says otherwise"; return 1; }
    done
}

# Even root, who sees the container's root from outside, cannot write to read-only mounts.
roots_are_read_only() {
    local service said pid
    for service in "${all_services[@]}"; do
        [[ $(docker inspect --format '{{.HostConfig.ReadonlyRootfs}}' "$(container "$service")") == true ]] ||
            { echo "Docker says that the root of $service can be written"; return 1; }
        pid=$(process "$service") || { echo "$service does not run"; return 1; }
        said=$(LC_ALL=C touch "/proc/$pid/root/written" 2>&1) && { echo "the root of $service was written"; return 1; }
        [[ $said == *"Read-only file system" ]] || { echo "$service: $said"; return 1; }
    done
    echo "a write into each of ${#all_services[@]}: Read-only file system"
}

no_rights() {
    local service pid status
    for service in "${all_services[@]}"; do
        pid=$(process "$service") || { echo "$service does not run"; return 1; }
        status=/proc/$pid/status
        awk '
            /^Uid:|^Gid:/ { for (id = 2; id <= 5; id++) if ($id == 0) wrong = 1 }
            /^Cap/ && $2 !~ /^0+$/ { wrong = 1 }
            /^NoNewPrivs:/ && $2 != 1 { wrong = 1 }
            /^Seccomp:/ && $2 != 2 { wrong = 1 }
            END { exit wrong }
        ' "$status" || { echo "$service:"; grep -E '^(Uid|Gid|Cap|NoNewPrivs|Seccomp)' "$status"; return 1; }
        echo "$service $(awk '/^Uid:/ { user = $2 } /^Gid:/ { print user ":" $2 }' "$status")"
    done
    echo "none is root or has a capability, none can get any"
}

# --- Down and up --------------------------------------------------------------------------------------------------------------------------

# Sends requests in the background, one after the other, until `count_requests`.
begin_requests() {
    : >"$known/going"
    : >"$known/statuses"
    {
        local path deadline=$((SECONDS + 300)) token
        token=$(<"$known/access_token")
        while [[ -e $known/going ]] && ((SECONDS < deadline)); do
            for path in /v1/organizations /health/ready; do
                fetch --output /dev/null --write-out '%{http_code}\n' --header "authorization: Bearer $token" "$api$path" \
                    >>"$known/statuses" 2>>"$known/errors" || true
                sleep 0.02
            done
        done
    } &
    requests=$!
}

# Sets `answered` and `failed`.
count_requests() {
    rm "$known/going"
    wait "$requests"
    answered=$(grep --count '^200$' "$known/statuses")
    failed=$(grep --count --invert-match '^200$' "$known/statuses")
}

base_containers() {
    local service
    for service in "${base_services[@]}"; do
        docker inspect --format '{{.Id}} {{.State.Pid}} {{.State.StartedAt}}' "$(container "$service")"
    done
}

# ends SERVICE…: each exits by itself when asked, before its time is over.
ends() {
    local service code at begun killed=no
    begun=$(date +%s%3N)
    overlaid stop "$@" >"$known/stop" 2>&1 || { cat "$known/stop"; return 1; }
    for service in "$@"; do
        read -r code at < <(docker inspect --format '{{.State.ExitCode}} {{.State.FinishedAt}}' "$(container "$service")")
        echo "$service ends with $code after $(($(date --date="$at" +%s%3N) - begun)) ms"
        # The Compose file explains why Tempo may be killed without loss.
        [[ $code == 0 || "$service $code" == "tempo 137" ]] || killed=yes
    done
    [[ $killed == no ]]
}

# The commands of deploy/README.md, "Remove the overlay", and back.
overlay_goes_and_comes() {
    local before after left answered failed requests start=$SECONDS killed=no
    before=$(base_containers)
    begin_requests
    ends "${overlay_services[@]}" || killed=yes
    overlaid rm --stop --force postgres-statistics "${overlay_services[@]}" >"$known/rm" 2>&1 || { count_requests; cat "$known/rm"; return 1; }
    left=$(docker ps --all --format '{{.Label "com.docker.compose.service"}}' | sort | xargs)
    # Longer than the export interval, so that the application notices the missing collector.
    sleep 20
    healthy "${base_services[@]}" >"$known/without" || { count_requests; cat "$known/without"; return 1; }
    up overlaid || { count_requests; return 1; }
    eventually 180 healthy "${all_services[@]}" >"$known/with" || { count_requests; cat "$known/with"; return 1; }
    after=$(base_containers)
    count_requests
    echo "$answered requests answered, $failed failed, in $((SECONDS - start)) s; left meanwhile: $left; the base keeps its processes"
    [[ $left == "api migrate postgres worker" && $before == "$after" ]] || { echo "- not so: $before / $after"; return 1; }
    ((answered > 100 && failed == 0)) || { sort "$known/statuses" "$known/errors" | uniq --count | head -n 10; return 1; }
    [[ $killed == no ]]
}

everything_goes_and_comes() {
    local answered failed requests left killed=no
    date +%s >"$known/before"
    begin_requests
    ends "${all_services[@]}" || killed=yes
    overlaid down >"$known/down" 2>&1 || { count_requests; cat "$known/down"; return 1; }
    left=$(docker ps --all --quiet)
    count_requests
    [[ -z $left ]] || { echo "containers are left"; return 1; }
    ((failed > 0)) || { echo "no request failed, so the loop above would have seen nothing"; return 1; }
    echo "$failed requests of the same loop failed meanwhile, so it sees failures"
    up overlaid || return
    eventually 180 healthy "${all_services[@]}" >"$known/with" || { cat "$known/with"; return 1; }
    [[ $killed == no ]]
}

# --- All of it ------------------------------------------------------------------------------------------------------------------------------

deploy() {
    # No prepared files of the checkout.
    mkdir -p "$deployment"
    cp --recursive "$repository/deploy/." "$deployment/"
    rm -rf "$deployment"/{secrets,settings.env,.env,backup,alertmanager/own.yml,alertmanager/receivers.yml}
    mkdir -p "$known"
    install --directory --mode=0750 --owner=10100 --group=10100 "$deployment/mail"
    "$deployment/prepare.sh" >"$known/prepared" || return
    cat >>"$deployment/settings.env" <<'SETTINGS'
SOCIALIZE_MAIL_FROM=Socialize <socialize@example.com>
SOCIALIZE_MAIL_DIRECTORY=/var/lib/socialize/mail
SETTINGS
    echo "prepare.sh, and two settings"
}

# up FUNCTION: shows the output on failure.
up() {
    "$1" up --detach --no-build --pull never >"$known/up" 2>&1 || { cat "$known/up"; return 1; }
}

say_why() {
    local service
    for service in "${all_services[@]}" migrate; do
        [[ -n $(container "$service") ]] || continue
        printf '\n-- the last lines of %s\n' "$service"
        docker inspect --format '{{with .State.Health}}{{range .Log}}health check: {{.ExitCode}} {{.Output}}{{end}}{{end}}' "$(container "$service")" | tail -n 5
        docker logs --tail 15 "$(container "$service")" 2>&1 | cut --characters=1-400
    done
}

# Prints the table and returns whether every check succeeded.
report() {
    ((failures == 0)) || say_why
    printf '\n| what | seen | verdict |\n|---|---|---|\n'
    printf '%s\n' "${table[@]}"
    if ((failures > 0)); then
        printf '\n%d of %d checks FAILED.\n' "$failures" ${#table[@]}
        return 1
    fi
}

base_runs_alone() {
    up compose && becomes_healthy "${base_services[@]}"
}

overlay_is_added() {
    up overlaid && becomes_healthy "${all_services[@]}"
}

must "A deployment is made" deploy
make_neighbour || exit
must "The base is complete by itself: all healthy" base_runs_alone
check "\`doctor\` in the API's container" doctor
must "A user, on the base alone" register
must "The overlay is added: all healthy" overlay_is_added
check "Prometheus scrapes the stack" eventually 60 stores_are_ready
must "A request through the published port" create_organization
check "its line in Loki" eventually 60 in_loki
check "its span in Tempo" eventually 60 in_tempo
check "its metric in Prometheus" eventually 60 in_prometheus
check "a line of the worker in Loki" eventually 60 worker_in_loki
check "Limits, as the kernel has them" limits_hold
check "Roots are read-only" roots_are_read_only
check "No container has rights" no_rights
check "Nothing listens beyond loopback" nothing_beyond_loopback
check "A neighbour who routes to the containers" neighbour_reaches_no_container
check "The application reaches no store" application_reaches_no_store
check "Collector and stores have no way out" overlay_has_no_way_out
check "The overlay is removed and added again under requests" overlay_goes_and_comes
check "\`down\` and \`up\` of everything" everything_goes_and_comes
check "The user is there afterwards" user_is_there
check "What was in Prometheus, Loki and Tempo is there afterwards" eventually 60 telemetry_survived
must "The light overlay takes its place: all healthy" light_overlay_is_added
check "The console opens" console_opens
must "A request through the published port" create_organization
check "what the console shows of it" eventually 60 request_in_console
check "The console is confined" console_is_confined
check "The console is killed, and has it still" console_survives_a_kill

report
