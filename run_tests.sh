#!/usr/bin/env bash
# Runs the tests but the longest; needs nothing but python3. Options are those of pytest: `./run_tests.sh -m long`.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$ROOT/.ci/uv.sh"
cd "$ROOT"
exec "$UV" run pytest "$@"
