//! E-mail for multi-tenant services: sign-in links, invites and notices of failed payments.
//!
//! [`Mailer::enqueue`] inserts an email into the outbox in the transaction of the change that causes it. It is
//! encrypted ([`Seal`]), because it may hold a link. After the commit a dispatcher claims it and sends it to the
//! mail server ([`MailHandler`]). Therefore:
//!
//! * **No email is lost**: when the service is killed or the mail server is down, the email is sent later.
//! * **No email reports a change that did not happen**: a rollback removes the email as well.
//! * **Each email is sent once, as far as SMTP allows**: one process at a time holds an email, and marks it as sent
//!   once the mail server has accepted it. A process that is killed in between causes a second delivery, with the
//!   same `Message-ID`.
//! * **No response waits for mail**: a request takes the same steps whether or not it sends an email.
//! * **A link to sign in waits behind no other email**: it has its own [lane](EmailMessage::lane).
//!
//! When a delivery fails, the email is retried until it expires: an email with a link as long as the link is valid,
//! other email for a week. The one permanent failure is a recipient that the mail server rejects: the email is then
//! dead and logged as such. [`FailureReason`] names the failures, which are told apart by the reply and the command
//! that it answers.
//!
//! Logs name what failed, and never the address, the token or the text of the mail server, which often repeats the
//! address.
//!
//! | item | purpose |
//! | --- | --- |
//! | [`Mailer`] | puts emails into the outbox, and sends them by SMTP |
//! | [`Templates`], [`EmailMessage`] | the texts of the emails, which a service may replace |
//! | [`token_link`] | the link in an email |
//! | [`MailHandler`], [`OwnerMailHandler`] | what the outbox's dispatchers call |
//! | [`MailLimits`] | limits by recipient, sender, tenant and in total |
//!
//! # Example
//!
//! A service in German. The dispatchers are those of [`mt_core::pg::ledger::outbox`]: each lane needs one.
//!
//! ```
//! use std::time::Duration;
//!
//! use chrono::Utc;
//! use mt_core::pg::PgError;
//! use mt_core::pg::ledger::outbox::{Dispatcher, Lane};
//! use mt_core::pg::ledger::RetryPolicy;
//! use mt_core::pg::{System, SystemReason, User};
//! use mt_core::email::EmailAddress;
//! use mt_core::token::TokenHasher;
//! use mt_mail::{EmailMessage, MailHandler, Mailer, Seal, SignInMail, Templates, token_link};
//!
//! /// The link to sign in is in German; the other emails have the library's text.
//! struct German;
//!
//! impl Templates for German {
//!     fn sign_in(&self, mail: &SignInMail<'_>) -> EmailMessage {
//!         EmailMessage::new("Dein Link zum Anmelden")
//!             .language("de")
//!             .text("Hallo,")
//!             .text("mit diesem Link meldest du dich an. Er gilt einmal.")
//!             .link("Anmelden", mail.url)
//!             .valid_for(mail.valid_for, mail.now)
//!             .urgent()
//!     }
//! }
//!
//! fn mailer(smtp_url: &str, secret: &[u8]) -> Result<Mailer, mt_mail::MailConfigError> {
//!     let mailer = Mailer::smtp(smtp_url, "Notes <no-reply@example.org>", Seal::new(secret, None))?;
//!     Ok(mailer.with_templates(German))
//! }
//!
//! fn dispatcher(system: System, mailer: &Mailer, lane: Lane) -> Dispatcher<MailHandler> {
//!     Dispatcher::new(system, MailHandler::new(mailer.clone()), RetryPolicy::default())
//!         .in_lane(lane)
//!         .woken_by(mailer.wake_up(lane).clone())
//!         .with_stats(mailer.stats().clone())
//! }
//!
//! const LINK: SystemReason = SystemReason::anonymous("make a sign-in link");
//!
//! async fn send_link(
//!     system: &System,
//!     hasher: &TokenHasher,
//!     mailer: &Mailer,
//!     to: &EmailAddress,
//! ) -> Result<(), PgError> {
//!     let ttl = Duration::from_mins(10);
//!     let mut tx = system.begin(LINK).await?;
//!     if let Some(token) = User::make_magic_link(&mut tx, hasher, to, ttl).await? {
//!         let url = token_link("https://notes.example", "/sign-in", &token);
//!         let email = mailer.sign_in(&url, ttl, Utc::now());
//!         mailer.enqueue(tx.conn(), None, to, email).await?;
//!     }
//!     tx.commit().await?;
//!     mailer.wake_up(Lane::Urgent).notify();
//!     Ok(())
//! }
//!
//! let mailer = mailer("smtp://127.0.0.1:25", b"a secret of the service")?;
//! let email = mailer.sign_in("https://notes.example/sign-in#token=x", Duration::from_mins(10), Utc::now());
//! assert_eq!(email.subject(), "Dein Link zum Anmelden");
//! assert_eq!(email.lane(), Lane::Urgent);
//! # Ok::<(), mt_mail::MailConfigError>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config_error;
mod delivery_error;
mod email;
mod handler;
mod limit_error;
mod limits;
mod link;
mod mailer;
mod owner_mail;
mod quotas;
mod relay;
mod seal;
mod templates;
mod tenant_name;

pub use self::config_error::MailConfigError;
pub use self::delivery_error::{DeliveryError, FailureReason};
pub use self::email::EmailMessage;
pub use self::handler::{MAIL, MailHandler, recipient};
pub use self::limit_error::{LimitReached, MailLimitError};
pub use self::limits::{LinkDecision, MailLimits};
pub use self::link::token_link;
pub use self::mailer::{Mailer, UnsupportedAddress};
pub use self::owner_mail::{OwnerMailHandler, PAYMENT_FAILED_MAIL};
pub use self::quotas::MailQuotas;
pub use self::seal::Seal;
pub use self::templates::{English, InviteMail, PaymentFailedMail, SignInMail, Templates};

/// The example of the README, compiled by `cargo test --doc`.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
