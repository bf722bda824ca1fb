#!/usr/bin/env bash
# Prints Compose files, merged and resolved, as JSON. Arguments are those of `docker compose`, above all --file.
set -euo pipefail

# Compose's own plugin of Docker does the same, and is not needed for that.
exec env -i PATH="$PATH" HOME="${HOME-/}" docker-compose --project-name socialize "$@" config --format json
