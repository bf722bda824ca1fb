#!/usr/bin/env bash
# Runs the Compose files of deploy/ on a Docker engine: see `tools/stack/overlay.sh --help`.
set -euo pipefail

script=$(realpath "${BASH_SOURCE[0]}")
repository=$(realpath "$(dirname "$script")/../..")
# shellcheck source=scripts/machine.sh
source "$repository/scripts/machine.sh"
cd "$repository"

# Exit status of a step that could not run: neither success nor failure.
skipped=77
# A network namespace has its own loopback, so the ports of deploy/ are free, and no route to this
# machine or beyond.
namespaces=(--net --mount --pid --fork --kill-child --mount-proc)

usage() {
    cat <<'USAGE'
Runs the Compose files of deploy/ on a separate Docker engine, and checks their promises.

usage: tools/stack/overlay.sh DIRECTORY

Needs the programs of tools/stack in the PATH, and root, or sudo without a password. The engine stores its data below DIRECTORY
until this ends. The engine and its containers run in separate namespaces, which end with this script, also if it is killed: no
network, firewall rule, mount or process remains. Exit status 77 means that no engine can run here and nothing was checked.
USAGE
}

skip() {
    printf '\nSKIPPED: %s\n' "$*" >&2
    exit "$skipped"
}

# Finds the required programs and installs those that Debian has.
need_engine() {
    # Ordinary users of Debian do not have it in their PATH.
    PATH=$PATH:/usr/sbin:/sbin
    [[ $(uname -s) == Linux ]] || skip "a Docker engine runs on Linux only."
    [[ $(id -u) == 0 ]] || { has sudo && sudo -n true 2>/dev/null; } ||
        skip "a Docker engine takes root, and sudo asks for a password."
    has dockerd || (install_packages "A Docker engine" docker.io) ||
        skip "there is no Docker engine, and the package docker.io cannot be installed."
    # Newer releases of Debian have a separate package for it.
    has docker || (install_packages "Docker's client" docker-cli) || skip "there is a Docker engine and no client for it."
    has jq || install_packages "Reading what Docker says" jq
    has ip || install_packages "A network of its own" iproute2
    has curl || install_packages "Requests" curl
    as_root setpriv --pdeathsig KILL unshare "${namespaces[@]}" true || skip "namespaces cannot be made here, so containers cannot either."
    [[ -n $(newest_postgres_programs) ]] || install_packages "An image with the database" postgresql
}

newest_postgres_programs() {
    find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1
}

# Path of the application's program, built by cargo.
built_application() {
    cargo build --locked --package socialize --bin socialize --message-format=json >"$scratch/messages" || return
    jq --raw-output 'select(.reason == "compiler-artifact" and .target.name == "socialize" and .executable) | .executable' \
        "$scratch/messages" | tail -n 1
}

clean_up() {
    local hierarchy
    # Killed processes leave their cgroups behind. The kernel needs a moment to empty them.
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [[ -d $hierarchy/$group ]] || continue
        for _ in $(seq 50); do
            as_root find "$hierarchy/$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
            sleep 0.1
        done
    done
    as_root rm -rf "$scratch"
}

# Inside the namespaces: starts the engine and returns when it responds.
start_engine() {
    local engine deadline=$((SECONDS + 60))
    # Another engine on this machine has its sockets here, and this one must not use them.
    mount -t tmpfs -o mode=755 overlay /run
    ip link set lo up
    echo '{}' >"$scratch/daemon.json"
    export DOCKER_HOST=unix:///run/docker.sock DOCKER_CONFIG=$scratch/client DOCKER_BUILDKIT=0
    unset DOCKER_CONTEXT
    dockerd --host "$DOCKER_HOST" --config-file "$scratch/daemon.json" --data-root "$scratch/engine" --exec-root /run/docker \
        --pidfile /run/docker.pid --cgroup-parent "/$group" --exec-opt native.cgroupdriver=cgroupfs >"$scratch/dockerd.log" 2>&1 &
    engine=$!
    until docker version >/dev/null 2>&1; do
        { kill -0 "$engine" 2>/dev/null && ((SECONDS < deadline)); } || no_engine
        sleep 0.2
    done
    docker info --format 'Docker engine {{.ServerVersion}}, {{.Driver}}, cgroups of version {{.CgroupVersion}}' 2>/dev/null
    # If the kernel lacks memory limits, Docker warns and continues without.
    [[ $(docker info --format '{{.MemoryLimit}} {{.PidsLimit}}') == "true true" ]] ||
        skip "the kernel of this machine cannot limit memory or processes of containers."
}

no_engine() {
    tail -n 15 "$scratch/dockerd.log" >&2
    skip "the Docker engine does not start here, for the reason above."
}

[[ ${1-} != -h && ${1-} != --help ]] || { usage && exit; }
[[ -n ${1-} ]] || { usage >&2 && exit 2; }

if [[ -n ${SOCIALIZE_OVERLAY_INSIDE-} ]]; then
    unset SOCIALIZE_OVERLAY_INSIDE
    scratch=$1 group=$2
    export SOCIALIZE_APPLICATION=$3
    start_engine
    "$repository/tools/stack/overlay/images.sh" "$scratch/images" "$(newest_postgres_programs)"
    # Not with `exec`: the first process of a PID namespace ignores signals without a handler, such
    # as Ctrl-C.
    status=0
    "$repository/tools/stack/overlay/prove.sh" "$scratch/deploy" || status=$?
    exit "$status"
fi

need_engine
mkdir -p "$1"
scratch=$(mktemp -d "$(realpath "$1")/overlay.XXXXXX")
group=socialize-${scratch##*/}
trap clean_up EXIT
echo "Building Socialize."
application=$(built_application)
[[ -x $application ]] || fail "cargo built no socialize."
status=0
as_root env PATH="$PATH" HOME="$HOME" SOCIALIZE_OVERLAY_INSIDE=yes \
    setpriv --pdeathsig KILL unshare "${namespaces[@]}" "$script" "$scratch" "$group" "$application" || status=$?
((status == 0)) || exit "$status"
