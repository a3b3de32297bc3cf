//! The mail server at `SMTP_URL`, and how it is handed a letter.
//!
//! The conversation is led command by command, not by lettre's transport, because the transport does not tell
//! which command was refused, and that decides what becomes of the letter ([`Stage`]).

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lettre::Address;
use lettre::message::Message;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::{self, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, timeout, timeout_at};
use url::{Host, Url};

use super::MailConfigError;
use super::outcome::{Stage, Undelivered};

/// How long connecting may take.
const TO_CONNECT: Duration = Duration::from_secs(10);
/// How long one letter may take altogether.
const PER_LETTER: Duration = Duration::from_secs(30);
/// How long the mail server is given to say goodbye, once the letter's outcome is certain.
const TO_QUIT: Duration = Duration::from_secs(1);

/// Where letters are handed over, and how.
#[derive(Debug)]
pub(super) struct Relay {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    hello: ClientId,
    /// Whether it offered no SMTPUTF8 when it was last spoken to.
    lacks_smtputf8: AtomicBool,
}

impl Relay {
    /// Reads `SMTP_URL`, as lettre's transport reads it.
    ///
    /// # Errors
    ///
    /// [`MailConfigError::Url`].
    pub(super) fn from_url(text: &str) -> Result<Self, MailConfigError> {
        let url = Url::parse(text).map_err(|_| MailConfigError::Url)?;
        let host = match url.host().ok_or(MailConfigError::Url)? {
            // Without the brackets, which belong to the URL.
            Host::Ipv6(address) => address.to_string(),
            host => host.to_string(),
        };
        let verified = || TlsParameters::new(host.clone()).map_err(|_| MailConfigError::Url);
        let asked = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value);
        let (tls, port) = match (url.scheme(), asked.as_deref()) {
            ("smtp", None) => (Tls::None, SMTP_PORT),
            ("smtp", Some("required")) => (Tls::Required(verified()?), SUBMISSION_PORT),
            ("smtp", Some("opportunistic")) => (Tls::Opportunistic(verified()?), SUBMISSION_PORT),
            ("smtps", _) => (Tls::Wrapper(verified()?), SUBMISSIONS_PORT),
            _ => return Err(MailConfigError::Url),
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8().map_err(|_| MailConfigError::Url)?;
            Ok::<_, MailConfigError>(text.into_owned())
        };
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(decoded(url.username())?, decoded(password)?)),
            None => None,
        };
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        let port = url.port().unwrap_or(port);
        let lacks_smtputf8 = AtomicBool::new(false);
        Ok(Self { host, port, tls, credentials, hello, lacks_smtputf8 })
    }

    /// Whether it is known to take no address that is not ASCII.
    pub(super) fn lacks_smtputf8(&self) -> bool {
        self.lacks_smtputf8.load(Relaxed)
    }

    /// Hands over one letter, within its time.
    ///
    /// # Errors
    ///
    /// [`Undelivered`].
    pub(super) async fn hand_over(&self, letter: &Message) -> Result<(), Undelivered> {
        let deadline = Instant::now() + PER_LETTER;
        let connecting = timeout_at(deadline, self.connect()).await;
        let mut connection = connecting
            .map_err(|_elapsed| Undelivered::timeout(Stage::Connect))?
            .map_err(|error| Undelivered::of(Stage::Connect, &error))?;
        let mut stage = Stage::Connect;
        let conversing = self.converse(&mut connection, letter, &mut stage);
        let done = match timeout_at(deadline, conversing).await {
            Ok(Ok(Conversed::Taken)) => Ok(()),
            Ok(Ok(Conversed::NeedsSmtpUtf8)) => Err(Undelivered::needs_smtputf8()),
            Ok(Err(error)) => Err(Undelivered::of(stage, &error)),
            Err(_elapsed) => Err(Undelivered::timeout(stage)),
        };
        // What is taken stays taken, however the connection ends. A handshake that failed leaves no stream to
        // say goodbye on, and lettre panics where there is none.
        if stage != Stage::StartTls {
            let _ = timeout(TO_QUIT, connection.abort()).await;
        }
        done
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let wrapped = match &self.tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let server = (self.host.as_str(), self.port);
        let time = Some(TO_CONNECT);
        AsyncSmtpConnection::connect_tokio1(server, time, &self.hello, wrapped, None).await
    }

    /// Leads the conversation from its greeting on, and keeps in `stage` how far it has come.
    async fn converse(
        &self,
        connection: &mut AsyncSmtpConnection,
        letter: &Message,
        stage: &mut Stage,
    ) -> Result<Conversed, smtp::Error> {
        let parameters = match &self.tls {
            Tls::Required(parameters) => Some(parameters),
            Tls::Opportunistic(parameters) => connection.can_starttls().then_some(parameters),
            Tls::None | Tls::Wrapper(_) => None,
        };
        if let Some(parameters) = parameters {
            *stage = Stage::StartTls;
            connection.starttls(parameters.clone(), &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            *stage = Stage::Auth;
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        let (envelope, content) = (letter.envelope(), letter.formatted());
        let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        let mut options = Vec::new();
        let lacks_smtputf8 = !connection.server_info().supports_feature(Extension::SmtpUtfEight);
        self.lacks_smtputf8.store(lacks_smtputf8, Relaxed);
        if !envelope.to().iter().chain(envelope.from()).all(is_ascii) {
            if lacks_smtputf8 {
                return Ok(Conversed::NeedsSmtpUtf8);
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if !content.is_ascii() {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        *stage = Stage::Sender;
        connection.command(Mail::new(envelope.from().cloned(), options)).await?;
        *stage = Stage::Recipient;
        for to in envelope.to() {
            connection.command(Rcpt::new(to.clone(), Vec::new())).await?;
        }
        *stage = Stage::Data;
        connection.command(Data).await?;
        *stage = Stage::Content;
        connection.message(&content).await?;
        Ok(Conversed::Taken)
    }
}

/// How a conversation ended in which nothing was refused.
enum Conversed {
    Taken,
    NeedsSmtpUtf8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use lettre::{AsyncSmtpTransport, Tokio1Executor};

    /// What lettre's transport takes is taken, and what it refuses is refused.
    #[test]
    fn urls_are_read_as_lettre_reads_them() {
        for url in [
            "smtp://127.0.0.1:25",
            "smtp://mail.example.org",
            "smtp://mail.example.org:587?tls=required",
            "smtp://u:p%40ss@mail.example.org?tls=opportunistic",
            "smtps://u:p@mail.example.org/client.example.org",
            "smtp://mail.example.org?tls=maybe",
            "smtp://u:%ff@mail.example.org",
            "https://mail.example.org",
            "mail.example.org:25",
            "smtp:",
            "",
        ] {
            let theirs = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).is_ok();
            assert_eq!(Relay::from_url(url).is_ok(), theirs, "{url}");
        }
        let relay = Relay::from_url("smtps://u%3A:p%40@mail.example.org/client").unwrap();
        assert_eq!((relay.host.as_str(), relay.port), ("mail.example.org", 465));
        assert_eq!(relay.hello, ClientId::Domain("client".to_owned()));
        let credentials = Credentials::new("u:".to_owned(), "p@".to_owned());
        assert_eq!(relay.credentials, Some(credentials));
        assert_eq!(Relay::from_url("smtp://[::1]:2525").unwrap().host, "::1");
    }
}
