#!/usr/bin/env bash
# Runs a command with the files and host names of deploy/ in place: see `tools/stack/isolate.sh
# --help`.
set -euo pipefail

script=$(realpath "${BASH_SOURCE[0]}")
repository=$(realpath "$(dirname "$script")/../..")
# shellcheck source=scripts/machine.sh
source "$repository/scripts/machine.sh"

usage() {
    cat <<'USAGE'
Runs a command on a machine of its own, as far as it can tell: what the services of a Compose file mount is where they would
find it, the names of the services lead to addresses of the loopback interface, and nothing else can be reached. This
machine is not touched, and when the command ends, so does everything that it started.

usage: tools/stack/isolate.sh RENDERED_COMPOSE_FILE COMMAND [ARGUMENT…]

The file is the output of `docker compose config --format json`. It takes root, or the right to make user namespaces.
USAGE
}

# Lines of `bind SOURCE TARGET` and `directory TARGET` for the services' mounts. The OpenTelemetry
# Collector replaces Alloy and is no service.
mounts() {
    jq --raw-output '
        . as $file
        | .services[]
        | (.volumes[]? | if .type == "bind" then "bind \(.source) \(.target)" else "directory \(.target)" end),
          (.configs[]? | "bind \($file.configs[.source].file) \(.target)")
    ' "$compose_file" | sort -u
    echo "bind $repository/deploy/otelcol /etc/otelcol"
    echo "directory /var/lib/otelcol"
    echo "directory /run/secrets"
}

# One address per service, because two of them may listen on the same port.
hosts() {
    echo "127.0.0.1 localhost"
    jq --raw-output '.services | keys | to_entries[] | "127.0.0.\(.key + 11) \(.value)"' "$compose_file"
}

# mirror DIRECTORY: the new root gets the directory's entries, and more can be added.
mirror() {
    local entry
    mkdir -p "$root$1"
    for entry in "$1"/* "$1"/.[!.]*; do
        [[ ! -e $root$entry && ! -L $root$entry ]] || continue
        if [[ -L $entry ]]; then
            cp --no-dereference "$entry" "$root$entry"
        elif [[ -d $entry ]]; then
            mkdir -p "$root$entry"
            [[ -n ${extended[$entry]-} ]] || mount --rbind "$entry" "$root$entry"
        elif [[ -f $entry ]]; then
            : >"$root$entry"
            mount --bind "$entry" "$root$entry"
        fi
    done
}

# Existing directories with additions, as keys.
declare -A extended=()

extend_parents_of() {
    local directory
    directory=$(dirname "$1")
    while [[ $directory != / ]]; do
        [[ -L $directory || ! -d $directory ]] || extended[$directory]=yes
        directory=$(dirname "$directory")
    done
}

make_root() {
    local directory kind source target
    # A directory that exists on every Linux and is not needed here.
    root=/mnt
    mount -t tmpfs -o mode=755 stack "$root"
    mkdir -p "$root"/{etc,run,mnt}
    hosts >"$root/etc/hosts"
    while read -r kind source target; do
        [[ $kind == bind ]] || target=$source
        extend_parents_of "$target"
    done < <(mounts)
    unset 'extended[/run]'
    mirror ""
    while read -r directory; do
        mirror "$directory"
    done < <(printf '%s\n' "${!extended[@]}" | sort)

    while read -r kind source target; do
        # Beyond a link, the directories are those of this machine.
        [[ $(realpath --canonicalize-missing --relative-to="$root" "$root${target:-$source}") != ../* ]] ||
            fail "${target:-$source} leads out of the new root."
        if [[ $kind == directory ]]; then
            # Empty, even if this machine has files there.
            mkdir -p "$root$source"
            mount -t tmpfs -o mode=777 stack "$root$source"
        elif [[ ! -e $source ]]; then
            fail "$source does not exist, although a service mounts it."
        elif [[ -d $source ]]; then
            mkdir -p "$root$target"
            mount --bind "$source" "$root$target"
        else
            mkdir -p "$root$(dirname "$target")"
            : >"$root$target"
            mount --bind "$source" "$root$target"
        fi
    done < <(mounts)
}

enter() {
    ip link set lo up
    make_root
    # After `chroot` no user namespace could be created, in which root runs Postgres.
    mkdir "$root/mnt/old"
    cd "$root"
    pivot_root . mnt/old
    umount --lazy /mnt/old
    cd "$repository"
    # Not with `exec`: the first process of a PID namespace ignores signals without a handler, such
    # as Ctrl-C.
    local status=0
    "$@" || status=$?
    exit "$status"
}

[[ ${1-} != -h && ${1-} != --help ]] || { usage && exit; }
[[ -n ${2-} ]] || { usage >&2 && exit 2; }
compose_file=$(realpath "$1")
shift

if [[ -n ${SOCIALIZE_ISOLATED-} ]]; then
    unset SOCIALIZE_ISOLATED
    enter "$@"
fi
has jq || install_packages "Reading Compose files" jq
has ip || install_packages "A network of its own" iproute2
if [[ $(id -u) == 0 ]]; then
    as_root_of_its_own=()
elif unshare --user --map-root-user true 2>/dev/null; then
    as_root_of_its_own=(--user --map-root-user)
else
    fail "$(basename "$script") needs root, or the right to make user namespaces (kernel.unprivileged_userns_clone)."
fi
# When the first process of a PID namespace exits, all others are killed. It exits with its caller.
SOCIALIZE_ISOLATED=yes exec setpriv --pdeathsig KILL unshare "${as_root_of_its_own[@]}" --net --mount --pid --fork --kill-child --mount-proc \
    "$script" "$compose_file" "$@"
