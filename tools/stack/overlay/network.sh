# Checks of reachability. prove.sh sources this file; it is not a program.
# shellcheck shell=bash disable=SC2154 # prove.sh says where the deployment is, and which services it has

# Another host on this machine's network, and its route to the Internet: a network namespace at the
# end of a veth pair.
neighbour=192.0.2.2
this_machine=192.0.2.1

make_neighbour() {
    ip netns add neighbour
    ip link add uplink type veth peer name uplink netns neighbour
    ip address add "$this_machine/24" dev uplink
    ip link set uplink up
    ip -netns neighbour address add "$neighbour/24" dev uplink
    ip -netns neighbour link set uplink up
    ip route add default via "$neighbour"
    ip netns exec neighbour python3 -m http.server --bind "$neighbour" --directory "$known" 80 >/dev/null 2>&1 &
    eventually 30 fetch --output /dev/null "http://$neighbour/" >/dev/null
}

# connects ADDRESS PORT: succeeds, is refused (7), or times out (28).
connects() {
    curl --silent --noproxy '*' --connect-timeout 1 --max-time 4 --output /dev/null "http://$1:$2/" || {
        # Another protocol, or no data: the connection was established.
        local status=$?
        ((status == 7 || status == 28)) && return "$status"
    }
    return 0
}

nothing_beyond_loopback() {
    local published beyond port status
    published=$(for port in "${all_services[@]}"; do docker port "$(container "$port")"; done | sed 's/.* -> //' | sort | xargs)
    [[ $published == "127.0.0.1:8080 127.0.0.1:9464 127.0.0.1:9465" ]] || { echo "published: $published"; return 1; }
    beyond=$(ss --no-header --listening --tcp --udp --numeric | awk '$5 !~ /^(127\.|\[::1\])/')
    [[ -z $beyond ]] || { echo "$beyond"; return 1; }
    for port in 8080 9464 9465; do
        connects 127.0.0.1 "$port" || { echo "not even loopback reaches $port"; return 1; }
        ip netns exec neighbour bash -c "$(declare -f connects); connects $this_machine $port"
        status=$?
        # Refused rather than lost: this machine receives the packets.
        ((status == 7)) || { echo "a neighbour's connection to port $port ends with $status"; return 1; }
    done
    echo "published: $published; nothing else listens; a neighbour is refused at all three"
}

# A neighbour sends packets for the containers' networks to this machine, as any host on its network
# can.
neighbour_reaches_no_container() {
    local target service network port address seen major try
    try="$(declare -f connects); connects"
    ip -netns neighbour route replace 172.16.0.0/12 via "$this_machine"
    for target in "postgres socialize_database 5432" "alloy socialize_telemetry 4318" "prometheus socialize_stores 9090" "loki socialize_stores 3100" "tempo socialize_stores 3200" "alertmanager socialize_stores 9093"; do
        read -r service network port <<<"$target"
        address=$(address "$service" "$network")
        [[ $address == 172.* ]] || { echo "the address of $service is $address"; return 1; }
        ip netns exec neighbour bash -c "$try $address $port"
        [[ $? == @(7|28) ]] || { echo "$service answers on $port"; return 1; }
    done
    echo "postgres, alloy, prometheus, loki, tempo and alertmanager do not answer"
    # Published ports are handled separately.
    seen=$(ip netns exec neighbour bash -c "$try $(address api socialize_default) 8080" && echo reached)
    major=$(docker version --format '{{.Server.Version}}' | cut --delimiter=. --fields=1)
    if ((major >= 28)); then
        [[ -z $seen ]] || { echo "the API answers"; return 1; }
        echo "nor does the API"
    else
        # With the firewall rule of deploy/README.md for such an engine.
        iptables --insert DOCKER-USER --in-interface uplink --match conntrack --ctstate NEW --jump DROP
        ! ip netns exec neighbour bash -c "$try $(address api socialize_default) 8080" || { echo "the API answers in spite of the rule in deploy/README.md"; return 1; }
        { connects 127.0.0.1 8080 && from api "$neighbour" 80; } || { echo "the rule in deploy/README.md is too strict"; return 1; }
        echo "the API ${seen:-not reached}, as before Docker 28, and with the rule of deploy/README.md not"
    fi
}

# from SERVICE ADDRESS PORT: like `connects`, from the service's network.
from() {
    local pid
    pid=$(process "$1") || return
    nsenter --target "$pid" --net bash -c "$(declare -f connects); connects $2 $3"
}

# Only a refusal or a timeout counts, not a service that is not running.
does_not_reach() {
    from "$@"
    [[ $? == @(7|28) ]]
}

application_reaches_no_store() {
    local store service address port
    for store in "prometheus 9090" "alertmanager 9093" "loki 3100" "tempo 3200"; do
        port=${store#* }
        address=$(store "${store% *}")
        from alloy "$address" "$port" || { echo "not even the collector reaches ${store% *}"; return 1; }
        for service in api worker postgres; do
            does_not_reach "$service" "$address" "$port" || { echo "$service reaches ${store% *}"; return 1; }
        done
    done
    echo "api, worker and postgres reach none of prometheus, alertmanager, loki, tempo; the collector reaches all"
}

overlay_has_no_way_out() {
    local service
    from api "$neighbour" 80 || { echo "not even the API has one"; return 1; }
    for service in "${overlay_services[@]}"; do
        # It notifies receivers outside.
        [[ $service != alertmanager ]] || continue
        does_not_reach "$service" "$neighbour" 80 || { echo "$service has one"; return 1; }
    done
    echo "${overlay_services[*]} do not reach what is outside, but for alertmanager; the API does"
}
