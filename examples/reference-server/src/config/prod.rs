//! The settings that production refuses.
//!
//! Facts that only the database knows (a superuser login, a version with known vulnerabilities) are checked after
//! connecting.

use super::Config;
use super::error::Got;
use super::known_secrets::{NOT_GUESSABLE, is_guessable};
use super::reader::Reader;
use super::secret::Secret;

/// The minimum length of a secret in bytes: the length of the hash that it keys (RFC 7518 §3.2).
const MIN_SECRET_BYTES: usize = 32;

/// Reports every setting that production refuses.
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
    secrets(r, config);
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
    if config.sends_mail_password_in_clear() {
        let takes = "in prod, with a password, `smtps://…` or `smtp://…?tls=required`, unless the \
                     host is this machine";
        r.refuse_secret("SMTP_URL", takes);
    }
    if config.rate_limits.trusts_every_address() {
        let got = Got::Plain(r.text("TRUSTED_PROXIES").unwrap_or_default());
        let takes = "in prod, the networks of the proxies alone: with a network of every address, each \
                     client chooses the address that it is limited by";
        r.refuse("TRUSTED_PROXIES", got, takes);
    }
}

fn secrets<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>, config: &Config) {
    let long = format!("at least {MIN_SECRET_BYTES} bytes in prod, with {NOT_GUESSABLE}");
    let is_weak =
        |secret: &Secret| secret.reveal().len() < MIN_SECRET_BYTES || is_guessable(secret.reveal());
    // If unset, `config.auth.jwt_secret` is the default of dev, which is a known secret.
    if is_weak(&config.auth.jwt_secret) {
        r.refuse_secret("JWT_SECRET", &long);
    }
    if config.auth.jwt_secret_previous.as_ref().is_some_and(is_weak) {
        r.refuse_secret("JWT_SECRET_PREVIOUS", &long);
    }
    if config.admin_token.as_ref().is_some_and(is_weak) {
        r.refuse_secret("ADMIN_TOKEN", &long);
    }
    let is_guessable = |secret: &Secret| is_guessable(secret.reveal());
    if config.stripe.webhook_secrets.iter().any(is_guessable) {
        r.refuse_secret("STRIPE_WEBHOOK_SECRET", &format!("in prod, secrets with {NOT_GUESSABLE}"));
    }
    if config.stripe.secret_key.as_ref().is_some_and(is_guessable) {
        r.refuse_secret("STRIPE_SECRET_KEY", &format!("in prod, a key with {NOT_GUESSABLE}"));
    }
}
