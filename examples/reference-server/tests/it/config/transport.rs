//! Settings that send secrets unencrypted or trust every proxy are reported.

use reference_server::config::Config;

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
            &["smtp://h:25", "smtps://u:p@h", "smtp://u:p@h?tls=required", "smtp://u:p@localhost"],
        ),
        (
            "TRUSTED_PROXIES",
            &["0.0.0.0/0", "::/0", "10.0.0.0/8,0.0.0.0/0"],
            &["10.0.0.0/8", "0.0.0.0/32", "fd00::/8"],
        ),
    ] {
        for value in risky {
            assert_eq!(risks(&[(name, value), ("MAIL_FROM", "a@b.example")]), [name], "{value}");
        }
        for value in safe {
            assert_eq!(risks(&[(name, value), ("MAIL_FROM", "a@b.example")]), [""; 0], "{value}");
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
    assert_eq!(risks(&[("DATABASE_URL", away), ("MIGRATE_DATABASE_URL", away)]), ["DATABASE_URL"]);
    let other = "postgres://m:p@h/d";
    let both = [("DATABASE_URL", away), ("MIGRATE_DATABASE_URL", other)];
    assert_eq!(risks(&both), ["DATABASE_URL", "MIGRATE_DATABASE_URL"]);
}
