//! Traffic to other hosts that can be read or forged on the way.

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use super::Secret;
use super::values::is_loopback;

/// Returns the risk of the Postgres URL that the variable `name` holds: it leads to another host, whose certificate is
/// not verified.
#[must_use]
pub fn postgres_risk(name: &str, url: Option<&Secret>) -> Option<String> {
    url.is_some_and(is_unverified_postgres).then(|| {
        format!(
            "{name} leads to another host, and the certificate of its Postgres is not verified: add \
             `sslmode=verify-full`, with `sslrootcert` for a CA of your own"
        )
    })
}

/// Returns whether `url` is a Postgres URL that sqlx can parse.
#[must_use]
pub fn is_postgres_url(url: &str) -> bool {
    (url.starts_with("postgres://") || url.starts_with("postgresql://"))
        && url.parse::<PgConnectOptions>().is_ok()
}

fn is_unverified_postgres(url: &Secret) -> bool {
    let Ok(options) = url.reveal().parse::<PgConnectOptions>() else { return false };
    let is_verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    let is_local = options.get_socket().is_some()
        || options.get_host().starts_with('/')
        || is_loopback(options.get_host());
    !is_verified && !is_local
}

/// Returns whether `url` has a password and leads to another host by another scheme than `encrypted`.
#[cfg(feature = "redis")]
pub(super) fn sends_password_in_clear(url: &Secret, encrypted: &str) -> bool {
    Url::parse(url.reveal())
        .is_ok_and(|url| url.scheme() != encrypted && has_password(&url) && leads_away(&url))
}

#[cfg(any(feature = "mail", feature = "redis"))]
pub(super) fn has_password(url: &Url) -> bool {
    url.password().is_some_and(|password| !password.is_empty())
}

/// Returns whether `url` names a host that is not this machine.
#[must_use]
pub fn leads_away(url: &Url) -> bool {
    url.host_str().is_some_and(|host| !is_loopback(host))
}
