# Sourced with ROOT set: leaves in UV the path of a uv, made in ROOT/.tools where none is on PATH.
# Needs python3 only; where that lacks venv or ensurepip, pip alone will do.

find_uv() {
    if command -v uv >/dev/null 2>&1; then
        UV=uv
        return
    fi
    local tools="$ROOT/.tools/uv"
    UV="$tools/bin/uv"
    if [ ! -x "$UV" ]; then
        echo "fetching uv into $tools (once)" >&2
        rm -rf "$tools"
        if python3 -c 'import venv, ensurepip' 2>/dev/null && python3 -m venv "$tools"; then
            "$tools/bin/python" -m pip install --quiet --disable-pip-version-check uv
        else
            python3 -m pip install --quiet --disable-pip-version-check --target "$tools" uv
        fi
    fi
}

find_uv
