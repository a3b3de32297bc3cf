//! Mail as a mail server receives it, and what becomes of mail that one refuses.

mod smtp;

use std::time::Duration;

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::email::EmailAddress;
use mt_core::token::SecretToken;
use mt_core::word::Word as _;
use proptest::prelude::*;
use reference_server::mail::{Letter, Mailer, Reason, Seal, Undelivered};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

pub(crate) use self::smtp::{Answers, Received, mail_server, relay};
use crate::support::{Server, problem};

const FROM: &str = "mt <no-reply@example.org>";
const BASE_URL: &str = "https://mt.example";
const TEN_MINUTES: Duration = Duration::from_mins(10);

async fn sent(to: &str, letter: Letter) -> Received {
    let (url, mut received) = mail_server(None).await;
    let mailer = Mailer::smtp(&url, FROM, Seal::new(b"a secret", None)).unwrap();
    mailer.deliver(&EmailAddress::parse(to).unwrap(), &letter, "letter-1").await.unwrap();
    received.recv().await.unwrap()
}

fn magic_link(token: &SecretToken) -> Letter {
    Letter::magic_link(BASE_URL, token, TEN_MINUTES, SystemClock.now())
}

fn invite(org: &str, role: &str) -> Letter {
    let (token, now) = (SecretToken::generate(), SystemClock.now());
    Letter::invite(BASE_URL, &token, org, role, TEN_MINUTES, now)
}

#[tokio::test]
async fn a_magic_link_arrives() {
    let token = SecretToken::generate();
    let mail = sent("ada@example.org", magic_link(&token)).await;
    assert!(mail.sender.starts_with("MAIL FROM:<no-reply@example.org>"), "{}", mail.sender);
    assert_eq!(mail.recipients, ["RCPT TO:<ada@example.org>\r\n"]);
    assert_eq!(mail.header("From"), "mt <no-reply@example.org>");
    assert_eq!(mail.header("To"), "ada@example.org");
    assert_eq!(mail.header("Subject"), "Your link to sign in");
    assert_eq!(mail.header("Message-ID"), "<letter-1@example.org>");
    // Whole, on a line of its own, once the reader has undone the transfer encoding; that it may do so
    // is what the version of MIME says.
    assert_eq!(mail.header("MIME-Version"), "1.0");
    assert!(mail.header("Content-Type").starts_with("multipart/alternative;"), "{}", mail.data);
    assert!(mail.data.contains("Content-Transfer-Encoding: quoted-printable"), "{}", mail.data);
    let text = mail.text();
    let link = format!("https://mt.example/auth/magic#token={}", token.reveal());
    assert!(text.contains(&format!("\r\n{link}\r\n")), "{text}");
    assert!(text.contains(&format!("<a href=\"{link}\">Sign in</a>")), "{text}");
    assert!(text.contains("within 10 minutes"), "{text}");
}

#[tokio::test]
async fn a_name_injects_no_header() {
    let name = "Acme\r\nBcc: eve@example.org\r\n\r\nClick here";
    let mail = sent("ada@example.org", invite(name, "member")).await;
    assert_eq!(mail.recipients.len(), 1);
    let subject = mail.header("Subject");
    assert!(subject.contains("Bcc: eve@example.org"), "it should be part of the text: {subject}");
    let known = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"];
    for line in mail.headers() {
        let name = line.split_once(": ").map_or(line, |(name, _)| name);
        assert!(known.contains(&name) || line.starts_with(' '), "unexpected header {line:?}");
    }
}

#[tokio::test]
async fn names_in_any_script_arrive() {
    let mail = sent("ada@example.org", invite("Ärzte ohne 国境", "admin")).await;
    assert!(mail.header("Subject").contains("=?utf-8?"), "{}", mail.data);
    assert!(mail.data.is_ascii(), "no 8-bit bytes for old relays");
}

async fn deliver(url: &str, to: &str) -> Result<(), Undelivered> {
    let mailer = Mailer::smtp(url, FROM, Seal::new(b"a secret", None)).unwrap();
    let letter = magic_link(&SecretToken::generate());
    mailer.deliver(&EmailAddress::parse(to).unwrap(), &letter, "1").await
}

/// The reply counts by the command that it answers: only what is said of the recipient is final.
#[tokio::test]
async fn a_refusal_is_final_only_if_it_is_of_the_recipient() {
    for (command, answer, reason) in [
        ("CONNECT", "554 5.7.1 no service for you", Reason::Relay),
        ("CONNECT", "421 busy", Reason::Relay),
        ("CONNECT", "hello", Reason::Protocol),
        ("EHLO", "", Reason::Protocol),
        ("EHLO", "550 5.1.1 no", Reason::Relay),
        ("AUTH", "535 5.7.8 bad credentials", Reason::Auth),
        ("AUTH", "454 4.7.0 try later", Reason::Auth),
        ("MAIL", "554 5.7.1 sender rejected", Reason::Sender),
        ("MAIL", "550 5.1.1 no such sender", Reason::Sender),
        ("MAIL", "530 5.7.0 authenticate first", Reason::Auth),
        ("MAIL", "452 4.3.1 no space", Reason::Sender),
        ("RCPT", "550 no such user <ada@example.org>", Reason::Recipient),
        ("RCPT", "550-5.1.1 no such user\r\n550 5.1.1 <ada@example.org>", Reason::Recipient),
        ("RCPT", "553 5.1.3 bad name", Reason::Recipient),
        ("RCPT", "550 5.7.1 relaying denied", Reason::Policy),
        ("RCPT", "552 5.2.2 mailbox full", Reason::RecipientDeferred),
        ("RCPT", "451 4.7.1 greylisted", Reason::RecipientDeferred),
        ("DATA", "554 5.5.1 no", Reason::Content),
        ("DATA", "", Reason::Protocol),
        ("CONTENT", "550 5.1.1 no such user <ada@example.org>", Reason::Recipient),
        ("CONTENT", "554 5.7.1 looks like spam", Reason::Content),
        ("CONTENT", "552 5.3.4 quota", Reason::Content),
        ("CONTENT", "451 4.3.0 later", Reason::Relay),
        ("CONTENT", "", Reason::Protocol),
    ] {
        let (url, mut received) = relay(Answers::new(&[(command, answer)])).await;
        let url = url.replace("smtp://", "smtp://user:hunter2@");
        let refused = deliver(&url, "ada@example.org").await.unwrap_err();
        assert_eq!(refused.reason, reason, "{answer} to {command}: {refused:?}");
        assert_eq!(refused.is_final(), reason == Reason::Recipient, "{answer} to {command}");
        // The server's words stay with the server.
        let shown = format!("{refused} {refused:?}");
        assert!(!shown.contains("ada") && !shown.contains("hunter2"), "{shown}");
        assert!(received.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_relay_that_cannot_be_reached_or_trusted_is_waited_for() {
    let (url, _received) = relay(Answers::default()).await;
    // It offers no STARTTLS.
    let refused = deliver(&format!("{url}?tls=required"), "ada@example.org").await.unwrap_err();
    assert_eq!(refused.reason, Reason::Tls, "{refused:?}");
    // It does, and speaks none.
    let answers = [("EHLO", "250-relay\r\n250 STARTTLS"), ("STARTTLS", "220 go on")];
    let (url, _received) = relay(Answers::new(&answers)).await;
    let refused = deliver(&format!("{url}?tls=required"), "ada@example.org").await.unwrap_err();
    assert_eq!(refused.reason, Reason::Tls, "{refused:?}");
    // It speaks no TLS from the first byte either.
    let refused = deliver(&url.replace("smtp:", "smtps:"), "ada@example.org").await.unwrap_err();
    assert!(!refused.is_final(), "{refused:?}");
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = deliver(&format!("smtp://127.0.0.1:{port}"), "a@b.org").await.unwrap_err();
    assert_eq!((refused.reason, refused.is_final()), (Reason::Connection, false), "{refused:?}");
    let letter = magic_link(&SecretToken::generate());
    let to = EmailAddress::parse("ada@example.org").unwrap();
    assert!(!Mailer::none().deliver(&to, &letter, "1").await.unwrap_err().is_final());
    assert_eq!(Reason::Recipient.as_str(), "recipient");
}

/// What the relay has taken is sent, however it behaves when it is told goodbye.
#[tokio::test]
async fn a_letter_that_was_taken_is_not_sent_again_for_a_bad_goodbye() {
    for goodbye in ["", "550 5.1.1 no"] {
        let (url, mut received) = relay(Answers::new(&[("QUIT", goodbye)])).await;
        assert_eq!(deliver(&url, "ada@example.org").await, Ok(()));
        assert!(received.recv().await.is_some());
    }
}

/// Addresses that are not ASCII take a relay that says it can do that; a domain alone never does.
#[tokio::test]
async fn international_addresses_are_sent_as_relays_take_them() {
    for (relay_offers, to, told) in [
        ("250 8BITMIME", "ada@bücher.example", Some("RCPT TO:<ada@xn--bcher-kva.example>\r\n")),
        ("250 8BITMIME", "jürgen@bücher.example", None),
        (
            "250-SMTPUTF8\r\n250 8BITMIME",
            "jürgen@bücher.example",
            Some("RCPT TO:<jürgen@xn--bcher-kva.example>\r\n"),
        ),
    ] {
        let (url, mut received) = relay(Answers::new(&[("EHLO", relay_offers)])).await;
        let done = deliver(&url, to).await;
        match told {
            Some(told) => {
                assert_eq!(done, Ok(()));
                let mail = received.recv().await.unwrap();
                assert_eq!(mail.recipients, [told]);
                let is_ascii = told.is_ascii();
                assert_eq!(mail.sender.contains(" SMTPUTF8"), !is_ascii, "{}", mail.sender);
            }
            None => {
                let refused = done.unwrap_err();
                assert_eq!((refused.reason, refused.is_final()), (Reason::SmtpUtf8, false));
            }
        }
    }
}

/// What the mail server has said that it cannot do is not promised any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_the_relay_cannot_take_are_refused_once_it_has_said_so() {
    let (url, mut received) = relay(Answers::new(&[("EHLO", "250 8BITMIME")])).await;
    let settings = [("SMTP_URL", url.as_str()), ("MAIL_FROM", FROM)];
    let server = Server::start_with(&settings).await;
    server.link("ada@example.org").await;
    let ask = async |email: &str| {
        let body = json!({"email": email});
        server.send(Method::POST, "/auth/request-link", None, Some(body)).await.status
    };
    tokio::time::timeout(TEN_MINUTES, received.recv()).await.unwrap();
    assert_eq!(ask("jürgen@example.org").await, 422);
    assert_eq!(ask("jurgen@bücher.example").await, 202);
    server.stop().await;
}

/// Anything with an `@` in it: mostly what is refused, and enough that is not.
fn addresses() -> impl Strategy<Value = String> {
    let label = prop_oneof![4 => "[a-z][a-z0-9-]{0,8}[a-z0-9]", 1 => "[a-z0-9ßüñ日א😀_-]{1,9}"];
    let word = prop_oneof![
        4 => "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,9}",
        1 => "[a-zéßİΣ日א.]{1,9}",
    ];
    let usual = (proptest::collection::vec(word, 1..4), proptest::collection::vec(label, 1..4));
    let usual =
        usual.prop_map(|(local, domain)| format!("{}@{}", local.join("."), domain.join(".")));
    prop_oneof![usual, "\\PC{1,9}@\\PC{1,9}", "[a-z.\"<>\\\\]{1,6}@[a-z.;,()-]{1,9}"]
}

/// The one check and the mailer agree: what is accepted is an address for lettre, goes over the wire as it is,
/// and is not one of two forms of the same mailbox.
#[test]
fn every_address_that_is_accepted_can_be_sent_to() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (url, received) = runtime.block_on(relay(Answers::default()));
    let received = std::cell::RefCell::new(received);
    let mailer = Mailer::smtp(&url, FROM, Seal::new(b"a secret", None)).unwrap();
    let letter = magic_link(&SecretToken::generate());
    let accepted = std::cell::Cell::new(0_u32);
    let config = ProptestConfig { cases: 2000, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(&addresses(), |typed| {
            let Ok(email) = EmailAddress::parse(&typed) else { return Ok(()) };
            accepted.set(accepted.get() + 1);
            let wire = email.to_wire();
            prop_assert_eq!(EmailAddress::parse(email.as_str()), Ok(email.clone()));
            prop_assert_eq!(EmailAddress::parse(&wire), Ok(email.clone()));
            prop_assert!(wire.len() <= EmailAddress::MAX_BYTES && email.as_str().len() <= 254);
            prop_assert!(wire.parse::<lettre::Address>().is_ok(), "{wire}");
            // Sending takes longer than parsing.
            if accepted.get().is_multiple_of(8) {
                let done = runtime.block_on(mailer.deliver(&email, &letter, "1"));
                prop_assert_eq!(done, Ok(()));
                let mail = runtime.block_on(received.borrow_mut().recv()).unwrap();
                prop_assert_eq!(&mail.recipients, &[format!("RCPT TO:<{wire}>\r\n")]);
                prop_assert_eq!(mail.header("To"), wire);
            }
            Ok(())
        })
        .unwrap();
    assert!((300..1900).contains(&accepted.get()), "{} of 2000 accepted", accepted.get());
}

/// The edges agree as well: the same addresses are refused where links are asked for and where members are
/// invited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_cannot_be_sent_to_are_refused_at_every_edge() {
    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    let long_label = format!("x@{}.org", "y".repeat(64));
    let long_local = format!("{}@y.org", "x".repeat(65));
    for email in [
        "x@y.org;",
        "x\u{200b}@y.org",
        "x\u{202e}@y.org",
        "<a@b>",
        "\"x y\"@y.org",
        "\"x\"@y.org",
        "x@[192.0.2.1]",
        "x@y_z.org",
        "x..z@y.org",
        &long_label,
        &long_local,
    ] {
        let body = json!({"email": email});
        let link = server.send(Method::POST, "/auth/request-link", None, Some(body)).await;
        assert_eq!(link.outcome(), problem(422, "invalid-fields"), "{email}");
        assert_eq!(link.json()["errors"][0]["pointer"], "/email");
        let body = json!({"email": email, "role": "member"});
        let invite = server.post(&format!("{path}/invites"), &owner, body).await;
        assert_eq!(invite.outcome(), problem(422, "invalid-fields"), "{email}");
        assert_eq!(invite.json()["errors"], link.json()["errors"]);
    }
    // Composed or not, in Unicode or as A-labels: one mailbox is one user.
    let mut ids = Vec::new();
    for email in ["josé@bücher.example", "JOSE\u{301}@xn--bcher-kva.example"] {
        let signed_in = server.redeem(&server.link(email).await).await.json();
        let token = signed_in["access_token"].as_str().unwrap().to_owned();
        let me = server.send(Method::GET, "/me", Some(&token), None).await.json();
        assert_eq!(me["email"], "josé@bücher.example");
        ids.push(me["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    server.stop().await;
}
