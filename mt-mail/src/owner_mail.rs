//! The handler of outbox messages that notify a tenant's owners of a failed payment.
//!
//! A failed payment is one message. The handler turns it into one message for each owner, with a key of its own, so
//! that a full mailbox delays no other owner's mail and is retried on its own. The handler looks addresses up when
//! it sends a mail: a user who is no longer an owner gets none.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use mt_core::access::AccessModel;
use mt_core::email::EmailAddress;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::limit::RateLimiter;
use mt_core::pg::billing::{DUNNING, owners};
use mt_core::pg::ledger::outbox::{
    Handler, HandlerOutcome, Lane, Message, NewMessage, enqueue_expiring,
};
use mt_core::pg::{PgError, System, SystemReason};
use mt_core::text_enum::TextEnum as _;
use serde_json::json;
use uuid::Uuid;

use crate::handler::{NO_MAILER, deliver, no_handler};
use crate::{MailLimits, Mailer};

/// The outbox topic of a mail to one owner about a failed payment. Its payload is `{"owner"}`.
pub const PAYMENT_FAILED_MAIL: &str = "payment_failed_mail";

/// How long it is worth telling an owner of a failed payment: a later attempt has a message of its own.
const PAYMENT_FAILED: Duration = Duration::from_hours(7 * 24);

const SPREAD: SystemReason = SystemReason::new("tell an org's owners of a failed payment");
const ADDRESS: SystemReason = SystemReason::new("look up the address of an org's owner");

/// The handler of outbox messages that notify owners of a failed payment, of the topics [`DUNNING`] and
/// [`PAYMENT_FAILED_MAIL`]. A message of another topic is dead, so a service with several topics passes each message
/// to the handler of its topic.
///
/// `M` is the model of the service, by whose plans the mails are limited. A plan that the model does not know counts
/// as its initial one.
pub struct OwnerMailHandler<M, L> {
    system: System,
    mailer: Mailer,
    limits: MailLimits<L>,
    billing_url: Arc<dyn Fn(TenantId) -> String + Send + Sync>,
    model: PhantomData<fn() -> M>,
}

impl<M: AccessModel, L: RateLimiter> OwnerMailHandler<M, L> {
    /// Creates a handler that sends through `mailer` within `limits`. `billing_url` returns the URL of a tenant's
    /// billing page.
    #[must_use]
    pub fn new(
        system: System,
        mailer: Mailer,
        limits: MailLimits<L>,
        billing_url: impl Fn(TenantId) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { system, mailer, limits, billing_url: Arc::new(billing_url), model: PhantomData }
    }

    /// Enqueues one message for each owner. Its key names the message that it comes from.
    async fn spread(&self, message: &Message) -> Result<HandlerOutcome, PgError> {
        // Only events put such messages in, and events are a tenant's.
        let Some(tenant) = message.tenant else { return Ok(HandlerOutcome::Skipped("no_org")) };
        let mut tx = self.system.begin(SPREAD).await?;
        let owners = owners::list(&mut tx, tenant).await?;
        for owner in &owners {
            let owner = owner.as_uuid();
            let mail = NewMessage {
                tenant: message.tenant,
                topic: PAYMENT_FAILED_MAIL,
                lane: Lane::Main,
                dedupe_key: &format!("{}:{owner}", message.dedupe_key),
                payload: json!({"owner": owner}),
            };
            enqueue_expiring(tx.conn(), &mail, PAYMENT_FAILED).await?;
        }
        tx.commit().await?;
        Ok(if owners.is_empty() {
            HandlerOutcome::Skipped("no_owner")
        } else {
            HandlerOutcome::Sent
        })
    }

    async fn mail(&self, message: &Message) -> Result<HandlerOutcome, PgError> {
        let owner = message.payload.get("owner").and_then(serde_json::Value::as_str);
        let Some(owner) = owner.and_then(|owner| Uuid::try_parse(owner).ok()) else {
            return Ok(HandlerOutcome::Dead("the message names no owner".to_owned()));
        };
        let Some(tenant) = message.tenant else { return Ok(HandlerOutcome::Skipped("no_org")) };
        let mut tx = self.system.begin(ADDRESS).await?;
        let owner = owners::find(&mut tx, tenant, PrincipalId::from_uuid(owner)).await?;
        tx.commit().await?;
        let Some(owner) = owner else { return Ok(HandlerOutcome::Skipped("not_an_owner")) };
        let Ok(email) = EmailAddress::parse(&owner.email) else {
            let detail = "mail cannot be sent to the address".to_owned();
            return Ok(HandlerOutcome::Refused { reason: "recipient", detail });
        };
        let plan = M::Plan::parse(&owner.plan).unwrap_or(M::INITIAL_PLAN);
        // A retry is counted again. That uses up the quota of this owner and this tenant only.
        if let Err(refused) = self.limits.to_owner(&email, (tenant, plan.as_str())).await {
            let detail = refused.to_string();
            return Ok(HandlerOutcome::Deferred { reason: "limited", detail });
        }
        let notice = self.mailer.payment_failed(&(self.billing_url)(tenant), &owner.tenant_name);
        Ok(deliver(&self.mailer, &email, &notice, message).await)
    }
}

impl<M: AccessModel, L: RateLimiter> Handler for OwnerMailHandler<M, L> {
    async fn handle(&self, message: &Message) -> HandlerOutcome {
        let topic = message.topic.as_str();
        if !matches!(topic, DUNNING | PAYMENT_FAILED_MAIL) {
            return no_handler(topic);
        }
        if !self.mailer.is_configured() {
            return HandlerOutcome::Skipped(NO_MAILER);
        }
        let delivered = match topic {
            DUNNING => self.spread(message).await,
            _ => self.mail(message).await,
        };
        delivered.unwrap_or_else(|error| HandlerOutcome::Deferred {
            reason: "database",
            detail: error.to_string(),
        })
    }
}

impl<M, L> fmt::Debug for OwnerMailHandler<M, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerMailHandler")
            .field("system", &self.system)
            .field("mailer", &self.mailer)
            .finish_non_exhaustive()
    }
}
