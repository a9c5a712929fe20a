#!/usr/bin/env bash
# `bash run_all.sh --docker [down]`: builds, starts, waits until all is healthy, and prints the addresses.
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

usage() {
    cat <<'TEXT'
Usage: bash run_all.sh --docker [--large] [--observe] [--no-simulator]
       bash run_all.sh --docker down [--volumes]

Starts the lakehouse in containers, waits until all is healthy, and prints the addresses; `down` ends it and keeps its
data, `down --volumes` deletes them too.

  --large         three brokers, Spark's master and two workers, an S3-compatible store; choose before the first start
  --observe       Prometheus, and Grafana with a board
  --no-simulator  no simulated shop; feed Kafka yourself

Needs Docker with Compose 2.24 or later. Secrets are made at the first start, in docker/secrets. docs/containers.md
TEXT
}

fail() {
    echo "run_all.sh --docker: $*" >&2
    exit 1
}

need_docker() {
    command -v docker >/dev/null 2>&1 ||
        fail "there is no docker here; install Docker Engine (https://docs.docker.com/engine/install), or leave out --docker: \`bash run_all.sh\` needs only Python"
    local version
    version="$(docker compose version --short 2>/dev/null)" ||
        fail "docker has no Compose 2; install its plugin (https://docs.docker.com/compose/install), or leave out --docker"
    version="${version#v}"
    case "$version" in
        0.* | 1.* | 2.? | 2.?.* | 2.1?.* | 2.2[0-3].*)
            fail "Compose $version is too old: 2.24 or later is needed; update its plugin (https://docs.docker.com/compose/install)" ;;
    esac
    docker info >/dev/null 2>&1 ||
        fail "no Docker engine answers; start it, and see with \`docker info\` that you may use it, or leave out --docker"
}

# Files are readable to all, since each container reads them as a user of its own; the folder is closed to all others.
make_secrets() {
    local folder="$HERE/secrets"
    mkdir -p "$folder"
    chmod 700 "$folder"
    for name in api_key postgres_password grafana_password; do
        keep "$folder/$name" "$(random)"
    done
    keep "$folder/postgres_dsn" "postgresql://lakehouse_owner:$(cat "$folder/postgres_password")@postgres:5432/lakehouse"
    keep "$folder/store_keys" "$(printf '{"identities":[{"name":"lakehouse","credentials":[{"accessKey":"lakehouse","secretKey":"%s"}],"actions":["Admin","Read","Write","List"]}]}' "$(random)")"
}

keep() { # FILE TEXT: writes it where there is no such file yet
    [ -s "$1" ] && return
    (umask 077 && printf '%s\n' "$2" >"$1.part")
    chmod 444 "$1.part"
    mv -f "$1.part" "$1"
}

random() { # 32 letters and digits
    LC_ALL=C tr -dc 'A-Za-z0-9' < <(head -c 4096 /dev/urandom) | cut -c 1-32
}

tell_addresses() {
    echo "  dashboard  http://127.0.0.1:8501"
    echo "  api        http://${LAKEHOUSE_PUBLISH:-127.0.0.1}:8000 (its key is in docker/secrets/api_key)"
    echo "  quality    http://127.0.0.1:8502"
    echo "  mlflow     http://127.0.0.1:5000"
    echo "  kafka      127.0.0.1:19092"
    case " ${profiles[*]} " in *" large "*) echo "  store      http://127.0.0.1:8333 (its keys are in docker/secrets/store_keys)" ;; esac
    case " ${profiles[*]} " in *" observe "*)
        echo "  grafana    http://127.0.0.1:3000 (admin; the password is in docker/secrets/grafana_password)"
        echo "  prometheus http://127.0.0.1:9090" ;;
    esac
    echo "ask it with \`docker compose -f docker/compose.yaml exec writer lakehouse status\`; end it with \`bash run_all.sh --docker down\`"
}

compose=(docker compose --file "$HERE/compose.yaml")

down() {
    local options=(--remove-orphans)
    for argument in "$@"; do
        case "$argument" in
            --volumes) options+=(--volumes) ;;
            *) usage >&2; fail "down: $argument is not known" ;;
        esac
    done
    need_docker
    make_secrets # compose reads where they are, also to end what uses them
    "${compose[@]}" --profile '*' down "${options[@]}"
}

up() {
    local profiles=(simulator)
    for argument in "$@"; do
        case "$argument" in
            --large) profiles+=(large); compose+=(--env-file "$HERE/large.env") ;;
            --observe) profiles+=(observe) ;;
            --no-simulator) profiles=("${profiles[@]/#simulator/}") ;;
            -h | --help) usage; return ;;
            *) usage >&2; fail "$argument is not known" ;;
        esac
    done
    need_docker
    make_secrets
    for profile in "${profiles[@]}"; do
        [ -z "$profile" ] || compose+=(--profile "$profile")
    done
    "${compose[@]}" up --detach --build --wait --wait-timeout "${LAKEHOUSE_WAIT_S:-900}" ||
        fail "not all became healthy; see \`docker compose -f docker/compose.yaml ps --all\` and \`… logs SERVICE\`"
    tell_addresses
}

if [ "${1:-}" = down ]; then
    shift
    down "$@"
else
    up "$@"
fi
