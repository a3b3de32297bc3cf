//! Limits on mail: per recipient, sender and org, and in total. A refused request stores nothing.

use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::limits::responses::says_what_the_limit_is;
use crate::support::smtp::{Received, mail_server};
use crate::support::webhooks::customer_of;
use crate::support::webhooks::deliver;
use crate::support::{Answer, Person, Server};

const WITHIN: Duration = Duration::from_secs(30);
const VICTIM: &str = "victim@example.org";

/// A server that mails, with limits that no other test counts with.
async fn server(settings: &[(&str, &str)]) -> (Server, UnboundedReceiver<Received>) {
    let (smtp, received) = mail_server(None).await;
    let own = [
        ("SMTP_URL", smtp.as_str()),
        ("MAIL_FROM", "mt <no-reply@example.org>"),
        ("REDIS_URL", ""),
    ];
    (Server::start_with(&[&own[..], settings].concat()).await, received)
}

async fn number(server: &Server, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(server.db.admin()).await.unwrap()
}

/// Waits until no email is pending, and returns the recipients of emails with this subject.
async fn delivered(
    server: &Server,
    received: &mut UnboundedReceiver<Received>,
    subject: &str,
) -> Vec<String> {
    let waiting = "select count(*) from mt.outbox where done_at is null";
    let asking = async {
        while number(server, waiting).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WITHIN, asking).await.expect("all emails are sent");
    let mut to = Vec::new();
    while let Ok(mail) = received.try_recv() {
        if mail.header("Subject").starts_with(subject) {
            to.push(mail.recipients.concat());
        }
    }
    to
}

async fn invite(server: &Server, path: &str, who: &Person, email: &str) -> Answer {
    let body = json!({"email": email, "role": "member"});
    server.post(&format!("{path}/invites"), who, body).await
}

async fn revoke(server: &Server, path: &str, who: &Person, invited: &Answer) {
    let id = invited.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(server.delete(&format!("{path}/invites/{id}"), who).await.status, 204);
}

/// Invites and revokes `invites` times, from six orgs of two owners in turn, and returns how many emails the victim got.
async fn flood(settings: &[(&str, &str)], invites: usize) -> usize {
    let (server, mut received) = server(settings).await;
    let owners = [server.sign_in("mallory").await, server.sign_in("marvin").await];
    let mut orgs = Vec::new();
    for number in 0..6 {
        let owner = &owners[number % 2];
        orgs.push((server.org(owner).await, owner));
    }
    for number in 0..invites {
        let (path, owner) = &orgs[number % 6];
        let invited = invite(&server, path, owner, VICTIM).await;
        match invited.status {
            201 => revoke(&server, path, owner, &invited).await,
            _ => says_what_the_limit_is(&invited),
        }
    }
    let got = delivered(&server, &mut received, "You are invited").await;
    // The victim can sign in for all that, and another address can be invited.
    server.redeem(&server.link(VICTIM).await).await;
    assert_eq!(invite(&server, &orgs[0].0, orgs[0].1, "other@example.org").await.status, 201);
    server.stop().await;
    got.len()
}

/// The control is the server without limits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_invites_to_one_address_send_ten_mails() {
    assert_eq!(flood(&[("RATE_LIMIT_EMAIL_PER_HOUR", "10")], 300).await, 10);
    assert_eq!(flood(&[], 60).await, 60);
}

/// The control is the server without limits, and the org of another owner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inviting_and_revoking_does_not_bypass_the_limit() {
    for (limit, expected) in [("20", 20), ("0", 60)] {
        let (server, mut received) = server(&[("RATE_LIMIT_INVITES_PER_HOUR", limit)]).await;
        let owner = server.sign_in("owner").await;
        let path = server.org(&owner).await;
        for stranger in 0..60 {
            let email = format!("stranger-{stranger}@example.org");
            let invited = invite(&server, &path, &owner, &email).await;
            match invited.status {
                201 => revoke(&server, &path, &owner, &invited).await,
                _ => says_what_the_limit_is(&invited),
            }
        }
        let got = delivered(&server, &mut received, "You are invited").await;
        assert_eq!(got.len(), expected);
        // What was refused has left nothing.
        let stored = i64::try_from(expected).unwrap();
        assert_eq!(number(&server, "select count(*) from mt.invites").await, stored);
        let entries = "select count(*) from mt.audit_log where action like 'invite%'";
        assert_eq!(number(&server, entries).await, 2 * stored);
        let other = server.sign_in("other").await;
        let elsewhere = server.org(&other).await;
        assert_eq!(invite(&server, &elsewhere, &other, "guest@example.org").await.status, 201);
        server.stop().await;
    }
}

/// An org has twice what each of its members has, whichever member sends; with `pro` ten times as many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_is_limited_per_org_over_its_members() {
    let (server, _received) = server(&[("RATE_LIMIT_INVITES_PER_HOUR", "3")]).await;
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    let mut admins = Vec::new();
    for name in ["ada", "grace"] {
        let admin = server.sign_in(name).await;
        server.join(&path, &owner, &admin, "admin").await;
        admins.push(admin);
    }
    // Of the org's six the owner has used two, and one of them is left to the owner.
    let mut refused = Vec::new();
    for (who, attempts) in [(&admins[0], 4), (&admins[1], 2), (&owner, 1)] {
        for attempt in 0..attempts {
            let email = format!("{attempt}-{}", who.email);
            let invited = invite(&server, &path, who, &email).await;
            if invited.status == 201 {
                revoke(&server, &path, who, &invited).await;
            } else {
                says_what_the_limit_is(&invited);
                let policy = invited.header("ratelimit-policy").to_owned();
                refused.push((who.email.clone(), policy));
            }
        }
    }
    let expected = [
        (&admins[0].email, r#""letters-sender";q=3;w=3600"#),
        (&admins[1].email, r#""letters-org";q=6;w=3600"#),
        (&owner.email, r#""letters-org";q=6;w=3600"#),
    ];
    assert_eq!(refused, expected.map(|(who, policy)| (who.clone(), policy.to_owned())));
    server.sql("update mt.tenants set plan = 'pro', subscription_status = 'active'").await;
    for stranger in 0..20 {
        let email = format!("pro-{stranger}@example.org");
        assert_eq!(invite(&server, &path, &owner, &email).await.status, 201);
    }
    server.stop().await;
}

/// A repeated invite gets the usual response and is mailed once a minute. The token of a pending email stays valid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_invite_sends_no_second_mail_within_a_minute() {
    let (server, mut received) = server(&[]).await;
    let [owner, guest] = [server.sign_in("owner").await, server.sign_in("guest").await];
    let path = server.org(&owner).await;
    let invite = async || {
        let invited = invite(&server, &path, &owner, &guest.email).await;
        assert_eq!(invited.status, 201, "{invited:?}");
        let text = |name: &str| invited.json()[name].as_str().unwrap().to_owned();
        (text("id"), text("token"))
    };
    let accept = async |token: &str| {
        server.post("/invites/accept", &guest, json!({"token": token})).await.status
    };
    let (id, mailed) = invite().await;
    let (_, second) = invite().await;
    let (same, third) = invite().await;
    assert!(id == same && mailed != second && second != third);
    assert_eq!(delivered(&server, &mut received, "You are invited").await.len(), 1);
    assert_eq!(accept(&second).await, 400, "neither mailed nor the newest");

    // The control: a minute later it is mailed again, and what was before is dead.
    server.sql("update mt.invites set mailed_at = mailed_at - interval '1 minute'").await;
    let (_, fourth) = invite().await;
    assert_eq!(delivered(&server, &mut received, "You are invited").await.len(), 1);
    for dead in [&mailed, &third] {
        assert_eq!(accept(dead).await, 400);
    }
    let (_, fifth) = invite().await;
    assert_eq!(accept(&fourth).await, 200, "the token of the pending email");
    assert_eq!(accept(&fifth).await, 400, "the invite is used");
    assert_eq!(delivered(&server, &mut received, "You are invited").await.len(), 0);
    server.stop().await;
}

/// Without a mail server none is on its way: the token before is dead at once, as the answer is all that there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_mail_a_repeated_invite_invalidates_the_earlier_token() {
    let server = Server::start().await;
    let [owner, guest] = [server.sign_in("owner").await, server.sign_in("guest").await];
    let path = server.org(&owner).await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let invited = invite(&server, &path, &owner, &guest.email).await;
        tokens.push(invited.json()["token"].clone());
    }
    for (token, status) in tokens.iter().zip([400, 200]) {
        let accepted = server.post("/invites/accept", &guest, json!({"token": token})).await;
        assert_eq!(accepted.status, status);
    }
    server.stop().await;
}

/// The figure in all bounds invites, whose senders are many, and leaves the links that are asked for first their part.
/// The control is the invites, of which half are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invites_leave_part_of_the_global_quota_to_links() {
    let fixture = Server::start().await;
    let mut orgs = Vec::new();
    for number in 0..6 {
        let owner = fixture.sign_in(&format!("owner-{number}")).await;
        orgs.push((fixture.org(&owner).await, owner));
    }
    let settings = [("RATE_LIMIT_LINKS_PER_MIN", "16"), ("REDIS_URL", "")];
    let server = Server::start_on(fixture.db.clone(), &settings).await;
    let mut statuses = Vec::new();
    for (path, owner) in orgs.iter().chain(&orgs) {
        let email = format!("guest-{}@example.org", statuses.len());
        let invited = invite(&server, path, owner, &email).await;
        if invited.status != 201 {
            says_what_the_limit_is(&invited);
        }
        statuses.push(invited.status);
    }
    assert_eq!(statuses, [[201; 6], [429; 6]].concat());
    server.link("ada@example.org").await;
    server.stop().await;
    fixture.stop().await;
}

/// An email about a failed payment counts as well, and one over the limit is delayed and not lost. The control is the
/// email within the limit, which is sent at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_payment_mail_waits_when_a_limit_is_reached() {
    let (server, mut received) = server(&[("RATE_LIMIT_EMAIL_PER_HOUR", "2")]).await;
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    server.post(&format!("{path}/billing/customer"), &owner, json!(null)).await;
    for attempt in 1..=2 {
        let event = json!({
            "id": format!("evt_{attempt}"), "type": "invoice.payment_failed",
            "created": 1_795_449_600 + attempt,
            "data": {"object": {
                "id": "in_1", "object": "invoice", "customer": customer_of(&path),
                "attempt_count": attempt, "status": "open",
            }},
        });
        assert_eq!(deliver(&server, &event).await.json()["status"], "processed");
    }
    let late = "select count(*) from mt.outbox where status = 'pending' \
         and last_error = 'limited: the limit `letters-recipient` is reached'";
    let asking = async {
        while number(&server, late).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WITHIN, asking).await.expect("the second waits");
    let db = server.db.clone();
    server.stop().await;
    let about = |mail: &Received| mail.header("Subject").starts_with("A payment for An org");
    let mut emails = 0;
    while let Ok(mail) = received.try_recv() {
        emails += usize::from(about(&mail));
    }
    assert_eq!(emails, 1);
    let (smtp, mut received) = mail_server(None).await;
    let settings = [("SMTP_URL", smtp.as_str()), ("MAIL_FROM", "mt <no-reply@example.org>")];
    let server = Server::start_on(db, &settings).await;
    server.sql("update mt.outbox set next_attempt_at = now() where status = 'pending'").await;
    let mail = tokio::time::timeout(WITHIN, received.recv()).await.expect("an email").unwrap();
    assert!(about(&mail));
    server.stop().await;
}
