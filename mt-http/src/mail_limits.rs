//! Limits on mails, whatever they count with.

use std::future::Future;
use std::pin::Pin;

use ipnet::IpNet;
use mt_core::email::EmailAddress;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::limit::RateLimiter;
use mt_mail::{LimitReached, LinkDecision, MailLimitError, MailLimits, Mailer};
use mt_tower::problem::{FieldError, Problem};
use mt_tower::rate_limit::limit_fields;

use crate::problems::invalid_fields;
use crate::refusal::Refusal;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`MailLimits`] with any limiter.
pub(crate) trait AnyMailLimits: Send + Sync + 'static {
    fn needs_known_networks(&self) -> bool;

    fn sign_in<'a>(
        &'a self,
        network: IpNet,
        email: &'a EmailAddress,
    ) -> BoxFuture<'a, Result<LinkDecision, MailLimitError>>;

    fn invite<'a>(
        &'a self,
        email: &'a EmailAddress,
        tenant: (TenantId, &'a str),
        sender: PrincipalId,
    ) -> BoxFuture<'a, Result<(), MailLimitError>>;
}

impl<L: RateLimiter + 'static> AnyMailLimits for MailLimits<L> {
    fn needs_known_networks(&self) -> bool {
        Self::needs_known_networks(self)
    }

    fn sign_in<'a>(
        &'a self,
        network: IpNet,
        email: &'a EmailAddress,
    ) -> BoxFuture<'a, Result<LinkDecision, MailLimitError>> {
        Box::pin(Self::sign_in(self, network, email))
    }

    fn invite<'a>(
        &'a self,
        email: &'a EmailAddress,
        tenant: (TenantId, &'a str),
        sender: PrincipalId,
    ) -> BoxFuture<'a, Result<(), MailLimitError>> {
        Box::pin(Self::invite(self, email, tenant, sender))
    }
}

/// Refuses an address that the mail server is known not to deliver to.
pub(crate) fn check_address(mailer: &Mailer, email: &EmailAddress) -> Result<(), Problem> {
    mailer
        .accepts(email)
        .map_err(|refused| invalid_fields(vec![FieldError::new("/email", refused.to_string())]))
}

impl From<MailLimitError> for Refusal {
    fn from(refused: MailLimitError) -> Self {
        let MailLimitError::Reached(reached) = refused else {
            return Problem::unavailable().into();
        };
        let LimitReached { name, quota, decision } = reached;
        let fields = limit_fields(name, quota, decision);
        fields
            .into_iter()
            .fold(Problem::rate_limited(decision.retry_after), |problem, (name, value)| {
                problem.with_header(name, value)
            })
            .into()
    }
}
