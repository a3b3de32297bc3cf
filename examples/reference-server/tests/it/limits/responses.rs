//! Responses of rate limits state the limit and the delay.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::access::matrix::body;
use crate::openapi::conformance::document;
use crate::support::{Answer, Server};

/// The three fields, and that they are of one limit.
#[track_caller]
pub(crate) fn says_what_the_limit_is(refused: &Answer) {
    assert_eq!(refused.outcome(), (429, "rate-limited".to_owned()));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&wait), "{refused:?}");
    let name = |field: &str| {
        let last = refused.headers.get_all(field).iter().next_back().expect(field);
        let value = last.to_str().unwrap();
        let (name, rest) = value.split_once(';').unwrap();
        assert!(name.len() > 2 && name.starts_with('"') && name.ends_with('"'), "{field}: {value}");
        (name.to_owned(), rest.to_owned())
    };
    let (policy, quota) = name("ratelimit-policy");
    let (state, left) = name("ratelimit");
    assert_eq!(policy, state);
    assert!(quota.starts_with("q=") && quota.contains(";w="), "{quota}");
    assert!(left.starts_with("r=0;t="), "{left}");
}

/// The operations that the OpenAPI document says may be limited: all others would be a limit without these fields
/// that no test knows.
fn limited() -> BTreeSet<(String, String)> {
    let limited = document()
        .operations()
        .filter(|(.., operation)| operation["responses"].as_object().unwrap().contains_key("429"));
    limited.map(|(path, method, _)| (method.to_uppercase(), path.to_owned())).collect()
}

/// The control is the first request of each kind, which is not refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_limited_route_refuses_beyond_its_limit() {
    let setup = Server::start().await;
    let owner = setup.sign_in("owner").await;
    let settings = [
        ("RATE_LIMIT_AUTH_PER_MIN", "1"),
        ("RATE_LIMIT_API_PER_MIN", "1"),
        ("RATE_LIMIT_WEBHOOKS_PER_MIN", "1"),
        ("REDIS_URL", ""),
    ];
    let server = Server::start_on(setup.db.clone(), &settings).await;
    let mut refused = BTreeSet::new();
    for (number, (method, template)) in server.operations.iter().enumerate() {
        if template.starts_with("/admin") || template.starts_with("/dev") {
            continue;
        }
        let nothing = Uuid::now_v7().to_string();
        let is_of_org = template.starts_with("/orgs/{org_id}");
        let is_outside = matches!(template.as_str(), "/me" | "/orgs" | "/auth/logout")
            || (method.as_str(), template.as_str()) == ("POST", "/invites/accept");
        // Outside of orgs the limit is of the caller, so each gets one of its own.
        let caller = match is_outside {
            true => setup.sign_in(&format!("caller-{number}")).await,
            false => owner.clone(),
        };
        // An org for each, since the limit is of the caller in an org.
        let org = match is_of_org {
            true => setup.org(&owner).await,
            false => String::new(),
        };
        let path = template.replace("/orgs/{org_id}", &org);
        let path = path.split('/').map(|part| if part.starts_with('{') { &nothing } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        let kind: Method = method.parse().unwrap();
        let sent = body(&format!("{method} {template}"));
        let send =
            async || server.send(kind.clone(), &path, Some(&caller.token), sent.clone()).await;
        // What deletes an org or signs out cannot be asked twice.
        let first = match (is_of_org, is_outside) {
            (true, _) => server.get(&org, &owner).await,
            (_, true) => server.get("/me", &caller).await,
            _ => send().await,
        };
        assert_ne!(first.status, 429, "{method} {template}");
        let second = send().await;
        if second.status == 429 {
            says_what_the_limit_is(&second);
            refused.insert((method.clone(), template.clone()));
        }
    }
    assert_eq!(refused, limited());
    assert!(refused.len() > 25, "{}", refused.len());
    server.stop().await;
    setup.stop().await;
}

/// The limits whose keys are in bodies, which no guard counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_invite_limit_names_itself() {
    for (setting, limit, name) in [
        ("RATE_LIMIT_EMAIL_PER_HOUR", "2", "letters-recipient"),
        ("RATE_LIMIT_INVITES_PER_HOUR", "1", "letters-sender"),
        ("RATE_LIMIT_LINKS_PER_MIN", "2", "letters"),
    ] {
        // In the process: tests that share a Redis share the figure in all.
        let settings = [(setting, limit), ("REDIS_URL", "")];
        let setup = Server::start().await;
        let owner = setup.sign_in("owner").await;
        let path = format!("{}/invites", setup.org(&owner).await);
        let server = Server::start_on(setup.db.clone(), &settings).await;
        let mut answers = Vec::new();
        for _ in 0..4 {
            let invite = json!({"email": "guest@example.org", "role": "member"});
            answers.push(server.post(&path, &owner, invite).await);
        }
        assert_eq!(answers[0].status, 201, "{setting}");
        for refused in &answers[2..] {
            says_what_the_limit_is(refused);
            assert!(
                refused.header("ratelimit").starts_with(&format!("\"{name}\";")),
                "{refused:?}"
            );
        }
        server.stop().await;
        setup.stop().await;
    }
}
