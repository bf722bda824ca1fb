#!/usr/bin/env bash
# Prints Compose files, merged and resolved, as JSON. Arguments are those of `docker compose`, above all --file.
set -euo pipefail

# Docker's Compose plugin does the same, but is not required.
exec env -i PATH="$PATH" HOME="${HOME-/}" docker-compose --project-name socialize "$@" config --format json
