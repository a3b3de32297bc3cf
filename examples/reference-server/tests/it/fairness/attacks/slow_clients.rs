//! Attacks by clients that send slowly, do not read, or send large bodies.

use std::time::Duration;

use mt_core::clock::{Clock as _, SystemClock};
use mt_stripe::signature::sign;
use tokio::io::AsyncWriteExt as _;

use super::super::setup::is_closed;
use super::{Attack, AttackRun, SILENT, Victim, Without};

pub(super) fn all() -> Vec<Attack> {
    vec![
        Attack {
            name: "a member uploads 24 bodies a byte at a time",
            is_short: true,
            settings: &[],
            without: Without::Elsewhere,
            beside: Victim::TheSameOrg,
            start: |run| Box::pin(async move { run.flood(24, NO_PAUSE, trickle).await }),
        },
        Attack {
            name: "an owner exports and does not read",
            is_short: false,
            settings: &[],
            without: Without::Elsewhere,
            beside: Victim::TheSameOrg,
            start: |run| Box::pin(unread_exports(run)),
        },
        Attack {
            name: "a stranger sends long webhooks with a signature that might be good",
            is_short: true,
            settings: &[],
            without: Without::Elsewhere,
            beside: Victim::AnotherOrg,
            start: |run| Box::pin(async move { run.flood(100, A_SECOND, forged).await }),
        },
        Attack {
            name: "a stranger opens connections and sends half a head",
            is_short: false,
            settings: &[],
            without: Without::Elsewhere,
            beside: Victim::AnotherOrg,
            start: |run| Box::pin(async move { run.flood(300, NO_PAUSE, half_a_head).await }),
        },
        Attack {
            name: "a user has Stripe asked, which does not answer",
            is_short: false,
            settings: &[("STRIPE_SECRET_KEY", "sk_test_of_the_tests"), ("STRIPE_API_BASE", SILENT)],
            without: Without::Elsewhere,
            beside: Victim::TheSameOrg,
            start: |run| Box::pin(silent_stripe(run)),
        },
    ]
}

const NO_PAUSE: Duration = Duration::from_millis(10);
/// Between two long bodies: what is tried is the server, and not how fast this machine sends to itself.
const A_SECOND: Duration = Duration::from_secs(1);
/// How much of an unread answer is made: more than sockets hold.
const TASKS: u32 = 5000;

/// A body that takes as long as the server waits for it.
async fn trickle(run: AttackRun, _: usize, _: usize) {
    let (setup, by) = (&run.setup, &run.by);
    let headers = format!(
        "authorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 50000\r\n",
        by.token
    );
    let line = format!("POST {}", by.org.tasks);
    let Some(mut stream) = setup.begin(&line, &headers).await else { return };
    while stream.write_all(b" ").await.is_ok() {
        if run.is_over() || is_closed(&mut stream, Duration::from_millis(100)).await {
            return;
        }
    }
}

async fn unread_exports(run: AttackRun) {
    let (org, user) = (run.by.org.path.trim_start_matches("/orgs/"), &run.by.id);
    run.setup
        .sql(&format!(
            "update mt.memberships set role = 'owner', is_owner = true \
                 where tenant_id = '{org}' and principal_id = '{user}'; \
             insert into app.tasks (tenant_id, id, project_id, title, description, created_by) \
             select '{org}', gen_random_uuid(), (select id from app.projects \
                 where tenant_id = '{org}' limit 1), 'T', repeat('x', 8000), '{user}' \
             from generate_series(1, {TASKS})"
        ))
        .await;
    run.flood(12, NO_PAUSE, |run, _, _| async move {
        let (setup, by) = (&run.setup, &run.by);
        let headers = format!("authorization: Bearer {}\r\ncontent-length: 0\r\n", by.token);
        let line = format!("POST {}/export", by.org.path);
        let Some(stream) = setup.begin(&line, &headers).await else { return };
        run.until_over().await;
        drop(stream);
    })
    .await;
}

/// Two mebibytes with a well-formed header of this moment, all but the last byte.
async fn forged(run: AttackRun, _: usize, _: usize) {
    let signature = sign("whsec_of_a_stranger", b"", SystemClock.now());
    let headers = format!("stripe-signature: {signature}\r\ncontent-length: 2097152\r\n");
    let Some(mut stream) = run.setup.begin("POST /webhooks/stripe", &headers).await else {
        return;
    };
    let piece = vec![b' '; 64 * 1024];
    for _ in 0..31 {
        if stream.write_all(&piece).await.is_err() {
            return;
        }
    }
    while !run.is_over() && !is_closed(&mut stream, Duration::from_secs(1)).await {}
}

async fn half_a_head(run: AttackRun, _: usize, _: usize) {
    let Ok(mut stream) = tokio::net::TcpStream::connect(run.setup.address()).await else {
        return;
    };
    if stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nx-").await.is_ok() {
        while !run.is_over() && !is_closed(&mut stream, Duration::from_secs(1)).await {}
    }
}

async fn silent_stripe(run: AttackRun) {
    run.flood(20, NO_PAUSE, |run, client, _| async move {
        let (setup, by) = (&run.setup, &run.by);
        let path = ["customer", "checkout", "portal"][client % 3];
        let path = format!("{}/billing/{path}", by.org.path);
        setup.send(reqwest::Method::POST, &path, &by.token, None).await;
    })
    .await;
}
