//! The handler of outbox messages that notify an org's owners of a failed payment.
//!
//! A failed payment is one message. The handler turns it into one message for each owner, with a key of its own, so
//! that a full mailbox delays no other owner's mail and is retried on its own. The handler looks addresses up when
//! it sends a mail: a user who is no longer an owner gets none.

use std::time::Duration;

use mt_core::email::EmailAddress;
use mt_core::id::TenantId;
use mt_core::pg::billing::DUNNING;
use mt_core::pg::ledger::outbox::{
    Handler, HandlerOutcome, Lane, Message, NewMessage, enqueue_expiring,
};
use mt_core::pg::{PgError, System, SystemReason};
use mt_core::text_enum::TextEnum as _;
use serde_json::json;
use uuid::Uuid;

use crate::limits::{MailLimitError, MailLimits};
use crate::mail::{EmailMessage, Mailer, handler};
use crate::model::Plan;
use crate::pages;

/// The topic of a mail to one owner. Its payload is `{"owner"}`.
pub(crate) const MAIL: &str = "payment_failed_mail";

/// How long it is worth telling an owner of a failed payment: a later attempt has a message of its own.
const PAYMENT_FAILED: Duration = Duration::from_hours(7 * 24);

const SPREAD: SystemReason = SystemReason::new("tell an org's owners of a failed payment");
const ADDRESS: SystemReason = SystemReason::new("look up the address of an org's owner");

/// The handler of outbox messages that notify owners of a failed payment.
#[derive(Debug)]
pub(crate) struct OwnerMailHandler {
    system: System,
    mailer: Mailer,
    limits: MailLimits,
    base_url: String,
}

impl OwnerMailHandler {
    pub(crate) const fn new(
        system: System,
        mailer: Mailer,
        limits: MailLimits,
        base_url: String,
    ) -> Self {
        Self { system, mailer, limits, base_url }
    }

    /// One message for each owner, with the one that it comes from in its name.
    async fn spread(&self, message: &Message) -> Result<HandlerOutcome, PgError> {
        // Only events put such messages in, and events are an org's.
        let Some(org) = message.tenant else { return Ok(HandlerOutcome::Skipped("no_org")) };
        let mut tx = self.system.begin(SPREAD).await?;
        let owners: Vec<Uuid> = sqlx::query_scalar(
            "select principal_id from mt.memberships where tenant_id = $1 and is_owner",
        )
        .bind(org.as_uuid())
        .fetch_all(tx.conn())
        .await?;
        for owner in &owners {
            let mail = NewMessage {
                tenant: message.tenant,
                topic: MAIL,
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
        let Some(id) = message.tenant else { return Ok(HandlerOutcome::Skipped("no_org")) };
        let Some((org, email, plan)) = self.address(id, owner).await? else {
            return Ok(HandlerOutcome::Skipped("not_an_owner"));
        };
        let Ok(email) = EmailAddress::parse(&email) else {
            let detail = "mail cannot be sent to the address".to_owned();
            return Ok(HandlerOutcome::Refused { reason: "recipient", detail });
        };
        // A retry is counted again. That uses up the quota of this owner and this org only.
        match self.limits.to_owner(&email, (id, plan)).await {
            Ok(()) => {}
            Err(MailLimitError::Reached(reached)) => {
                let detail = format!("the limit `{}` is reached", reached.name());
                return Ok(HandlerOutcome::Deferred { reason: "limited", detail });
            }
            Err(MailLimitError::NotCounted) => {
                let detail = "the rate limiter cannot count emails at present".to_owned();
                return Ok(HandlerOutcome::Deferred { reason: "limited", detail });
            }
        }
        let notice = EmailMessage::payment_failed(&pages::billing_url(&self.base_url, id), &org);
        Ok(handler::deliver(&self.mailer, &email, &notice, message).await)
    }

    /// The org's name, the owner's address and the org's plan.
    async fn address(
        &self,
        org: TenantId,
        owner: Uuid,
    ) -> Result<Option<(String, String, Plan)>, PgError> {
        let mut tx = self.system.begin(ADDRESS).await?;
        let found: Option<(String, String, String)> = sqlx::query_as(
            "select t.name, u.email, t.plan from mt.memberships m \
             join mt.tenants t on t.id = m.tenant_id join mt.users u on u.id = m.principal_id \
             where m.tenant_id = $1 and m.principal_id = $2 and m.is_owner",
        )
        .bind(org.as_uuid())
        .bind(owner)
        .fetch_optional(tx.conn())
        .await?;
        tx.commit().await?;
        // A plan that this version does not know has the smallest figure.
        let plan = |word: &str| Plan::parse(word).unwrap_or(Plan::Free);
        Ok(found.map(|(org, email, word)| (org, email, plan(&word))))
    }
}

impl Handler for OwnerMailHandler {
    async fn handle(&self, message: &Message) -> HandlerOutcome {
        let delivered = match message.topic.as_str() {
            DUNNING => self.spread(message).await,
            MAIL => self.mail(message).await,
            topic => Ok(HandlerOutcome::Dead(format!("no handler for the topic `{topic}`"))),
        };
        delivered.unwrap_or_else(|error| HandlerOutcome::Deferred {
            reason: "database",
            detail: error.to_string(),
        })
    }
}
