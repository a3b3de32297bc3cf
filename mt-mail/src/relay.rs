//! The SMTP client of one mail server.
//!
//! It sends the commands one by one instead of using lettre's transport, because the transport does not report which
//! command was rejected, and that decides whether an email is retried ([`Stage`]).

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

use crate::config_error::MailConfigError;
use crate::delivery_error::{DeliveryError, Stage};

/// The timeout of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of sending one email, including the connection.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// The timeout of `QUIT`. The result is certain by then.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The mail server: its address, encryption and credentials.
#[derive(Debug)]
pub(crate) struct Relay {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    hello: ClientId,
    /// Whether it lacked SMTPUTF8 at the last connection.
    lacks_smtputf8: AtomicBool,
}

impl Relay {
    /// Parses a URL as lettre's transport does.
    ///
    /// # Errors
    ///
    /// [`MailConfigError::Url`] when lettre's transport would reject it.
    pub(crate) fn from_url(text: &str) -> Result<Self, MailConfigError> {
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

    /// Returns whether it is known to deliver to ASCII addresses only.
    pub(crate) fn lacks_smtputf8(&self) -> bool {
        self.lacks_smtputf8.load(Relaxed)
    }

    /// Sends one message within [`SEND_TIMEOUT`].
    ///
    /// # Errors
    ///
    /// [`DeliveryError`] when the relay does not accept it in that time.
    pub(crate) async fn send(&self, message: &Message) -> Result<(), DeliveryError> {
        let deadline = Instant::now() + SEND_TIMEOUT;
        let connecting = timeout_at(deadline, self.connect()).await;
        let mut connection = connecting
            .map_err(|_elapsed| DeliveryError::timeout(Stage::Connect))?
            .map_err(|error| DeliveryError::of(Stage::Connect, &error))?;
        let mut stage = Stage::Connect;
        let session = self.run_session(&mut connection, message, &mut stage);
        let result = match timeout_at(deadline, session).await {
            Ok(Ok(Ended::Accepted)) => Ok(()),
            Ok(Ok(Ended::NeedsSmtpUtf8)) => Err(DeliveryError::needs_smtputf8()),
            Ok(Err(error)) => Err(DeliveryError::of(stage, &error)),
            Err(_elapsed) => Err(DeliveryError::timeout(stage)),
        };
        // An accepted message stays accepted, however the connection ends. After a failed handshake there is no
        // stream for `QUIT`, and lettre panics without one.
        if stage != Stage::StartTls {
            let _ = timeout(QUIT_TIMEOUT, connection.abort()).await;
        }
        result
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let wrapped = match &self.tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let server = (self.host.as_str(), self.port);
        let time = Some(CONNECT_TIMEOUT);
        AsyncSmtpConnection::connect_tokio1(server, time, &self.hello, wrapped, None).await
    }

    /// Runs the SMTP session after the greeting, and keeps the present step in `stage`.
    async fn run_session(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Message,
        stage: &mut Stage,
    ) -> Result<Ended, smtp::Error> {
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
        let (envelope, content) = (message.envelope(), message.formatted());
        let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        let mut options = Vec::new();
        let lacks_smtputf8 = !connection.server_info().supports_feature(Extension::SmtpUtfEight);
        self.lacks_smtputf8.store(lacks_smtputf8, Relaxed);
        if !envelope.to().iter().chain(envelope.from()).all(is_ascii) {
            if lacks_smtputf8 {
                return Ok(Ended::NeedsSmtpUtf8);
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
        Ok(Ended::Accepted)
    }
}

/// How a session ended in which the relay rejected no command.
enum Ended {
    Accepted,
    NeedsSmtpUtf8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use lettre::{AsyncSmtpTransport, Tokio1Executor};

    /// A URL is accepted if and only if lettre's transport accepts it.
    #[test]
    fn urls_are_parsed_as_lettre_parses_them() {
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
