//! The web pages that links in mail open, in a browser that runs their scripts.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use test_support::packages::{npm, skip};
use tokio::process::Command;

use crate::support::Server;
use crate::support::smtp::{Received, mail_server};
use crate::support::webhooks::deliver;

const TIMEOUT: Duration = Duration::from_secs(20);
const PAGES: [&str; 4] =
    ["/auth/magic", "/invites/accept", "/billing", "/dev/checkout/cs_dev_0123456789abcdef"];

/// Returns the text between `<tag>` and `</tag>`.
fn inside<'p>(page: &'p str, tag: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!("<{tag}>")).unwrap();
    rest.split_once(&format!("</{tag}>")).unwrap().0
}

/// Every page is HTML that may run its own script and nothing else, and is the same for every visitor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_run_their_own_script_and_no_other() {
    let server = Server::start().await;
    for path in PAGES {
        let page = server.send(Method::GET, path, None, None).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "no-store");
        let policy = page.header("content-security-policy");
        for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
            let hash = STANDARD.encode(Sha256::digest(inside(&page.text, tag)));
            assert!(policy.contains(&format!("{directive} 'sha256-{hash}';")), "{path}: {policy}");
        }
        for directive in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'none'"] {
            assert!(policy.contains(directive), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        let other = format!("{path}?org=<script>alert(1)</script>");
        let same = server.send(Method::GET, &other, None, None).await;
        assert_eq!(same.text, page.text, "{path}");
        let head = server.send(Method::HEAD, path, None, None).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
    }
    // The page is open; what its button does is not.
    let accept =
        server.send(Method::POST, "/invites/accept", None, Some(json!({"token": "x"}))).await;
    assert_eq!(accept.status, 401);
    server.stop().await;
}

/// The address in `mail` that stands on a line of its own.
fn link(mail: &Received) -> String {
    let text = mail.text();
    let link = text.lines().find(|line| line.starts_with("http")).expect("a link");
    link.to_owned()
}

/// Replaces `BASE_URL` in a link by the address that `server` listens on.
fn here(server: &Server, link: &str) -> String {
    link.replace("http://localhost:8000", &server.base_url())
}

/// Opens a page with its script running. `None`: there is nothing here to run it.
async fn visit(url: &str, steps: Value) -> Option<Value> {
    let packages = match npm("jsdom@26.1.0") {
        Ok(packages) => packages,
        Err(why) => {
            skip("pages with their scripts running", &why);
            return None;
        }
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages/visit.mjs");
    let output = Command::new("node")
        .arg(script)
        .arg(packages)
        .arg(url)
        .arg(steps.to_string())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["errors"], json!([]), "{url}: {seen}");
    Some(seen)
}

fn said(seen: &Value) -> &str {
    seen["said"].as_str().unwrap()
}

/// From the mail to membership for a new user: the invite's page asks for a sign-in link, which
/// comes by mail, and joins with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_accepted_on_the_page_that_its_mail_opens() {
    let (smtp, mut received) = mail_server(None).await;
    let settings = [("SMTP_URL", smtp.as_str()), ("MAIL_FROM", "mt <no-reply@example.org>")];
    let server = Server::start_with(&settings).await;
    let mut mail = async || {
        let mail = tokio::time::timeout(TIMEOUT, received.recv()).await;
        mail.expect("a mail in time").expect("a mail")
    };
    let owner = server.sign_in("owner").await;
    mail().await;
    let path = server.org(&owner).await;
    let body = json!({"email": "guest@example.org", "role": "member"});
    server.make(&format!("{path}/invites"), &owner, body).await;
    let invite = here(&server, &link(&mail().await));

    // Scanners open links, and nothing is used up by it.
    let (page, _) = invite.split_once('#').unwrap();
    for method in [Method::GET, Method::HEAD] {
        let opened = reqwest::Client::new().request(method, page).send().await.unwrap();
        assert_eq!(opened.status(), 200);
    }
    let asked = json!([
        {"fill": "[name=email]", "with": "guest@example.org"},
        {"submit": "#ask"},
        {"until": "on its way"},
    ]);
    let Some(seen) = visit(&invite, asked).await else { return server.stop().await };
    assert_eq!(seen["href"], page, "the token leaves the address bar: {seen}");
    let sign_in = link(&mail().await);
    let pasted = |link: &str, until| json!([{"fill": "[name=link]", "with": link}, {"submit": "#use"}, {"until": until}]);
    // With an invalid link, and with another user's: nothing is accepted, and the page says why.
    let seen = visit(&invite, pasted("nonsense", "not valid")).await.unwrap();
    assert_eq!(seen["asked"], json!(["POST /auth/redeem"]), "{seen}");
    let stranger = server.sign_in("stranger").await;
    mail().await;
    let seen = visit(&invite, pasted(&stranger.token, "Not allowed")).await.unwrap();
    assert_eq!(seen["asked"], json!(["POST /invites/accept"]), "{seen}");
    let seen = visit(&invite, pasted(&sign_in, "joined as member")).await.unwrap();
    assert_eq!(seen["asked"], json!(["POST /auth/redeem", "POST /invites/accept"]), "{seen}");
    let token = said(&seen).rsplit(' ').next().unwrap();
    let org = server.send(Method::GET, &path, Some(token), None).await;
    assert_eq!(org.json()["role"], "member", "{org:?}");
    // Without its token the link is not complete.
    let seen = visit(page, json!([{"until": "not complete"}])).await.unwrap();
    assert_eq!(seen["hidden"], json!(["ask", "use"]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_link_signs_in_when_its_button_is_pressed() {
    let server = Server::start().await;
    let token = server.link("ada@example.org").await;
    let url = format!("{}/auth/magic#token={token}", server.base_url());
    let Some(seen) = visit(&url, json!([{"until": "Press the button"}])).await else {
        return server.stop().await;
    };
    assert_eq!(seen["asked"], json!([]), "opening it uses nothing up");
    let press = json!([{"press": "button"}, {"until": "You are signed in"}]);
    let seen = visit(&url, press.clone()).await.unwrap();
    let access = said(&seen).rsplit(' ').next().unwrap();
    assert_eq!(server.send(Method::GET, "/me", Some(access), None).await.status, 200);
    let again = visit(&url, json!([{"press": "button"}, {"until": "used"}])).await.unwrap();
    assert!(!said(&again).contains("signed in"), "{again}");
    server.stop().await;
}

/// The mail about a failed payment and Stripe's pages lead to a page that shows the org's billing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn billing_page_from_a_mail_works() {
    let (smtp, mut received) = mail_server(None).await;
    let settings = [("SMTP_URL", smtp.as_str()), ("MAIL_FROM", "mt <no-reply@example.org>")];
    let server = Server::start_with(&settings).await;
    let owner = server.sign_in("owner").await;
    tokio::time::timeout(TIMEOUT, received.recv()).await.unwrap();
    let path = server.org(&owner).await;
    let opened = server.post(&format!("{path}/billing/checkout"), &owner, json!(null)).await;
    let checkout = here(&server, opened.json()["url"].as_str().unwrap());
    let paid = visit(&checkout, json!([{"press": "button"}, {"until": "Paid"}])).await;
    if paid.is_none() {
        return server.stop().await;
    }
    let customer =
        server.get(&format!("{path}/billing"), &owner).await.json()["customer_id"].take();
    let failed = json!({
        "id": "evt_failed", "object": "event", "type": "invoice.payment_failed",
        "created": 1_795_449_600, "livemode": false,
        "data": {"object": {
            "id": "in_1", "object": "invoice", "customer": customer, "status": "open",
            "attempt_count": 1, "created": 1_795_449_600, "amount_due": 100, "currency": "eur",
        }},
    });
    assert_eq!(deliver(&server, &failed).await.json()["status"], "processed");
    let mail = tokio::time::timeout(TIMEOUT, received.recv()).await.unwrap().unwrap();
    assert!(mail.header("Subject").contains("payment"), "{}", mail.text());
    let page = here(&server, &link(&mail));
    assert!(page.contains(path.rsplit('/').next().unwrap()), "{page}");
    let steps = json!([
        {"until": "Sign in to see"},
        {"fill": "[name=link]", "with": owner.token},
        {"submit": "#use"},
        {"until": "Plan pro, subscription active"},
    ]);
    let seen = visit(&page, steps).await.unwrap();
    assert_eq!(seen["hidden"], json!(["ask", "use"]), "{seen}");
    let back = visit(&format!("{page}&checkout=done"), json!([{"until": "Thank you"}])).await;
    assert_eq!(back.unwrap()["asked"], json!([]));
    let nowhere = format!("{}/billing?org=../me", server.base_url());
    let seen = visit(&nowhere, json!([{"until": "not complete"}])).await.unwrap();
    assert_eq!(seen["hidden"], json!(["ask", "use", "portal"]));
    server.stop().await;
}
