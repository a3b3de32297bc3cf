//! Settings of production: defaults, and values that it refuses.

use reference_server::config::Config;

use super::{read, refused};
use crate::support::{production, secret};

/// Returns the problems of production settings with these values replaced or added.
fn refused_in_prod(more: &[(&str, &str)]) -> Vec<&'static str> {
    let mut vars = production();
    vars.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    refused(&vars.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>())
}

#[test]
fn production_has_defaults_of_its_own() {
    let vars = production();
    let config = Config::from_vars(|name| vars.get(name).cloned()).unwrap();
    assert!(config.app_env.is_prod());
    assert_eq!(config.stripe.livemode, Some(true));
    assert_eq!(config.rate_limits.email_per_hour.map(u32::from), Some(10));
    assert_eq!(config.rate_limits.links_per_minute.map(u32::from), Some(600));
    assert_eq!(config.rate_limits.invites_per_hour.map(u32::from), Some(20));
    assert_eq!(config.rate_limits.billing_per_minute.map(u32::from), Some(30));
    assert_eq!(config.rate_limits.api_per_minute.map(u32::from), Some(1200));
    let mut off = production();
    off.insert("RATE_LIMIT_API_PER_MIN".to_owned(), "0".to_owned());
    let off = Config::from_vars(|name| off.get(name).cloned()).unwrap();
    assert_eq!(off.rate_limits.api_per_minute, None);
    assert!(config.admin_token.is_none(), "no token that anybody knows");
}

#[test]
fn production_refuses_development_settings() {
    let default = read(&[]).unwrap().auth.jwt_secret.reveal().to_owned();
    let (blank, short) = (" ".repeat(40), &secret()[..31]);
    let (one_byte, few) = ("a".repeat(64), "password".repeat(8));
    let one_of_two = format!("{},{few}", secret());
    let mut wrong = vec![
        ("DATABASE_URL", ""),
        ("SMTP_URL", ""),
        ("SMTP_URL", "smtp://u:p@mail.example.org:587"),
        ("STRIPE_WEBHOOK_SECRET", ""),
        ("STRIPE_WEBHOOK_SECRET", crate::support::SECRET),
        ("STRIPE_WEBHOOK_SECRET", "whsec_test"),
        ("STRIPE_WEBHOOK_SECRET", &one_of_two),
        ("STRIPE_SECRET_KEY", "sk_test_1"),
        ("STRIPE_SECRET_KEY", &one_byte),
        ("JWT_SECRET", ""),
        ("ADMIN_TOKEN", "dev-admin"),
        ("BASE_URL", "http://teams.example.org"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0"),
        ("TRUSTED_PROXIES", "::/0"),
    ];
    for name in ["JWT_SECRET", "JWT_SECRET_PREVIOUS", "API_KEY_SECRET", "ADMIN_TOKEN"] {
        wrong.extend([short, &one_byte, &few, &default].map(|value| (name, value)));
    }
    wrong.extend(
        ["JWT_SECRET", "JWT_SECRET_PREVIOUS", "API_KEY_SECRET"].map(|name| (name, &*blank)),
    );
    for (name, value) in &wrong {
        assert_eq!(refused_in_prod(&[(name, value)]), [*name], "{name}={value:?}");
        // The control: it is production that refuses.
        let in_dev = [(*name, *value), ("MAIL_FROM", "a@b.example")];
        assert_eq!(refused(&in_dev), [""; 0], "{name}={value:?} in dev");
    }
    let good = secret();
    let two = format!("whsec_{good},{}", secret());
    for (name, value) in [
        ("ADMIN_TOKEN", &*good),
        ("BASE_URL", "http://localhost:8000"),
        ("BASE_URL", ""),
        ("JWT_SECRET_PREVIOUS", &good),
        ("API_KEY_SECRET", &good),
        ("STRIPE_SECRET_KEY", &format!("sk_live_{good}")),
        ("STRIPE_WEBHOOK_SECRET", &two),
        ("SMTP_URL", "smtp://u:p@mail.example.org?tls=required"),
        ("SMTP_URL", "smtp://mail:1025"),
        ("DATABASE_URL", "postgres://u:p@h/d?sslmode=disable"),
        ("REDIS_URL", "redis://:p@h"),
        ("TRUSTED_PROXIES", "10.0.0.0/8"),
    ] {
        assert_eq!(refused_in_prod(&[(name, value)]), [""; 0], "{name}={value:?}");
    }
    // All of them at once.
    let all = [
        "JWT_SECRET",
        "JWT_SECRET_PREVIOUS",
        "API_KEY_SECRET",
        "ADMIN_TOKEN",
        "STRIPE_WEBHOOK_SECRET",
        "STRIPE_SECRET_KEY",
    ];
    assert_eq!(refused_in_prod(&all.map(|name| (name, &*few))), all);
}
