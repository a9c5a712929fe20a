#!/usr/bin/env bash
# Starts the whole lakehouse; needs nothing but python3. Options are those of `lakehouse up`. In containers, by Docker:
# `bash run_all.sh --docker`, and `bash run_all.sh --docker down` to end them.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
if [ "${1:-}" = --docker ]; then
    shift
    exec bash "$ROOT/docker/run.sh" "$@"
fi
. "$ROOT/.ci/uv.sh"
exec "$UV" run --project "$ROOT" --quiet --no-dev lakehouse up "$@"
