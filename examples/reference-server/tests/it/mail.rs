//! Mail as a mail server receives it.

use std::time::Duration;

use mt_core::email::EmailAddress;
use mt_core::token::SecretToken;
use reference_server::mail::{Letter, Mailer, Posted};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

const FROM: &str = "mt <no-reply@example.org>";
const BASE_URL: &str = "https://mt.example";
const TEN_MINUTES: Duration = Duration::from_mins(10);

/// A mail as it came over the wire.
pub(crate) struct Received {
    sender: String,
    pub(crate) recipients: Vec<String>,
    data: String,
}

impl Received {
    fn headers(&self) -> Vec<&str> {
        self.data.split_once("\r\n\r\n").unwrap().0.split("\r\n").collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        let found: Vec<_> =
            self.headers().into_iter().filter_map(|line| line.strip_prefix(&prefix)).collect();
        assert_eq!(found.len(), 1, "{name} in {}", self.data);
        found[0]
    }
}

/// Enough of RFC 5321 to take mail from one client after the other. `refuse` is answered to the
/// recipient when there is one.
pub(crate) async fn mail_server(
    refuse: Option<&'static str>,
) -> (String, mpsc::UnboundedReceiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut mail =
                Received { sender: String::new(), recipients: Vec::new(), data: String::new() };
            stream.write_all(b"220 ready\r\n").await.unwrap();
            let mut line = String::new();
            while stream.read_line(&mut line).await.unwrap() > 0 {
                let command = std::mem::take(&mut line);
                let answer = match command.split([' ', ':', '\r']).next().unwrap() {
                    "MAIL" => {
                        mail.sender = command;
                        "250 ok"
                    }
                    "RCPT" => {
                        mail.recipients.push(command);
                        refuse.unwrap_or("250 ok")
                    }
                    "DATA" => {
                        stream.write_all(b"354 go on\r\n").await.unwrap();
                        while !mail.data.ends_with("\r\n.\r\n") {
                            assert!(stream.read_line(&mut mail.data).await.unwrap() > 0);
                        }
                        let done = Received { data: std::mem::take(&mut mail.data), ..mail };
                        sender.send(done).unwrap();
                        mail = Received {
                            sender: String::new(),
                            recipients: Vec::new(),
                            data: String::new(),
                        };
                        "250 ok"
                    }
                    "QUIT" => "221 bye",
                    _ => "250 ok",
                };
                stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
            }
        }
    });
    (url, received)
}

async fn sent(to: &str, letter: Letter) -> Received {
    let (url, mut received) = mail_server(None).await;
    let (mailer, delivery) = Mailer::smtp(&url, FROM).unwrap();
    assert_eq!(mailer.send(&EmailAddress::parse(to).unwrap(), letter), Posted::Queued);
    drop(mailer);
    delivery.run(std::future::pending()).await;
    received.recv().await.unwrap()
}

#[tokio::test]
async fn a_magic_link_arrives() {
    let token = SecretToken::generate();
    let mail = sent("ada@example.org", Letter::magic_link(BASE_URL, &token, TEN_MINUTES)).await;
    assert!(mail.sender.starts_with("MAIL FROM:<no-reply@example.org>"), "{}", mail.sender);
    assert_eq!(mail.recipients, ["RCPT TO:<ada@example.org>\r\n"]);
    assert_eq!(mail.header("From"), "mt <no-reply@example.org>");
    assert_eq!(mail.header("To"), "ada@example.org");
    assert_eq!(mail.header("Subject"), "Your link to sign in");
    // Whole, on a line of its own, once the reader has undone the transfer encoding; that it may do so
    // is what the version of MIME says.
    assert_eq!(mail.header("MIME-Version"), "1.0");
    assert_eq!(mail.header("Content-Transfer-Encoding"), "quoted-printable");
    let text = mail.data.replace("=\r\n", "").replace("=3D", "=");
    let link = format!("\r\nhttps://mt.example/auth/magic#token={}\r\n", token.reveal());
    assert!(text.contains(&link), "{text}");
    assert!(mail.data.contains("within 10 minutes"), "{}", mail.data);
}

#[tokio::test]
async fn a_name_injects_no_header() {
    let token = SecretToken::generate();
    let name = "Acme\r\nBcc: eve@example.org\r\n\r\nClick here";
    let letter = Letter::invite(BASE_URL, &token, name, "member", TEN_MINUTES);
    let mail = sent("ada@example.org", letter).await;
    assert_eq!(mail.recipients.len(), 1);
    let subject = mail.header("Subject");
    assert!(subject.contains("Bcc: eve@example.org"), "it should be part of the text: {subject}");
    for line in mail.headers() {
        let name = line.split_once(": ").map_or(line, |(name, _)| name);
        let known = ["From", "To", "Subject", "Date", "MIME-Version", "Content-Type"];
        let known = known.contains(&name) || name == "Content-Transfer-Encoding";
        assert!(known || line.starts_with(' '), "unexpected header {line:?}");
    }
}

#[tokio::test]
async fn names_in_any_script_arrive() {
    let token = SecretToken::generate();
    let letter = Letter::invite(BASE_URL, &token, "Ärzte ohne 国境", "admin", TEN_MINUTES);
    let mail = sent("ada@example.org", letter).await;
    assert!(mail.header("Subject").contains("=?utf-8?"), "{}", mail.data);
    assert!(mail.data.is_ascii(), "no 8-bit bytes for old relays");
}

#[tokio::test]
async fn a_refused_letter_does_not_stop_the_next() {
    let (url, mut received) = mail_server(Some("550 no such user <ada@example.org>")).await;
    let (mailer, delivery) = Mailer::smtp(&url, FROM).unwrap();
    let to = EmailAddress::parse("ada@example.org").unwrap();
    for _ in 0..2 {
        let letter = Letter::magic_link(BASE_URL, &SecretToken::generate(), TEN_MINUTES);
        assert_eq!(mailer.send(&to, letter), Posted::Queued);
    }
    drop(mailer);
    delivery.run(std::future::pending()).await;
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn what_waits_is_sent_before_the_end() {
    let (url, mut received) = mail_server(None).await;
    let (mailer, delivery) = Mailer::smtp(&url, FROM).unwrap();
    let to = EmailAddress::parse("ada@example.org").unwrap();
    let letter = || Letter::magic_link(BASE_URL, &SecretToken::generate(), TEN_MINUTES);
    for _ in 0..3 {
        assert_eq!(mailer.send(&to, letter()), Posted::Queued);
    }
    let (stop, stopping) = oneshot::channel();
    stop.send(()).unwrap();
    // The mailer is still there, as it is in a server that stops.
    delivery.run(async { stopping.await.unwrap() }).await;
    assert_eq!(mailer.send(&to, letter()), Posted::Refused);
    for _ in 0..3 {
        received.try_recv().expect("sent before the end");
    }
}

#[tokio::test]
async fn the_queue_is_bounded_and_posting_never_waits() {
    let (url, _received) = mail_server(None).await;
    let (mailer, _delivery_that_never_runs) = Mailer::smtp(&url, FROM).unwrap();
    let to = EmailAddress::parse("ada@example.org").unwrap();
    let posted = (0..1000).map(|_| {
        mailer.send(&to, Letter::magic_link(BASE_URL, &SecretToken::generate(), TEN_MINUTES))
    });
    let queued = posted.filter(|posted| *posted == Posted::Queued).count();
    assert_eq!(queued, 256);
}

#[tokio::test]
async fn without_a_mail_server_nothing_is_sent() {
    let to = EmailAddress::parse("ada@example.org").unwrap();
    let letter = Letter::magic_link(BASE_URL, &SecretToken::generate(), TEN_MINUTES);
    assert_eq!(Mailer::none().send(&to, letter), Posted::NoMailer);
}
