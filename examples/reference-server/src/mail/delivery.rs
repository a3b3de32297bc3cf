//! Handing a letter to the mail server, and what came of it.

use std::time::Duration;

use lettre::message::Message;
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

/// How long one command to the mail server may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long one letter may take altogether.
const PATIENCE_PER_LETTER: Duration = Duration::from_secs(30);

/// Why a letter was not taken, in a few words. They do not hold the address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Undelivered {
    /// Trying again will not help.
    #[error("{0}")]
    ForGood(&'static str),
    /// Trying again may help.
    #[error("{0}")]
    ForNow(&'static str),
}

/// Hands one letter to the mail server, within its time, and logs what came of it.
pub(super) async fn hand_over(
    transport: &AsyncSmtpTransport<Tokio1Executor>,
    letter: Message,
) -> Result<(), Undelivered> {
    match tokio::time::timeout(PATIENCE_PER_LETTER, transport.send(letter)).await {
        Ok(Ok(_)) => {
            tracing::debug!("a letter was sent");
            Ok(())
        }
        Ok(Err(error)) => {
            let (reason, code) = (reason(&error), error.status().map(|code| code.to_string()));
            tracing::warn!(reason, code, "a letter could not be delivered");
            Err(match error.is_permanent() {
                true => Undelivered::ForGood(reason),
                false => Undelivered::ForNow(reason),
            })
        }
        Err(_elapsed) => {
            tracing::warn!(reason = "timeout", "a letter could not be delivered");
            Err(Undelivered::ForNow("timeout"))
        }
    }
}

/// One word for what failed. The error's own text may repeat the address.
fn reason(error: &smtp::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_permanent() {
        "refused"
    } else if error.is_transient() {
        "refused for now"
    } else if error.is_tls() {
        "tls"
    } else if error.is_response() {
        "unexpected answer"
    } else {
        "connection"
    }
}
