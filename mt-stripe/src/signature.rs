//! Checks that a delivery was signed by Stripe, and signs deliveries for tests and demonstrations.
//!
//! The scheme (<https://docs.stripe.com/webhooks#verify-manually>): the header
//! `t=<unix seconds>,v1=<hex>[,v1=…]` carries HMAC-SHA-256 tags over `t` as text, a dot, and the raw
//! body. Stripe's own libraries disagree with each other on headers that Stripe never sends; this
//! verifier takes the narrow reading of each, so that its answer does not depend on number parsing or
//! text encoding:
//!
//! * the body is bytes and is never decoded before its tag stands;
//! * exactly one `t`, in plain decimal; elements other than `t` and `v1` are ignored, whatever they
//!   claim (`v0` is a decoy that Stripe adds to test events);
//! * a `v1` that is not 64 lower-case hex digits is skipped; every other is compared, with every
//!   secret, in constant time and without an early exit;
//! * the clock window has two sides and cannot be switched off.
//!
//! # Example
//!
//! ```
//! use chrono::DateTime;
//! use mt_stripe::signature::{SignatureError, Verifier, VerifyError, sign};
//!
//! let now = DateTime::from_timestamp(1_795_449_600, 0).unwrap();
//! let body = br#"{"id": "evt_1", "type": "invoice.paid"}"#;
//! let header = sign("whsec_new", body, now);
//!
//! // Two secrets while one is being rolled.
//! let verifier = Verifier::new(["whsec_new", "whsec_old"])?;
//! let verified = verifier.verify(&[header.as_bytes()], body, now)?;
//! assert_eq!(verified.event().id(), "evt_1");
//! assert!(matches!(
//!     verifier.verify(&[header.as_bytes()], b"{}", now),
//!     Err(VerifyError::Signature(SignatureError::NoMatch))
//! ));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use crate::event::EventError;
use crate::verified::VerifiedEvent;

/// The name of the header that carries Stripe's signature, in lower case.
pub const HEADER: &str = "stripe-signature";

/// The longest header that is looked at, in bytes.
pub const MAX_HEADER_BYTES: usize = 4096;

/// The most signatures that are compared. Stripe sends one for each live secret of the endpoint.
pub const MAX_SIGNATURES: usize = 16;

/// The window that Stripe's own libraries use.
const TOLERANCE: Duration = Duration::from_mins(5);

/// Verifies `Stripe-Signature` headers. `Debug` does not show the secrets.
#[derive(Clone)]
pub struct Verifier {
    /// INVARIANT: not empty.
    keys: Vec<Hmac<Sha256>>,
    /// INVARIANT: at least one second.
    tolerance: Duration,
}

impl Verifier {
    /// A verifier that accepts deliveries signed with any of `secrets`, within five minutes of their time.
    ///
    /// A secret is the whole text that Stripe shows, `whsec_` included. Several are for rolling one,
    /// and for several endpoints at one address.
    ///
    /// # Errors
    ///
    /// [`SecretError`]: no secret, a blank one, or one with white space inside, which is a slip of
    /// copying (and with an empty key every sender could sign).
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, SecretError> {
        let mut keys = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            if secret.is_empty() {
                return Err(SecretError::Blank);
            }
            if secret.chars().any(|c| c.is_whitespace() || c.is_control()) {
                return Err(SecretError::WhiteSpace);
            }
            keys.push(key(secret));
        }
        if keys.is_empty() {
            return Err(SecretError::Missing);
        }
        Ok(Self { keys, tolerance: TOLERANCE })
    }

    /// Sets another time window, in whole seconds on either side.
    ///
    /// # Errors
    ///
    /// [`SecretError::Tolerance`] below one second: zero means *no check* to some libraries and
    /// *always stale* to others.
    pub fn with_tolerance(mut self, tolerance: Duration) -> Result<Self, SecretError> {
        if tolerance < Duration::from_secs(1) {
            return Err(SecretError::Tolerance);
        }
        self.tolerance = tolerance;
        Ok(self)
    }

    /// Verifies one delivery and parses its event. `headers` are the values of all its `Stripe-Signature` lines, `body`
    /// its bytes as received.
    ///
    /// # Errors
    ///
    /// [`VerifyError`]. Tell the sender no reason for a bad signature.
    pub fn verify(
        &self,
        headers: &[&[u8]],
        body: impl Into<Vec<u8>>,
        now: DateTime<Utc>,
    ) -> Result<VerifiedEvent, VerifyError> {
        let body = body.into();
        self.check_signature(headers, &body, now)?;
        Ok(VerifiedEvent::parse(body)?)
    }

    /// Checks the signature of one delivery, whatever its body says.
    ///
    /// # Errors
    ///
    /// [`SignatureError`], a reason for logs and metrics.
    pub fn check_signature(
        &self,
        headers: &[&[u8]],
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<(), SignatureError> {
        let header = SignatureHeader::of(headers)?;
        if body.is_empty() {
            return Err(SignatureError::EmptyBody);
        }

        let mut genuine = Choice::from(0);
        for key in &self.keys {
            let expected: [u8; 32] = tag(key, header.timestamp, body);
            for candidate in &header.candidates {
                genuine |= expected.ct_eq(candidate);
            }
        }
        if !bool::from(genuine) {
            return Err(SignatureError::NoMatch);
        }

        // After the tag, since only a signed time says anything.
        self.check_time(&header, now)
    }

    /// Checks the header of a delivery before its body is read: there is exactly one `Stripe-Signature` line, it is well
    /// formed, holds a signature that could match, and its time is within the tolerance. A receiver that calls this
    /// first reads no body that [`verify`](Self::verify) would refuse for its header.
    ///
    /// # Errors
    ///
    /// [`SignatureError`], as from [`verify`](Self::verify). Passing proves nothing: any sender can write such a header.
    pub fn check_headers(
        &self,
        headers: &[&[u8]],
        now: DateTime<Utc>,
    ) -> Result<(), SignatureError> {
        let header = SignatureHeader::of(headers)?;
        if header.candidates.is_empty() {
            return Err(SignatureError::NoMatch);
        }
        self.check_time(&header, now)
    }

    /// Signs `payload` with the first secret, and returns the header.
    #[cfg(feature = "http-client")]
    pub(crate) fn sign(&self, payload: &[u8], at: DateTime<Utc>) -> String {
        let key = self.keys.first().expect("a verifier has a key");
        header(key, payload, at)
    }

    fn check_time(
        &self,
        header: &SignatureHeader<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), SignatureError> {
        let window = i64::try_from(self.tolerance.as_secs()).unwrap_or(i64::MAX);
        let age = now.timestamp().saturating_sub(header.seconds);
        if age > window {
            return Err(SignatureError::Stale);
        }
        if age.saturating_neg() > window {
            return Err(SignatureError::Future);
        }
        Ok(())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("secrets", &self.keys.len())
            .field("tolerance", &self.tolerance)
            .finish()
    }
}

/// Signs `payload` as Stripe does, and returns the header. For tests and simulations.
#[must_use]
pub fn sign(secret: &str, payload: &[u8], at: DateTime<Utc>) -> String {
    header(&key(secret), payload, at)
}

fn header(key: &Hmac<Sha256>, payload: &[u8], at: DateTime<Utc>) -> String {
    let timestamp = at.timestamp().to_string();
    let tag = tag(key, timestamp.as_bytes(), payload);
    format!("t={timestamp},v1={}", hex::encode(tag))
}

/// The content of a header, before any of it is trusted.
struct SignatureHeader<'h> {
    /// As sent: this text is signed, not the number.
    timestamp: &'h [u8],
    seconds: i64,
    candidates: Vec<[u8; 32]>,
}

impl<'h> SignatureHeader<'h> {
    /// Parses the only header of a delivery.
    fn of(headers: &[&'h [u8]]) -> Result<Self, SignatureError> {
        match headers {
            [] | [[]] => Err(SignatureError::MissingHeader),
            [header] => Self::parse(header),
            _ => Err(SignatureError::DuplicateHeader),
        }
    }

    fn parse(header: &'h [u8]) -> Result<Self, SignatureError> {
        if header.len() > MAX_HEADER_BYTES {
            return Err(SignatureError::TooLarge);
        }
        let mut timestamp = None;
        let mut signed = false;
        let mut candidates = Vec::new();
        for element in header.split(|byte| *byte == b',') {
            // An element without `=` has an empty value; as a timestamp that is none.
            let (name, value) = match element.iter().position(|byte| *byte == b'=') {
                Some(at) => (&element[..at], &element[at + 1..]),
                None => (element, &[][..]),
            };
            match name {
                b"t" if timestamp.is_some() => return Err(SignatureError::Malformed),
                b"t" => timestamp = Some(value),
                b"v1" => {
                    signed = true;
                    candidates.extend(candidate(value));
                }
                _ => {}
            }
        }
        let timestamp = timestamp.ok_or(SignatureError::Malformed)?;
        let seconds = seconds(timestamp).ok_or(SignatureError::Malformed)?;
        if !signed {
            return Err(SignatureError::NoV1);
        }
        if candidates.len() > MAX_SIGNATURES {
            return Err(SignatureError::TooLarge);
        }
        Ok(Self { timestamp, seconds, candidates })
    }
}

/// `0|[1-9][0-9]{0,15}`: one spelling for each number, and no sign, dot or exponent.
fn seconds(text: &[u8]) -> Option<i64> {
    let plain = match text {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() <= 15 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    plain.then(|| text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// Upper-case hex is refused: Stripe's libraries compare text, and sends lower case.
fn candidate(value: &[u8]) -> Option<[u8; 32]> {
    let lower = value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut tag = [0; 32];
    (lower && hex::decode_to_slice(value, &mut tag).is_ok()).then_some(tag)
}

fn key(secret: &str) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length")
}

fn tag(key: &Hmac<Sha256>, timestamp: &[u8], body: &[u8]) -> [u8; 32] {
    let mut mac = key.clone();
    mac.update(timestamp);
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

/// Why a delivery was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It is signed, and its body is not an event.
    #[error(transparent)]
    Event(#[from] EventError),
    /// It is not signed by a configured secret, or not at this time.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// Why a signature was refused. For logs and metrics; a client learns none of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignatureError {
    /// Two `Stripe-Signature` lines: Stripe sends one.
    #[error("more than one signature header")]
    DuplicateHeader,
    /// The body is empty.
    #[error("empty body")]
    EmptyBody,
    /// Signed, but further ahead of this server's clock than the tolerance.
    #[error("timestamp lies in the future")]
    Future,
    /// Not exactly one `t` in plain decimal.
    #[error("malformed signature header")]
    Malformed,
    /// No header, or an empty one.
    #[error("no signature header")]
    MissingHeader,
    /// None of the signatures was made with a configured secret.
    #[error("no signature matches")]
    NoMatch,
    /// Only schemes other than `v1`.
    #[error("no signature of scheme `v1`")]
    NoV1,
    /// Signed, but longer ago than the tolerance: a replay, or a clock that is off.
    #[error("timestamp is too old")]
    Stale,
    /// A header past [`MAX_HEADER_BYTES`] or [`MAX_SIGNATURES`].
    #[error("signature header is too large")]
    TooLarge,
}

/// Why a [`Verifier`] was not made. No text holds a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SecretError {
    /// A secret is empty.
    #[error("a webhook signing secret is blank")]
    Blank,
    /// No secret is configured.
    #[error("no webhook signing secret")]
    Missing,
    /// The window is shorter than a second.
    #[error("the tolerance must be at least one second")]
    Tolerance,
    /// A secret holds white space or a control character.
    #[error("a webhook signing secret holds white space")]
    WhiteSpace,
}

#[cfg(test)]
mod tests;
