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

# Runs a command for so many seconds at most; 124 when it had to be ended.
within() {
    local seconds=$1 tick
    shift
    "$@" &
    local process=$!
    for ((tick = 0; tick < seconds * 20; tick++)); do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.05
    done
    if kill -s KILL "$process" 2>/dev/null; then
        wait "$process" 2>/dev/null || true
        return 124
    fi
    wait "$process"
}

# Shows a log on standard error, indented below a heading.
show() {
    say "$1:"
    sed 's/^/    /' "$2" >&2 2>/dev/null || true
}

wants() { [[ " ${want[*]} " == *" $1 "* ]]; }
