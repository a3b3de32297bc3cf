//! A mail server for tests: enough of RFC 5321 to accept mail, and to refuse it at any stage.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// A mail as the server received it.
pub(crate) struct Received {
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) data: String,
}

impl Received {
    pub(crate) fn headers(&self) -> Vec<&str> {
        self.data.split_once("\r\n\r\n").unwrap().0.split("\r\n").collect()
    }

    /// Returns the mail with its transfer encoding decoded.
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

/// Answers of a mail server that are not `250`, by the command that they answer: `CONNECT`, `CONTENT` (the
/// message) or a verb of SMTP. An empty answer hangs up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    other: Arc<Mutex<Vec<(&'static str, &'static str)>>>,
    held: Option<Held>,
}

/// Mail that the mail server delays until it is released.
#[derive(Clone, Debug)]
struct Held {
    text: &'static str,
    goes_on: watch::Receiver<bool>,
}

impl Answers {
    pub(crate) fn new(answers: &[(&'static str, &'static str)]) -> Self {
        Self { other: Arc::new(Mutex::new(answers.to_vec())), held: None }
    }

    /// Delays the answer to mail that contains `text` until the sender sends `true`.
    pub(crate) fn holding(text: &'static str) -> (Self, watch::Sender<bool>) {
        let (go_on, goes_on) = watch::channel(false);
        let other = Arc::default();
        (Self { other, held: Some(Held { text, goes_on }) }, go_on)
    }

    async fn hold(&self, data: &str) {
        if let Some(Held { text, mut goes_on }) = self.held.clone()
            && data.contains(text)
        {
            // An error is a test that has ended.
            let _ = goes_on.wait_for(|goes_on| *goes_on).await;
        }
    }

    /// Accepts all mail from now on.
    pub(crate) fn clear(&self) {
        self.other.lock().unwrap().clear();
    }

    fn to(&self, command: &str) -> Option<&'static str> {
        let answers = self.other.lock().unwrap();
        answers.iter().find(|(to, _)| command == *to).map(|(_, answer)| *answer)
    }
}

/// Starts a mail server that refuses recipients with the answer `refuse`, if given.
pub(crate) async fn mail_server(
    refuse: Option<&'static str>,
) -> (String, mpsc::UnboundedReceiver<Received>) {
    let refuse: Vec<_> = refuse.into_iter().map(|answer| ("RCPT", answer)).collect();
    relay(Answers::new(&refuse)).await
}

/// Starts a mail server with these answers. It implements enough of RFC 5321 to accept mail.
pub(crate) async fn relay(answers: Answers) -> (String, mpsc::UnboundedReceiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (answers, sender) = (answers.clone(), sender.clone());
            // An error is a client that hung up.
            tokio::spawn(async move { serve(stream, &answers, &sender).await });
        }
    });
    (url, received)
}

async fn serve(
    stream: TcpStream,
    answers: &Answers,
    sender: &mpsc::UnboundedSender<Received>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let fresh = || Received { sender: String::new(), recipients: Vec::new(), data: String::new() };
    let mut mail = fresh();
    let greeting = answers.to("CONNECT").unwrap_or("220 ready");
    stream.write_all(format!("{greeting}\r\n").as_bytes()).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let command = std::mem::take(&mut line);
        let verb = command.split([' ', ':', '\r']).next().unwrap().to_owned();
        let mut answer = match answers.to(&verb) {
            Some(answer) => answer,
            None if verb == "EHLO" => "250-relay\r\n250-AUTH PLAIN\r\n250-8BITMIME\r\n250 SMTPUTF8",
            None if verb == "AUTH" => "235 welcome",
            None if verb == "DATA" => "354 go on",
            None if verb == "QUIT" => "221 bye",
            None => "250 ok",
        };
        match verb.as_str() {
            "MAIL" => mail.sender = command,
            "RCPT" => mail.recipients.push(command),
            "DATA" if answer.starts_with("354") => {
                stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
                while !mail.data.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut mail.data).await? == 0 {
                        return Ok(());
                    }
                }
                answers.hold(&mail.data).await;
                answer = answers.to("CONTENT").unwrap_or("250 ok");
                if answer.starts_with('2') {
                    sender.send(std::mem::replace(&mut mail, fresh())).unwrap();
                }
            }
            _ => {}
        }
        if answer.is_empty() {
            return Ok(());
        }
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}
