# shellcheck shell=bash
# Postgres and Redis from docker-compose.test.yml. Sourced by scripts/with-services.

# A Docker engine that answers in a few seconds, with the Compose plugin.
compose_answers() {
    command -v docker >/dev/null || return 1
    within 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1 || return 1
    within 5 docker compose version >/dev/null 2>&1
}

# The project's name is this run's own, and the engine picks the ports: runs side by side never meet.
compose_up() {
    compose_log=$(mktemp "${TMPDIR:-/tmp}/mt-compose.XXXXXX") || return 1
    MT_TEST_PASSWORD=$(secret)
    export MT_TEST_PASSWORD
    compose=(docker compose --file "$root/docker-compose.test.yml" --project-name "mt-test-$(secret)")

    if ! within 300 "${compose[@]}" up --detach --wait "${want[@]}" </dev/null >"$compose_log" 2>&1; then
        show "docker compose" "$compose_log"
        return 1
    fi
    local address
    if wants postgres; then
        address=$(compose_address postgres 5432) || return 1
        echo "MT_TEST_DATABASE_URL postgres://postgres:$MT_TEST_PASSWORD@$address/postgres"
    fi
    if wants redis; then
        address=$(compose_address redis 6379) || return 1
        echo "MT_TEST_REDIS_URL redis://default:$MT_TEST_PASSWORD@$address/"
    fi
}

# An engine on another host publishes ports that are of no use here: find out before the tests do.
compose_address() {
    local address
    address=$("${compose[@]}" port "$1" "$2" 2>>"$compose_log") || return 1
    if ! within 5 bash -c ": <>/dev/tcp/${address%:*}/${address##*:}" 2>/dev/null; then
        say "the engine published $1 at $address, where nothing answers"
        return 1
    fi
    echo "$address"
}

compose_down() {
    if [[ ${compose-} ]]; then
        "${compose[@]}" down --volumes --remove-orphans --timeout 2 </dev/null >/dev/null 2>&1
    fi
    rm -f "${compose_log-}"
}
