# shellcheck shell=bash
# Installs what is missing with apt-get, without starting a service or making a cluster.
# Sourced by scripts/with-services.

debian_policy=/usr/sbin/policy-rc.d
debian_clusters=/etc/postgresql-common/createcluster.conf
debian_mark='create_main_cluster = off # scripts/with-services'

debian_can_install() {
    ((EUID == 0)) && [[ -e /etc/debian_version ]] && command -v apt-get >/dev/null && command -v flock >/dev/null
}

# Installs the missing and upgrades an outdated Postgres. A failed upgrade is not an error: the
# caller checks the installed versions again.
debian_install() {
    local packages=() wished=() outdated version log
    # Another run may be at it.
    exec {debian_lock}>/run/lock/mt-with-services
    flock "$debian_lock"
    case "$(local_missing)" in
    "PostgreSQL Redis") packages=(postgresql redis-server) ;;
    PostgreSQL) packages=(postgresql) ;;
    Redis) packages=(redis-server) ;;
    esac
    read -ra wished <<<"$(local_wished)"
    packages+=("${wished[@]}")
    outdated=$(local_outdated)
    version=${outdated#PostgreSQL }
    if [[ $outdated ]] && debian_may_upgrade "${version%%.*}"; then
        packages+=("postgresql-${version%%.*}")
    fi
    if ((${#packages[@]})); then
        log=$(mktemp "${TMPDIR:-/tmp}/mt-apt.XXXXXX")
        say "installing $(words "${packages[*]}") with apt-get, once"
        debian_hold_back
        if ! debian_apt "${packages[@]}" </dev/null >"$log" 2>&1; then show "apt-get" "$log"; fi
        debian_restore
        rm -f "$log"
    fi
    exec {debian_lock}>&-
}

# An upgrade restarts the clusters of its major version: with one running, it is not for us to do.
debian_may_upgrade() {
    dpkg-query --status "postgresql-$1" >/dev/null 2>&1 || return 1
    ! pg_lsclusters --no-header 2>/dev/null | grep -qE "^$1 .* online"
}

debian_apt() {
    export DEBIAN_FRONTEND=noninteractive MT_NO_SERVICES=1
    local apt=(apt-get --yes --quiet --option DPkg::Lock::Timeout=300)
    "${apt[@]}" update || return 1
    if [[ " $* " == *" postgresql "* ]]; then
        # First, since its settings say whether the server's package makes a cluster.
        "${apt[@]}" install --no-install-recommends postgresql-common || return 1
        grep -qxF "$debian_mark" "$debian_clusters" 2>/dev/null || echo "$debian_mark" >>"$debian_clusters"
    fi
    "${apt[@]}" install --no-install-recommends "$@"
}

# Debian asks this program whether a package may start its service. The one written here says no to
# this run's apt-get alone, so a copy that outlives a killed run affects no later run.
debian_hold_back() {
    [[ ! -e $debian_policy ]] || return 0
    debian_policy_ours=yes
    # shellcheck disable=SC2016 # expanded when it runs
    printf '%s\n' '#!/bin/sh' '[ -z "$MT_NO_SERVICES" ] || exit 101' >"$debian_policy"
    chmod 755 "$debian_policy"
}

debian_restore() {
    if [[ ${debian_policy_ours-} ]]; then
        rm -f "$debian_policy"
        debian_policy_ours=
    fi
    if grep -qxF "$debian_mark" "$debian_clusters" 2>/dev/null; then
        grep -vxF "$debian_mark" "$debian_clusters" >"$debian_clusters.mt" || true
        cat "$debian_clusters.mt" >"$debian_clusters" # keeps owner and mode
        rm -f "$debian_clusters.mt"
    fi
}
