//! Mail as a mail server receives it.

use std::time::Duration;

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::email::EmailAddress;
use mt_core::token::SecretToken;
use reference_server::mail::{Letter, Mailer, Seal, Undelivered};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

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

    /// All of it, once the reader has undone the transfer encoding.
    pub(crate) fn text(&self) -> String {
        self.data.replace("=\r\n", "").replace("=3D", "=")
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

#[tokio::test]
async fn what_is_refused_is_said_so() {
    let to = EmailAddress::parse("ada@example.org").unwrap();
    for (answer, expected) in [
        ("550 no such user <ada@example.org>", Undelivered::ForGood("refused")),
        ("451 come back later", Undelivered::ForNow("refused for now")),
    ] {
        let (url, _received) = mail_server(Some(answer)).await;
        let mailer = Mailer::smtp(&url, FROM, Seal::new(b"a secret", None)).unwrap();
        let letter = magic_link(&SecretToken::generate());
        assert_eq!(mailer.deliver(&to, &letter, "1").await, Err(expected));
    }
    let letter = magic_link(&SecretToken::generate());
    let nowhere = Mailer::none().deliver(&to, &letter, "1").await;
    assert_eq!(nowhere, Err(Undelivered::ForNow("no mail server")));
}
