# shellcheck shell=bash
# Postgres and Redis from binaries of this machine: private data, private ports, loopback only.
# Sourced by scripts/with-services.

# What is wanted and not installed, as words.
local_missing() {
    local missing=()
    if wants postgres && ! postgres_bin >/dev/null; then missing+=(PostgreSQL); fi
    if wants redis && ! redis_bin >/dev/null; then missing+=(Redis); fi
    echo "${missing[*]}"
}

# `PostgreSQL 15.18` when the server that would be started has known holes in row-level security.
local_outdated() {
    local bin version
    if wants postgres && bin=$(postgres_bin); then
        version=$(postgres_version "$bin")
        postgres_patched "$version" || echo "PostgreSQL $version"
    fi
}

# The directory of `initdb` and `postgres`: a patched server before an outdated one, then PATH before
# Debian's directories, newest first.
postgres_bin() {
    local bin version candidates outdated=''
    candidates=$(
        for bin in initdb postgres; do
            if bin=$(command -v "$bin"); then dirname "$(readlink -f "$bin")"; fi
        done
        printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -rV
    )
    while read -r bin; do
        [[ -x $bin/initdb && -x $bin/postgres ]] || continue
        version=$(postgres_version "$bin") || continue
        ((${version%%.*} >= 15)) || continue
        if postgres_patched "$version"; then
            echo "$bin"
            return
        fi
        outdated=${outdated:-$bin}
    done <<<"$candidates"
    [[ $outdated ]] && echo "$outdated"
}

# `15.20`; nothing for a beta, which has no minor.
postgres_version() {
    "$1/postgres" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+' | head -n 1
}

# The minors of 2026-11-12 close CVE-2026-120154; CVE-2026-14666 went one release before.
postgres_patched() {
    local major=${1%%.*} minor=${1##*.}
    case $major in
    15) ((minor >= 20)) ;;
    16) ((minor >= 16)) ;;
    17) ((minor >= 12)) ;;
    18) ((minor >= 7)) ;;
    *) ((major > 18)) ;;
    esac
}

redis_bin() { command -v redis-server || command -v valkey-server; }

# The few tests that go through a pooler are left out where there is none.
pgbouncer_bin() { command -v pgbouncer || { [[ -x /usr/sbin/pgbouncer ]] && echo /usr/sbin/pgbouncer; }; }
# So are those that need a reverse proxy.
proxy_bin() { command -v "$1" || { [[ -x /usr/sbin/$1 ]] && echo "/usr/sbin/$1"; }; }

# The Debian packages of what is not installed and a few tests are left out without.
local_wished() {
    local proxy wished=()
    if wants postgres && ! pgbouncer_bin >/dev/null; then wished+=(pgbouncer); fi
    for proxy in nginx haproxy; do
        if ! proxy_bin "$proxy" >/dev/null; then wished+=("$proxy"); fi
    done
    echo "${wished[*]}"
}

local_up() {
    # Settings of the caller's own database are none of this one's.
    unset "${!PG@}"
    local_directory || return 1
    if wants postgres; then
        postgres_up || return 1
        if pgbouncer_bin >/dev/null; then pgbouncer_up || return 1; fi
    fi
    if wants redis; then redis_up || return 1; fi
}

local_down() {
    stop TERM "${pgbouncer_process-}" # at once; INT would wait for its clients
    stop QUIT "${postgres_process-}" # no checkpoint: the data is thrown away
    stop TERM "${redis_process-}"
    if [[ ${state-} ]]; then rm -rf "$state"; fi
}

# Makes `$state`, and finds `$as`, the words before a command that is to run as the services' user:
# Postgres refuses to run as root.
local_directory() {
    local user='' base
    as=()
    if ((EUID == 0)); then
        user=nobody
        if id -u postgres >/dev/null 2>&1; then user=postgres; fi
        if ! command -v setpriv >/dev/null; then
            say "needs setpriv (util-linux) to start Postgres as \`$user\`; or run as an ordinary user"
            return 1
        fi
        as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
    fi

    # A Unix socket's path holds about 100 bytes, and the services' user has to get there.
    for base in "${TMPDIR:-/tmp}" /tmp; do
        ((${#base} <= 60)) || continue
        state=$(mktemp -d "$base/mt-services.XXXXXX") || continue
        if [[ $user ]]; then chown "$user" "$state"; fi
        if "${as[@]}" test -w "$state"; then
            cd "$state" && return
        fi
        rmdir "$state"
    done
    state=
    say "found no place for a data directory: tried ${TMPDIR:-/tmp} and /tmp"
    return 1
}

# Where the kernel can tell a child that its parent died, the services also end with a supervisor
# that was killed outright. Sets `$bound`, the words that ask for it.
bind_to_supervisor() {
    if setpriv --pdeathsig "$1" true 2>/dev/null; then
        bound=(setpriv --pdeathsig "$1")
    else
        bound=()
    fi
}

postgres_up() {
    local bin data=$state/postgres log=$state/postgres.log port
    bin=$(postgres_bin)
    postgres_password=$(secret)
    (umask 077 && : >"$log" && echo "$postgres_password" >"$state/password")
    if ((EUID == 0)); then chown --reference="$state" "$state/password"; fi
    if ! "${as[@]}" "$bin/initdb" --pgdata="$data" --username=postgres --pwfile="$state/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync </dev/null >"$log" 2>&1; then
        show initdb "$log"
        return 1
    fi
    bind_to_supervisor QUIT
    for _ in {1..20}; do
        port=$(random_port)
        "${as[@]}" "${bound[@]}" "$bin/postgres" -D "$data" -p "$port" -k "$state" \
            -c listen_addresses=127.0.0.1 -c max_connections=300 \
            -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c wal_level=logical \
            </dev/null >"$log" 2>&1 &
        postgres_process=$!
        if started "$postgres_process" postgres_ready "$data"; then
            echo "MT_TEST_DATABASE_URL postgres://postgres:$postgres_password@127.0.0.1:$port/postgres"
            postgres_port=$port
            return
        fi
        # Another process has the port: binding is the only check of that which cannot race.
        grep -q "Address already in use" "$log" || break
    done
    show "Postgres did not start" "$log"
    return 1
}

# The eighth line of the lock file is the server's state; `pg_ctl --wait` reads it too.
postgres_ready() { [[ $(sed -n 8p "$1/postmaster.pid" 2>/dev/null) == ready* ]]; }

# A pooler in transaction mode in front of that server, for every database and login that it has.
pgbouncer_up() {
    local bin log=$state/pgbouncer.log settings=$state/pgbouncer.ini users=$state/pgbouncer.users port
    bin=$(pgbouncer_bin)
    (umask 077 && : >"$log" && : >"$settings" && echo "\"postgres\" \"$postgres_password\"" >"$users")
    if ((EUID == 0)); then chown --reference="$state" "$settings" "$users"; fi
    bind_to_supervisor TERM
    for _ in {1..20}; do
        port=$(random_port)
        # The server's connections are few, so that clients meet on them.
        cat >"$settings" <<-END
			[databases]
			* = host=127.0.0.1 port=$postgres_port
			[pgbouncer]
			listen_addr = 127.0.0.1
			listen_port = $port
			unix_socket_dir =
			pool_mode = transaction
			default_pool_size = 8
			max_client_conn = 500
			auth_type = scram-sha-256
			auth_file = $users
			auth_user = postgres
			ignore_startup_parameters = extra_float_digits
		END
        "${as[@]}" "${bound[@]}" "$bin" "$settings" </dev/null >"$log" 2>&1 &
        pgbouncer_process=$!
        if started "$pgbouncer_process" grep -q "process up" "$log"; then
            echo "MT_TEST_PGBOUNCER_URL postgres://postgres:$postgres_password@127.0.0.1:$port/postgres"
            return
        fi
        grep -q "Address already in use" "$log" || break
    done
    show "PgBouncer did not start" "$log"
    return 1
}

redis_up() {
    local bin password log=$state/redis.log port
    bin=$(redis_bin)
    password=$(secret)
    : >"$log"
    bind_to_supervisor TERM
    for _ in {1..20}; do
        port=$(random_port)
        # On standard input, since arguments can be read by every user of the machine.
        "${as[@]}" "${bound[@]}" "$bin" - >"$log" 2>&1 <<-END &
			bind 127.0.0.1
			port $port
			requirepass $password
			dir $state
			save ""
			appendonly no
		END
        redis_process=$!
        if started "$redis_process" grep -q "Ready to accept connections" "$log"; then
            echo "MT_TEST_REDIS_URL redis://default:$password@127.0.0.1:$port/"
            return
        fi
        grep -q "Address already in use" "$log" || break
    done
    show "Redis did not start" "$log"
    return 1
}

# Below the ports that the kernel hands out to outgoing connections.
random_port() { echo $((20000 + RANDOM % 12000)); }

# True once the rest of the line is; false when the process ended or 30 seconds have passed.
started() {
    local process=$1 tick
    shift
    for ((tick = 0; tick < 600; tick++)); do
        kill -0 "$process" 2>/dev/null || return 1
        if "$@"; then return 0; fi
        sleep 0.05
    done
    return 1
}

# Ends a process of ours by a signal, by SIGKILL after ten seconds.
stop() {
    [[ $2 ]] || return 0
    local tick
    kill -s "$1" "$2" 2>/dev/null
    for ((tick = 0; tick < 200; tick++)); do
        kill -0 "$2" 2>/dev/null || return 0
        sleep 0.05
    done
    kill -s KILL "$2" 2>/dev/null
}
