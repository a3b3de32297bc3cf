//! The task that hands letters to the mail server.

use std::future::Future;
use std::time::Duration;

use lettre::message::Message;
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use tokio::sync::mpsc;

/// How long one command to the mail server may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long one letter may take altogether.
const PATIENCE_PER_LETTER: Duration = Duration::from_secs(30);

/// Hands queued letters to the mail server, one after the other.
#[derive(Debug)]
#[must_use = "nothing is sent until `run` is spawned"]
pub struct Delivery {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    letters: mpsc::Receiver<Message>,
}

impl Delivery {
    pub(super) fn new(
        transport: AsyncSmtpTransport<Tokio1Executor>,
        letters: mpsc::Receiver<Message>,
    ) -> Self {
        Self { transport, letters }
    }

    /// Runs until `stopping` is ready, or until there is no [`Mailer`](super::Mailer) left; then takes
    /// no more letters and ends when those that wait have been sent. Bound that by a timeout: an
    /// absent mail server takes its time over each.
    pub async fn run(mut self, stopping: impl Future<Output = ()> + Send) {
        let mut stopping = std::pin::pin!(stopping);
        let mut open = true;
        loop {
            let letter = tokio::select! {
                () = &mut stopping, if open => {
                    open = false;
                    self.letters.close();
                    continue;
                }
                letter = self.letters.recv() => letter,
            };
            let Some(letter) = letter else { return };
            self.deliver(letter).await;
        }
    }

    async fn deliver(&self, letter: Message) {
        // Whoever waits for it can ask for another.
        let _logged = hand_over(&self.transport, letter).await;
    }
}

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
