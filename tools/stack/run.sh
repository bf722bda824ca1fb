#!/usr/bin/env bash
# Runs Socialize with the programs and files of deploy/, on a machine of its own: the step `./test stack`, which has put these
# programs into the PATH. What is looked at is in crates/socialize/tests/stack/.
set -euo pipefail

stack=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/machine.sh
source "$stack/../../scripts/machine.sh"
cd "$stack/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
has jq || install_packages "Reading Compose files" jq

echo "Building the test."
cargo test --locked --package socialize --test stack --no-run --message-format=json >"$scratch/messages"
program=$(jq --raw-output 'select(.reason == "compiler-artifact" and .target.name == "stack" and .profile.test) | .executable' \
    "$scratch/messages")
[[ -x $program ]] || fail "cargo built no test."

"$stack/render.sh" --file deploy/compose.yaml --file deploy/compose.observability.yaml >"$scratch/compose.json"
SOCIALIZE_STACK_COMPOSE_FILE=$scratch/compose.json \
    "$stack/isolate.sh" "$scratch/compose.json" "$program" --ignored --nocapture --test-threads=1
