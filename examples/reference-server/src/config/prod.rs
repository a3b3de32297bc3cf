//! What production refuses to start with, as far as the environment tells.
//!
//! What only the database can tell (a login that is superuser, a version with known holes) is
//! refused once it is connected.

use super::Config;
use super::error::Got;
use super::reader::Reader;
use super::sections::DEV_JWT_SECRET;

/// The least bytes of a secret: as many as the hash that it keys has (RFC 7518 §3.2).
const MIN_SECRET_BYTES: usize = 32;

/// Notes everything that production must not do with.
pub(super) fn check<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>, config: &Config) {
    for (name, purpose) in [
        ("DATABASE_URL", "the URL of a Postgres in prod"),
        ("SMTP_URL", "the URL of a mail server in prod"),
        ("STRIPE_WEBHOOK_SECRET", "the endpoint's secret in prod"),
    ] {
        if r.text(name).is_none() {
            r.refuse(name, Got::Unset, purpose);
        }
    }
    let strong = format!("at least {MIN_SECRET_BYTES} bytes in prod, and not the default of dev");
    let is_weak = |secret: &str| secret.len() < MIN_SECRET_BYTES || secret == DEV_JWT_SECRET;
    // Unset, `config.auth.jwt_secret` is that default.
    if is_weak(config.auth.jwt_secret.reveal()) {
        r.refuse_secret("JWT_SECRET", &strong);
    }
    if config.auth.jwt_secret_previous.as_ref().is_some_and(|secret| is_weak(secret.reveal())) {
        r.refuse_secret("JWT_SECRET_PREVIOUS", &strong);
    }
    if config.admin_token.as_ref().is_some_and(|token| token.reveal().len() < MIN_SECRET_BYTES) {
        r.refuse_secret("ADMIN_TOKEN", &format!("at least {MIN_SECRET_BYTES} bytes in prod"));
    }
    if let Some(base) = r.text("STRIPE_API_BASE") {
        r.refuse(
            "STRIPE_API_BASE",
            Got::Plain(base),
            "nothing in prod: the key is for Stripe alone",
        );
    }
    if config.base_url.is_exposed() {
        let got = Got::Plain(config.base_url.as_str().to_owned());
        r.refuse("BASE_URL", got, "https in prod, unless the host is this machine");
    }
}
