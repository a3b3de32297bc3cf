//! Listening on other addresses: the settings that it needs, and the warnings that it logs.

use std::collections::HashMap;
use std::process::Output;

use reference_server::config::{Config, ConfigError};
use serde_json::Value;

use crate::support::cli::command;
use crate::support::process::{ServerProcess, database, parsed};
use crate::support::{production, secret};

fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    command(arguments, settings).output().unwrap()
}

#[test]
fn server_without_settings_listens_on_this_machine_only() {
    for host in ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1"] {
        for more in [None, Some(("DATABASE_URL", "postgres://u:p@h/d"))] {
            let mut settings = vec![("APP_HOST", host)];
            settings.extend(more);
            let refused = run(&["serve"], &settings);
            let said = String::from_utf8(refused.stderr).unwrap();
            assert_eq!(refused.status.code(), Some(2), "{host}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            for part in ["`APP_ENV` is not set", "`prod`", "`dev`", "`test`", host] {
                assert!(said.contains(part), "{part}: {said}");
            }
        }
    }
    // The controls: this machine alone, and a word.
    for settings in [
        &[][..],
        &[("APP_HOST", "127.0.0.2")],
        &[("APP_HOST", "::1")],
        &[("APP_HOST", "::ffff:127.0.0.1")],
        &[("APP_HOST", "0.0.0.0"), ("APP_ENV", "dev")],
        &[("APP_HOST", "::"), ("APP_ENV", "test")],
    ] {
        let printed = run(&["serve", "--print-config"], settings);
        assert!(printed.status.success(), "{settings:?}: {printed:?}");
    }
    let with_another = run(&["serve"], &[("APP_HOST", "::"), ("APP_PORT", "x")]);
    let said = String::from_utf8(with_another.stderr).unwrap();
    assert_eq!(said.lines().count(), 2, "both at once: {said}");
}

#[test]
fn commands_that_do_not_listen_need_no_app_env() {
    let vars: HashMap<_, _> = [("APP_HOST", "0.0.0.0")].into_iter().collect();
    let value = |name: &str| vars.get(name).map(ToString::to_string);
    assert!(Config::from_vars(value).is_ok());
    let refused = Config::to_listen_from_vars(value).unwrap_err();
    assert!(refused.iter().map(ConfigError::name).eq(["APP_ENV"]), "{refused}");
}

/// Starts a server and returns the warnings that it logs.
async fn warnings(settings: &[(&str, &str)]) -> Vec<String> {
    let db = database().await;
    let server = ServerProcess::start(&db.login_url(), settings).await;
    let (status, lines) = server.stop();
    assert!(status.success(), "{status}");
    let is_warning = |line: &&Value| line["level"] == "WARN";
    parsed(&lines)
        .iter()
        .filter(is_warning)
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reachable_development_server_warns_of_each_unsafe_behaviour() {
    let open = ("APP_HOST", "0.0.0.0");
    let said = warnings(&[open]).await;
    let about: Vec<_> = said.iter().filter(|line| line.contains("other machines")).collect();
    for part in [
        "answers hold the tokens",
        "`JWT_SECRET` is public",
        "`ADMIN_TOKEN` is public",
        "`STRIPE_WEBHOOK_SECRET` is not set",
        "`STRIPE_SECRET_KEY` is not set",
    ] {
        assert!(about.iter().any(|line| line.contains(part)), "{part}: {said:#?}");
    }
    assert_eq!(about.len(), 5, "{about:#?}");
    assert!(about.iter().all(|line| line.contains("`test` on 0.0.0.0")), "{about:#?}");
    // The controls: a behaviour that is changed is not named, and on this machine none is.
    let own: [String; 2] = [secret(), secret()];
    let own = [open, ("JWT_SECRET", own[0].as_str()), ("ADMIN_TOKEN", own[1].as_str())];
    let said = warnings(&own).await;
    assert!(!said.iter().any(|line| line.contains("public")), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("answers hold the tokens")), "{said:#?}");
    let said = warnings(&[]).await;
    assert!(!said.iter().any(|line| line.contains("other machines")), "{said:#?}");
}

#[test]
fn warning_names_the_embedded_database() {
    let behaviours = |vars: &[(&str, &str)]| {
        let value =
            |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Config::from_vars(value).unwrap().dev_behaviours().join("\n")
    };
    assert!(behaviours(&[]).contains("embedded Postgres"));
    assert!(!behaviours(&[("DATABASE_URL", "postgres://u:p@h/d")]).contains("embedded"));
    let known = behaviours(&[("STRIPE_WEBHOOK_SECRET", crate::support::SECRET)]);
    assert!(known.contains("`STRIPE_WEBHOOK_SECRET` is public"), "{known}");
    let vars = production();
    let production = Config::from_vars(|name| vars.get(name).cloned()).unwrap();
    assert!(production.dev_behaviours().is_empty());
}
