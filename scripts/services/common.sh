# shellcheck shell=bash
# What the parts of scripts/with-services share. Sourced, never run.

say() { echo "with-services: $*" >&2; }

die() {
    say "$*"
    exit 1
}

# `a b c` as `a, b, c`.
words() { echo "${1// /, }"; }

# 128 random bits in hexadecimal.
secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# Runs a command for so many seconds at most; 124 when it had to be ended. It has a process group of
# its own, since `docker` leaves the work to a child.
within() {
    local seconds=$1 tick
    shift
    set -m
    "$@" &
    within_group=$!
    set +m
    for ((tick = 0; tick < seconds * 20; tick++)); do
        kill -0 "$within_group" 2>/dev/null || break
        sleep 0.05
    done
    local status=0
    if kill -0 "$within_group" 2>/dev/null; then
        within_end
        return 124
    fi
    wait "$within_group" || status=$?
    within_group=
    return "$status"
}

# Ends what `within` runs at this moment.
within_end() {
    [[ ${within_group-} ]] || return 0
    kill -s KILL -- "-$within_group" 2>/dev/null || true
    wait "$within_group" 2>/dev/null || true
    within_group=
}

# Shows a log on standard error, indented below a heading.
show() {
    say "$1:"
    sed 's/^/    /' "$2" >&2 2>/dev/null || true
}

wants() { [[ " ${want[*]} " == *" $1 "* ]]; }
