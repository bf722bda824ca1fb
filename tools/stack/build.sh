#!/usr/bin/env bash
# Builds the programs that tests run Socialize with: see `tools/stack/build.sh --help`.
set -euo pipefail

components_directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/machine.sh
source "$components_directory/../../scripts/machine.sh"

all_components=(alloy-syntax collector prometheus compose alertmanager tempo loki)

usage() {
    cat <<'USAGE'
Builds what tests run Socialize with, or check its configuration files with, from the Go module registry:
Prometheus and promtool, Alertmanager and amtool, Loki, Tempo, an OpenTelemetry Collector, Docker Compose, and the parser of
Alloy.

usage: tools/stack/build.sh DIRECTORY [COMPONENT…]

Each folder beside this script is a component, pinned by its go.mod and go.sum. Its programs go to DIRECTORY/bin and stay
there until its pins or the version of Go change. Everything takes about 25 minutes on two cores, up to 10 GB while it is being
built, and half a GB afterwards.
USAGE
}

# describe COMPONENT: sets the packages to build and their installed names.
describe() {
    build_flags=(-trimpath -buildvcs=false '-ldflags=-s -w')
    exempt_from_checksum_database=
    case $1 in
        prometheus)
            packages=(github.com/prometheus/prometheus/cmd/{prometheus,promtool})
            programs=(prometheus promtool)
            # Without the clients of twenty clouds, which our files do not use.
            build_flags+=(-tags=remove_all_sd)
            ;;
        loki)
            packages=(github.com/grafana/loki/v3/cmd/loki)
            programs=(loki)
            ;;
        tempo)
            packages=(github.com/grafana/tempo/cmd/tempo)
            programs=(tempo)
            # The checksum database does not contain this module; go.sum pins it.
            exempt_from_checksum_database=github.com/grafana/tempo
            ;;
        compose)
            packages=(github.com/docker/compose/v2/cmd)
            programs=(docker-compose)
            ;;
        alertmanager)
            # The newest version whose module contains the pages that the program embeds.
            packages=(github.com/prometheus/alertmanager/cmd/{alertmanager,amtool})
            programs=(alertmanager amtool)
            ;;
        collector)
            packages=(.)
            programs=(otelcol)
            # The checksum database does not contain this module; go.sum pins it.
            exempt_from_checksum_database=github.com/open-telemetry/opentelemetry-collector-contrib/receiver/httpcheckreceiver
            ;;
        alloy-syntax)
            packages=(.)
            programs=(alloy-syntax)
            ;;
        *) fail "there is no component '$1'. There are: ${all_components[*]}." ;;
    esac
}

# Inputs of the programs: while they are unchanged, the programs are reused.
pins_of() {
    {
        go env GOVERSION GOOS GOARCH
        printf '%s\n' "${build_flags[@]}" "${packages[@]}"
        sha256sum ./*
    } | sha256sum | cut -d' ' -f1
}

build() {
    local component=$1 index start=$SECONDS pins built output
    describe "$component"
    cd "$components_directory/$component"
    pins=$(pins_of)
    built=$directory/built/$component
    if [[ -f $built && $(<"$built") == "$pins" ]]; then
        echo "$component: built already"
        return
    fi
    echo "$component: building ${programs[*]}"
    output=$directory/unfinished/$component
    rm -rf "$output" "$built"
    mkdir -p "$output"
    for index in "${!packages[@]}"; do
        GONOSUMDB=$exempt_from_checksum_database nice -n 5 \
            go build -mod=readonly -p "$parallel_builds" "${build_flags[@]}" \
            -o "$output/${programs[$index]}" "${packages[$index]}" 2>&1 | without_downloads
    done
    mv "$output"/* "$directory/bin/"
    rmdir "$output"
    echo "$pins" >"$built"
    something_was_built=yes
    echo "$component: built after $((SECONDS - start)) s"
}

# One line per module would hide an error.
without_downloads() {
    sed -u '/^go: downloading /d'
}

[[ ${1-} != -h && ${1-} != --help ]] || { usage && exit; }
[[ -n ${1-} ]] || { usage >&2 && exit 2; }
mkdir -p "$1"
directory=$(cd "$1" && pwd)
shift
(($# > 0)) || set -- "${all_components[@]}"

need_go "$directory"
parallel_builds=$(nproc)
something_was_built=no
mkdir -p "$directory"/{bin,built,unfinished}

# Two checkouts share the directory.
exec {lock}>"$directory/lock"
if ! flock --nonblock "$lock"; then
    echo "Waiting for another build in $directory."
    flock "$lock"
fi

# Separate caches that can be removed: intermediate results are useless once the programs exist.
export GOMODCACHE=$directory/go/modules GOCACHE=$directory/go/compiled
export CGO_ENABLED=0 GOFLAGS='' GOWORK=off
for component in "$@"; do
    build "$component"
done
if [[ $something_was_built == yes ]]; then
    go clean -modcache
    rm -rf "$directory/go" "$directory/unfinished"
fi
