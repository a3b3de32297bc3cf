//! The settings that production refuses.
//!
//! Facts that only the database knows (a superuser login, a version with known vulnerabilities) are checked after
//! connecting.

use mt_service::settings::Reader;

use super::Config;
use super::known_secrets::KNOWN;

/// Reports every setting that production refuses.
pub(super) fn check(r: &mut Reader<'_>, config: &Config) {
    r.require(&[
        ("DATABASE_URL", "the URL of a Postgres in prod"),
        ("SMTP_URL", "the URL of a mail server in prod"),
        ("STRIPE_WEBHOOK_SECRET", "the endpoint's secret in prod"),
    ]);
    // If unset, `config.auth.jwt_secret` is the default of dev, which is a known secret.
    config.auth.check_production(r, KNOWN);
    r.refuse_weak("ADMIN_TOKEN", config.admin_token.as_ref(), KNOWN);
    config.stripe.check_production(r);
    config.base_url.check_production(r);
    if let Some(mail) = &config.mail {
        mail.check_production(r);
    }
    config.rate_limits.check_production(r);
}
