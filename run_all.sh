#!/usr/bin/env bash
# Starts the whole lakehouse; needs nothing but python3. Options are those of `lakehouse up`.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$ROOT/.ci/uv.sh"
exec "$UV" run --project "$ROOT" --quiet --no-dev lakehouse up "$@"
