#!/usr/bin/env bash
# Runs Socialize with the programs and files of deploy/ in an isolated environment, for `./test
# stack`, `./test privacy`, `./test drills` and `./test outages`, which put these programs into the
# PATH. The tests are in crates/socialize/tests/stack/.
#
# usage: tools/stack/run.sh [TEST]      one of its tests, by default that of the step `stack`
set -euo pipefail

stack=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/machine.sh
source "$stack/../../scripts/machine.sh"
cd "$stack/../.."
test=${1:-everything_that_is_promised_is_seen}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
has jq || install_packages "Reading Compose files" jq

# built TARGET ARGUMENT…: path of the program built by cargo.
built() {
    local target=$1 program
    shift
    cargo "$@" --locked --message-format=json >"$scratch/messages" || return
    program=$(jq --raw-output --arg target "$target" \
        'select(.reason == "compiler-artifact" and .target.name == $target and .executable) | .executable' "$scratch/messages" | tail -n 1)
    [[ -x $program ]] || fail "cargo built no $target."
    echo "$program"
}

# Programs are built as for tests of the whole workspace, as in the step tests: any other choice has other features of its
# dependencies, and would compile all of them again.
if [[ $test == privacy::* || $test == drills::* ]]; then
    echo "Building Socialize with a leak, a panic and a hang."
    leaking=$(built socialize test --workspace --test stack --no-run --features socialize/leak-canary)
    # The next build replaces this file.
    cp "$leaking" "$scratch/leaking"
    export SOCIALIZE_LEAKING_PROGRAM=$scratch/leaking
fi
echo "Building the test."
program=$(built stack test --workspace --test stack --no-run)
SOCIALIZE_LABORATORY=$(built laboratory test --workspace --test process --no-run)
export SOCIALIZE_LABORATORY

if [[ $test == everything_that_is_promised_is_seen ]]; then
    # Needs Prometheus only, so it runs before the stack is started. SOCIALIZE_COMPARED_ONE_IN=1 compares all expressions.
    echo "Comparing the console with Prometheus."
    comparison=$(built differential test --workspace --test differential --no-run)
    SOCIALIZE_COMPARED_ONE_IN=${SOCIALIZE_COMPARED_ONE_IN:-12} "$comparison" --exact comparison::every_query_and_each_of_its_parts_has_the_results_of_prometheus --ignored --nocapture
fi

"$stack/render.sh" --file deploy/compose.yaml --file deploy/compose.observability.yaml >"$scratch/compose.json"
SOCIALIZE_STACK_COMPOSE_FILE=$scratch/compose.json \
    "$stack/isolate.sh" "$scratch/compose.json" "$program" --exact "$test" --ignored --nocapture --test-threads=1
