//! Delivery over SMTP: the messages that a mail server receives, and refusals.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mt_core::clock::{Clock as _, SystemClock};
use mt_core::email::EmailAddress;
use mt_core::text_enum::TextEnum as _;
use mt_core::token::SecretToken;
use mt_mail::{DeliveryError, EmailMessage, FailureReason, Mailer, Seal, token_link};
use proptest::prelude::*;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::smtp::{Answers, Received, mail_server, relay};
use crate::support::{Server, problem};

const FROM: &str = "mt <no-reply@example.org>";
const BASE_URL: &str = "https://mt.example";
const TEN_MINUTES: Duration = Duration::from_mins(10);

async fn sent(to: &str, message: EmailMessage) -> Received {
    let (url, mut received) = mail_server(None).await;
    let mailer = Mailer::smtp(&url, FROM, Seal::new(b"a secret", None)).unwrap();
    mailer.deliver(&EmailAddress::parse(to).unwrap(), &message, "email-1").await.unwrap();
    received.recv().await.unwrap()
}

fn magic_link(token: &SecretToken) -> EmailMessage {
    let url = token_link(BASE_URL, "/auth/magic", token);
    Mailer::none().sign_in(&url, TEN_MINUTES, SystemClock.now())
}

fn invite(org: &str, role: &str) -> EmailMessage {
    let url = token_link(BASE_URL, "/invites/accept", &SecretToken::generate());
    Mailer::none().invite(&url, org, role, TEN_MINUTES, SystemClock.now())
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
    assert_eq!(mail.header("Message-ID"), "<email-1@example.org>");
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
async fn name_in_a_mail_injects_no_header() {
    let name = "Acme\r\nBcc: eve@example.org\r\n\r\nClick here";
    let mail = sent("ada@example.org", invite(name, "member")).await;
    assert_eq!(mail.recipients.len(), 1);
    let subject = mail.header("Subject");
    assert!(subject.contains("Bcc"), "it should be part of the text: {subject}");
    let known = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"];
    for line in mail.headers() {
        let name = line.split_once(": ").map_or(line, |(name, _)| name);
        assert!(known.contains(&name) || line.starts_with(' '), "unexpected header {line:?}");
    }
}

#[tokio::test]
async fn names_in_any_script_are_delivered() {
    let mail = sent("ada@example.org", invite("Ärzte ohne 国境", "admin")).await;
    assert!(mail.header("Subject").contains("=?utf-8?"), "{}", mail.data);
    assert!(mail.data.is_ascii(), "no 8-bit bytes for old relays");
}

/// A name that members choose appears in mail to others: it is short, and no mail program finds a link in it.
#[tokio::test]
async fn name_in_a_mail_contains_no_link_and_is_short() {
    let name = "Your account is locked: https://evil.example/login or www.evil.example or eve@evil.example";
    let now = invite(name, "member");
    let payment = Mailer::none().payment_failed("https://mt.example/billing", name);
    for (message, link) in
        [(now, "https://mt.example/invites"), (payment, "https://mt.example/billing")]
    {
        let mail = sent("ada@example.org", message).await;
        let read = read(&mail).replace(link, "LINK");
        assert!(
            read.contains("Your account is locked: https: //evil·example/login or www·…"),
            "{read}"
        );
        for trace in ["evil.example", "://", "www.", "eve@"] {
            assert!(!read.contains(trace), "{trace} in {read}");
        }
        let subject = read.split_once('\n').unwrap().0;
        assert!(subject.chars().count() <= 60 + "A payment for  has failed".len(), "{subject}");
    }
    // The control: a name without any of it is shown as it is, in each place.
    let plain = sent("ada@example.org", invite("St. Mary & Sons, Inc.", "member")).await;
    assert_eq!(read(&plain).matches("St. Mary & Sons, Inc.").count(), 2);
    assert!(read(&plain).contains("St. Mary &amp; Sons, Inc."));
}

/// The subject on a line of its own and then all parts, as a mail program decodes them.
fn read(mail: &Received) -> String {
    let subject = mail.headers().into_iter().skip_while(|line| !line.starts_with("Subject: "));
    let folded = |line: &&str| line.starts_with("Subject: ") || line.starts_with(' ');
    let words = subject.take_while(folded).flat_map(|line| line.split(' '));
    let mut subject = Vec::new();
    let mut was_encoded = true;
    for word in words.filter(|word| !word.is_empty() && *word != "Subject:") {
        let encoded = word.strip_prefix("=?utf-8?b?").and_then(|word| word.strip_suffix("?="));
        // Spaces between encoded words are not part of the text (RFC 2047, §6.2).
        if !(subject.is_empty() || was_encoded && encoded.is_some()) {
            subject.push(b' ');
        }
        was_encoded = encoded.is_some();
        subject.extend(encoded.map_or(word.into(), |word| STANDARD.decode(word).unwrap()));
    }
    let body = mail.data.split_once("\r\n\r\n").unwrap().1.replace("=\r\n", "");
    let mut bytes = subject;
    bytes.push(b'\n');
    let mut rest = body.as_bytes();
    while let [byte, after @ ..] = rest {
        let code = (*byte == b'=').then(|| after.get(..2)).flatten();
        let code = code.and_then(|code| str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

async fn deliver(url: &str, to: &str) -> Result<(), DeliveryError> {
    let mailer = Mailer::smtp(url, FROM, Seal::new(b"a secret", None)).unwrap();
    let message = magic_link(&SecretToken::generate());
    mailer.deliver(&EmailAddress::parse(to).unwrap(), &message, "1").await
}

/// The reply counts by the command that it answers: only what is said of the recipient is final.
#[tokio::test]
async fn only_refusals_of_the_recipient_are_final() {
    for (command, answer, reason) in [
        ("CONNECT", "554 5.7.1 no service for you", FailureReason::Relay),
        ("CONNECT", "421 busy", FailureReason::Relay),
        ("CONNECT", "hello", FailureReason::Protocol),
        ("EHLO", "", FailureReason::Protocol),
        ("EHLO", "550 5.1.1 no", FailureReason::Relay),
        ("AUTH", "535 5.7.8 bad credentials", FailureReason::Auth),
        ("AUTH", "454 4.7.0 try later", FailureReason::Auth),
        ("MAIL", "554 5.7.1 sender rejected", FailureReason::Sender),
        ("MAIL", "550 5.1.1 no such sender", FailureReason::Sender),
        ("MAIL", "530 5.7.0 authenticate first", FailureReason::Auth),
        ("MAIL", "452 4.3.1 no space", FailureReason::Sender),
        ("RCPT", "550 no such user <ada@example.org>", FailureReason::Recipient),
        ("RCPT", "550-5.1.1 no such user\r\n550 5.1.1 <ada@example.org>", FailureReason::Recipient),
        ("RCPT", "553 5.1.3 bad name", FailureReason::Recipient),
        ("RCPT", "550 5.7.1 relaying denied", FailureReason::Policy),
        ("RCPT", "552 5.2.2 mailbox full", FailureReason::RecipientDeferred),
        ("RCPT", "451 4.7.1 greylisted", FailureReason::RecipientDeferred),
        ("DATA", "554 5.5.1 no", FailureReason::Content),
        ("DATA", "", FailureReason::Protocol),
        ("CONTENT", "550 5.1.1 no such user <ada@example.org>", FailureReason::Recipient),
        ("CONTENT", "554 5.7.1 looks like spam", FailureReason::Content),
        ("CONTENT", "552 5.3.4 quota", FailureReason::Content),
        ("CONTENT", "451 4.3.0 later", FailureReason::Relay),
        ("CONTENT", "", FailureReason::Protocol),
    ] {
        let (url, mut received) = relay(Answers::new(&[(command, answer)])).await;
        let url = url.replace("smtp://", "smtp://user:hunter2@");
        let refused = deliver(&url, "ada@example.org").await.unwrap_err();
        assert_eq!(refused.reason, reason, "{answer} to {command}: {refused:?}");
        assert_eq!(
            refused.is_permanent(),
            reason == FailureReason::Recipient,
            "{answer} to {command}"
        );
        // The server's words stay with the server.
        let shown = format!("{refused} {refused:?}");
        assert!(!shown.contains("ada") && !shown.contains("hunter2"), "{shown}");
        assert!(received.try_recv().is_err());
    }
}

#[tokio::test]
async fn unreachable_or_untrusted_relay_is_retried() {
    let (url, _received) = relay(Answers::default()).await;
    // It offers no STARTTLS.
    let refused = deliver(&format!("{url}?tls=required"), "ada@example.org").await.unwrap_err();
    assert_eq!(refused.reason, FailureReason::Tls, "{refused:?}");
    // It does, and speaks none.
    let answers = [("EHLO", "250-relay\r\n250 STARTTLS"), ("STARTTLS", "220 go on")];
    let (url, _received) = relay(Answers::new(&answers)).await;
    let refused = deliver(&format!("{url}?tls=required"), "ada@example.org").await.unwrap_err();
    assert_eq!(refused.reason, FailureReason::Tls, "{refused:?}");
    // It speaks no TLS from the first byte either.
    let refused = deliver(&url.replace("smtp:", "smtps:"), "ada@example.org").await.unwrap_err();
    assert!(!refused.is_permanent(), "{refused:?}");
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = deliver(&format!("smtp://127.0.0.1:{port}"), "a@b.org").await.unwrap_err();
    assert_eq!(
        (refused.reason, refused.is_permanent()),
        (FailureReason::Connection, false),
        "{refused:?}"
    );
    let message = magic_link(&SecretToken::generate());
    let to = EmailAddress::parse("ada@example.org").unwrap();
    assert!(!Mailer::none().deliver(&to, &message, "1").await.unwrap_err().is_permanent());
    assert_eq!(FailureReason::Recipient.as_str(), "recipient");
}

/// Mail that the relay has accepted counts as sent, even if `QUIT` fails.
#[tokio::test]
async fn accepted_mail_is_not_sent_again_after_a_failed_quit() {
    for goodbye in ["", "550 5.1.1 no"] {
        let (url, mut received) = relay(Answers::new(&[("QUIT", goodbye)])).await;
        assert_eq!(deliver(&url, "ada@example.org").await, Ok(()));
        assert!(received.recv().await.is_some());
    }
}

/// Addresses that are not ASCII take a relay that says it can do that; a domain alone never does.
#[tokio::test]
async fn international_addresses_are_sent_as_the_relay_supports() {
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
                assert_eq!(
                    (refused.reason, refused.is_permanent()),
                    (FailureReason::SmtpUtf8, false)
                );
            }
        }
    }
}

/// Addresses that the mail server does not support are refused from then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_unsupported_by_the_relay_are_refused_once_known() {
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
    let message = magic_link(&SecretToken::generate());
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
                let done = runtime.block_on(mailer.deliver(&email, &message, "1"));
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
async fn undeliverable_addresses_are_refused_by_every_route() {
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
