//! Settings that send secrets unencrypted or trust every proxy.

use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::values::is_loopback;
use super::{Config, RateLimitConfig, Secret};

impl Config {
    /// Returns the risks on the way to other services, a sentence each: traffic that can be read or forged. `doctor`
    /// shows them, and the server logs them when it starts.
    ///
    /// They are warnings, because the network may be private, as in Compose.
    #[must_use]
    pub fn transport_risks(&self) -> Vec<String> {
        let mut risks = Vec::new();
        let databases = [
            ("DATABASE_URL", &self.database.url),
            ("SYSTEM_DATABASE_URL", &self.database.system_url),
            ("MIGRATE_DATABASE_URL", &self.database.migrate_url),
        ];
        for (name, url) in databases {
            let is_new =
                name == "DATABASE_URL" || !is_same(url.as_ref(), self.database.url.as_ref());
            if is_new && url.as_ref().is_some_and(is_unverified_postgres) {
                risks.push(format!(
                    "{name} leads to another host, and the certificate of its Postgres is not verified: \
                     add `sslmode=verify-full`, with `sslrootcert` for a CA of your own"
                ));
            }
        }
        if self.redis.url.as_ref().is_some_and(sends_redis_password_in_clear) {
            risks.push(
                "REDIS_URL has a password and leads to another host without TLS: use `rediss://`"
                    .to_owned(),
            );
        }
        if self.sends_mail_password_in_clear() {
            risks.push(
                "SMTP_URL has a password and leads to another host without TLS: use `smtps://`, or add \
                 `?tls=required`"
                    .to_owned(),
            );
        }
        let collector = self.traces.endpoint().and_then(|url| Url::parse(&url).ok());
        if collector.is_some_and(|url| url.scheme() == "http" && leads_away(&url))
            && !self.traces.header_list().is_empty()
        {
            risks.push(
                "OTEL_EXPORTER_OTLP_HEADERS go to another host without TLS: use an https endpoint"
                    .to_owned(),
            );
        }
        if self.rate_limits.trusts_every_address() {
            risks.push(
                "TRUSTED_PROXIES holds a network of every address: each client chooses the address that \
                 it is limited by"
                    .to_owned(),
            );
        }
        risks
    }

    /// Returns whether the password in `SMTP_URL` goes to another host without TLS, or with TLS only if the server
    /// offers it, which an attacker can prevent.
    pub(super) fn sends_mail_password_in_clear(&self) -> bool {
        let url = self.mail.as_ref().and_then(|mail| Url::parse(mail.smtp_url.reveal()).ok());
        url.is_some_and(|url| {
            let requires_tls = url.query_pairs().find(|(name, _)| name == "tls");
            let requires_tls = requires_tls.is_some_and(|(_, value)| value == "required");
            url.scheme() != "smtps" && !requires_tls && has_password(&url) && leads_away(&url)
        })
    }
}

impl RateLimitConfig {
    /// Returns whether forwarding headers are trusted from every address.
    pub(super) fn trusts_every_address(&self) -> bool {
        self.trusted_proxies.iter().any(|network| network.prefix_len() == 0)
    }
}

fn is_same(one: Option<&Secret>, other: Option<&Secret>) -> bool {
    one.map(Secret::reveal) == other.map(Secret::reveal)
}

fn is_unverified_postgres(url: &Secret) -> bool {
    let Ok(options) = url.reveal().parse::<PgConnectOptions>() else { return false };
    let is_verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    let is_local = options.get_socket().is_some()
        || options.get_host().starts_with('/')
        || is_loopback(options.get_host());
    !is_verified && !is_local
}

fn sends_redis_password_in_clear(url: &Secret) -> bool {
    Url::parse(url.reveal())
        .is_ok_and(|url| url.scheme() != "rediss" && has_password(&url) && leads_away(&url))
}

fn has_password(url: &Url) -> bool {
    url.password().is_some_and(|password| !password.is_empty())
}

fn leads_away(url: &Url) -> bool {
    url.host_str().is_some_and(|host| !is_loopback(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn risks(vars: &[(&str, &str)]) -> Vec<String> {
        let value = |name: &str| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let risks = Config::from_vars(value).unwrap().transport_risks();
        let name = |risk: String| risk.split(' ').next().unwrap_or_default().to_owned();
        risks.into_iter().map(name).collect()
    }

    #[test]
    fn each_risk_is_reported_and_its_fix_is_not() {
        for (name, risky, safe) in [
            (
                "DATABASE_URL",
                &[
                    "postgres://u:p@h/d",
                    "postgres://u:p@10.0.0.1/d?sslmode=require",
                    "postgres://u@h/d?sslmode=disable",
                ][..],
                &[
                    "postgres://u:p@h/d?sslmode=verify-full",
                    "postgres://u:p@h/d?sslmode=verify-ca",
                    "postgres://u:p@localhost/d",
                    "postgres://u:p@127.0.0.1/d",
                    "postgres://u:p@[::1]/d",
                    "postgres:///d?host=/run/postgresql",
                    "postgres://%2Frun%2Fpostgresql/d",
                ][..],
            ),
            (
                "REDIS_URL",
                &["redis://:p@h", "redis://u:p@10.0.0.1:6379/0"],
                &["redis://h", "rediss://:p@h", "redis://:p@localhost", "redis://:p@127.0.0.1"],
            ),
            (
                "SMTP_URL",
                &["smtp://u:p@h:587", "smtp://u:p@h?tls=opportunistic"],
                &[
                    "smtp://h:25",
                    "smtps://u:p@h",
                    "smtp://u:p@h?tls=required",
                    "smtp://u:p@localhost",
                ],
            ),
            (
                "TRUSTED_PROXIES",
                &["0.0.0.0/0", "::/0", "10.0.0.0/8,0.0.0.0/0"],
                &["10.0.0.0/8", "0.0.0.0/32", "fd00::/8"],
            ),
        ] {
            for value in risky {
                assert_eq!(
                    risks(&[(name, value), ("MAIL_FROM", "a@b.example")]),
                    [name],
                    "{value}"
                );
            }
            for value in safe {
                assert_eq!(
                    risks(&[(name, value), ("MAIL_FROM", "a@b.example")]),
                    [""; 0],
                    "{value}"
                );
            }
        }
    }

    #[test]
    fn unencrypted_collector_headers_are_reported() {
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=x");
        let to = |url| ("OTEL_EXPORTER_OTLP_ENDPOINT", url);
        assert_eq!(risks(&[headers, to("http://otel")]), ["OTEL_EXPORTER_OTLP_HEADERS"]);
        for safe in [
            &[headers, to("https://otel")][..],
            &[headers, to("http://localhost")],
            &[to("http://otel")],
        ] {
            assert_eq!(risks(safe), [""; 0], "{safe:?}");
        }
    }

    #[test]
    fn the_migrators_login_is_reported_if_it_differs() {
        let away = "postgres://u:p@h/d";
        assert_eq!(
            risks(&[("DATABASE_URL", away), ("MIGRATE_DATABASE_URL", away)]),
            ["DATABASE_URL"]
        );
        let other = "postgres://m:p@h/d";
        let both = [("DATABASE_URL", away), ("MIGRATE_DATABASE_URL", other)];
        assert_eq!(risks(&both), ["DATABASE_URL", "MIGRATE_DATABASE_URL"]);
    }
}
