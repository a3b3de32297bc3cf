//! Limits on emails: per recipient, per sender, per tenant and in total.
//!
//! [`MailLimits`] explains them.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use mt_core::email::EmailAddress;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::limit::{FairShare, Limited, Policy, Quota, RateLimiter, Reserve};
use mt_core::text_enum::TextEnum;

use crate::limit_error::{LimitReached, MailLimitError};
use crate::quotas::MailQuotas;

/// The limits on emails: per recipient, per sender, per tenant and in total.
///
/// Handlers check them, because the keys are in request bodies. The limiter receives addresses as parts of keys: a
/// limiter that stores keys outside of the process should hash them, as those of mt do.
///
/// ```
/// use std::num::NonZeroU32;
///
/// use mt_core::email::EmailAddress;
/// use mt_core::limit::InProcessLimiter;
/// use mt_mail::{LinkDecision, MailLimits, MailQuotas};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let quotas = MailQuotas { to_one_recipient: NonZeroU32::new(3), ..MailQuotas::default() };
/// let limits = MailLimits::new(InProcessLimiter::new(), quotas);
///
/// let network = "192.0.2.1/32".parse()?;
/// let ada = EmailAddress::parse("ada@example.org")?;
/// for _ in 0..3 {
///     assert_eq!(limits.sign_in(network, &ada).await?, LinkDecision::Allowed);
/// }
/// assert_eq!(limits.sign_in(network, &ada).await?, LinkDecision::Refused);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
///
/// | limit | counts | quota |
/// | --- | --- | --- |
/// | recipient, per source | emails to an address that one network or one tenant causes | [`to_one_recipient`](MailQuotas::to_one_recipient); half of it for a tenant |
/// | sender | invites by one principal, separately for each plan | [`by_one_sender`](MailQuotas::by_one_sender) times the factor of the plan |
/// | tenant | emails for one tenant | twice the quota of one sender |
/// | total | all emails, divided among networks and tenants ([`FairShare`]) | [`in_all`](MailQuotas::in_all) |
/// | recipient, tenants | emails to an address that tenants cause | [`to_one_recipient`](MailQuotas::to_one_recipient) |
/// | recipient, total | emails to an address from sources that the address does not know | twice that |
///
/// They are counted in this order, so that a request over the quota of its source uses up no quota of the address or
/// of others. Only links to sign in may use the part of the total that is reserved for new sources.
///
/// An address *knows* a network from which its user has signed in, and a tenant that the user owns. For a known source
/// only the quota per source applies, so requests from others never block its emails. Hourly quotas use GCRA (a leaky
/// bucket), so an address over its quota may receive another email after minutes, not after an hour.
#[derive(Clone)]
pub struct MailLimits<L> {
    limiter: L,
    quotas: MailQuotas,
    in_all: Option<FairShare>,
    plan_factor: Arc<dyn Fn(&str) -> NonZeroU32 + Send + Sync>,
    observer: Arc<dyn Fn(&'static str, bool) + Send + Sync>,
}

/// The decision about an email with a link to sign in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkDecision {
    /// It may be sent.
    Allowed,
    /// It may be sent if the user has signed in from the network of the request
    /// ([`User::knows_network`](mt_core::pg::User::knows_network)).
    IfKnown,
    /// It may not be sent.
    Refused,
}

impl<L: RateLimiter> MailLimits<L> {
    /// Creates the limits of `quotas`, which count with `limiter`. All plans have the same quotas.
    #[must_use]
    pub fn new(limiter: L, quotas: MailQuotas) -> Self {
        let in_all = quotas.in_all.map(Quota::per_minute);
        Self {
            limiter,
            quotas,
            in_all: in_all.map(|quota| FairShare::new(IN_ALL, quota)),
            plan_factor: Arc::new(|_| NonZeroU32::MIN),
            observer: Arc::new(|_, _| {}),
        }
    }

    /// Sets the factor by which the quotas of senders and tenants on a plan are multiplied. A plan that is not one of
    /// `P` has the factor one.
    #[must_use]
    pub fn with_plan_factor<P: TextEnum>(
        mut self,
        factor: impl Fn(P) -> NonZeroU32 + Send + Sync + 'static,
    ) -> Self {
        self.plan_factor = Arc::new(move |plan| P::parse(plan).map_or(NonZeroU32::MIN, &factor));
        self
    }

    /// Calls `observer` with each decision: the limit's name, and whether the email is within its quota.
    #[must_use]
    pub fn with_observer(
        mut self,
        observer: impl Fn(&'static str, bool) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Returns whether the decision depends on the networks that an address knows.
    #[must_use]
    pub const fn needs_known_networks(&self) -> bool {
        self.quotas.to_one_recipient.is_some()
    }

    /// Counts a link to sign in to `email`, requested from `network`, and decides whether it may be sent.
    ///
    /// `network` is the site of the client: an IPv4 address or an IPv6 /48 (`ClientAddress::site` in `mt-tower`).
    ///
    /// # Errors
    ///
    /// [`MailLimitError::NotCounted`]; a limit that is reached is a [`LinkDecision`].
    pub async fn sign_in(
        &self,
        network: IpNet,
        email: &EmailAddress,
    ) -> Result<LinkDecision, MailLimitError> {
        match self.count_link(network, email).await {
            Ok(()) => {}
            Err(MailLimitError::Reached(_)) => return Ok(LinkDecision::Refused),
            Err(not_counted) => return Err(not_counted),
        }
        match self.count_unknown_source(email).await {
            Ok(()) => Ok(LinkDecision::Allowed),
            Err(MailLimitError::Reached(_)) => Ok(LinkDecision::IfKnown),
            Err(not_counted) => Err(not_counted),
        }
    }

    async fn count_link(&self, network: IpNet, email: &EmailAddress) -> Result<(), MailLimitError> {
        let own = self.quotas.to_one_recipient.map(an_hour);
        self.count(RECIPIENT, format!("{}/network={network}", email.as_str()), own).await?;
        self.count_in_all(format!("network={network}"), Reserve::Open).await
    }

    /// Counts an invite to `email` by `sender` for `tenant`. Call it last, so that an invite which fails for another
    /// reason uses up no quota.
    ///
    /// # Errors
    ///
    /// [`MailLimitError`] when the invite may not be sent.
    pub async fn invite(
        &self,
        email: &EmailAddress,
        (tenant, plan): (TenantId, &str),
        sender: PrincipalId,
    ) -> Result<(), MailLimitError> {
        let own = self.quotas.to_one_recipient.map(half);
        self.count(RECIPIENT, format!("{}/org={tenant}", email.as_str()), own).await?;
        let of_sender = self.of_one_sender(plan).map(an_hour);
        self.count(SENDER, format!("{sender}/{plan}"), of_sender).await?;
        self.count_tenant(tenant, plan).await?;
        let others = self.quotas.to_one_recipient.map(an_hour);
        self.count(RECIPIENT, format!("{}/others", email.as_str()), others).await?;
        self.count_unknown_source(email).await
    }

    /// Counts an email about `tenant` to `email`, the address of an owner of the tenant.
    ///
    /// # Errors
    ///
    /// [`MailLimitError`] when the email may not be sent.
    pub async fn to_owner(
        &self,
        email: &EmailAddress,
        (tenant, plan): (TenantId, &str),
    ) -> Result<(), MailLimitError> {
        let own = self.quotas.to_one_recipient.map(half);
        self.count(RECIPIENT, format!("{}/owned={tenant}", email.as_str()), own).await?;
        self.count_tenant(tenant, plan).await
    }

    /// Plans are counted separately, so that a tenant has the whole quota of its new plan after a change.
    fn of_one_sender(&self, plan: &str) -> Option<NonZeroU32> {
        self.quotas.by_one_sender.map(|quota| quota.saturating_mul((self.plan_factor)(plan)))
    }

    async fn count_tenant(&self, tenant: TenantId, plan: &str) -> Result<(), MailLimitError> {
        let quota = self.of_one_sender(plan).map(|limit| an_hour(limit.saturating_mul(TWO)));
        self.count(TENANT, format!("{tenant}/{plan}"), quota).await?;
        self.count_in_all(format!("org={tenant}"), Reserve::Closed).await
    }

    /// Counts an email to an address that may not know its source.
    async fn count_unknown_source(&self, email: &EmailAddress) -> Result<(), MailLimitError> {
        let all = self.quotas.to_one_recipient.map(|limit| an_hour(limit.saturating_mul(TWO)));
        self.count(RECIPIENT, format!("{}/all", email.as_str()), all).await
    }

    async fn count(
        &self,
        name: &'static str,
        key: String,
        quota: Option<Quota>,
    ) -> Result<(), MailLimitError> {
        let Some(quota) = quota else { return Ok(()) };
        let key = format!("{name}/{key}");
        let decision = self.limiter.check(&key, quota).await?;
        self.record(name, Limited { quota, decision })
    }

    async fn count_in_all(&self, source: String, reserve: Reserve) -> Result<(), MailLimitError> {
        let Some(all) = &self.in_all else { return Ok(()) };
        let limited = all.check(&self.limiter, source, reserve).await?;
        self.record(IN_ALL, limited)
    }

    fn record(&self, name: &'static str, limited: Limited) -> Result<(), MailLimitError> {
        let Limited { quota, decision } = limited;
        (self.observer)(name, decision.allowed);
        if decision.allowed {
            Ok(())
        } else {
            Err(MailLimitError::Reached(LimitReached { name, quota, decision }))
        }
    }
}

/// The names of the limits in `RateLimit-Policy` and metrics.
const RECIPIENT: &str = "letters-recipient";
const SENDER: &str = "letters-sender";
const TENANT: &str = "letters-org";
const IN_ALL: &str = "letters";

const TWO: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

fn an_hour(limit: NonZeroU32) -> Quota {
    Quota::new(limit, Duration::from_hours(1)).with_policy(Policy::Gcra)
}

/// Returns half of `limit` per hour, rounded up.
fn half(limit: NonZeroU32) -> Quota {
    an_hour(NonZeroU32::new(limit.get().div_ceil(2)).unwrap_or(NonZeroU32::MIN))
}

impl<L> fmt::Debug for MailLimits<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailLimits").field("quotas", &self.quotas).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;
    use mt_core::limit::InProcessLimiter;

    use super::*;

    mt_core::text_enum! {
        enum Plan { Free = "free", Team = "team" }
    }

    mt_core::text_enum! {
        enum OtherPlan { Gold = "gold" }
    }

    type Seen = Arc<Mutex<Vec<(&'static str, bool)>>>;

    fn limits(quotas: MailQuotas) -> (MailLimits<InProcessLimiter>, Seen) {
        let seen = Seen::default();
        let observed = Arc::clone(&seen);
        let limits = MailLimits::new(InProcessLimiter::new(), quotas)
            .with_plan_factor(|plan| match plan {
                Plan::Free => NonZeroU32::MIN,
                Plan::Team => NonZeroU32::MIN.saturating_add(2),
            })
            .with_observer(move |name, allowed| observed.lock().unwrap().push((name, allowed)));
        (limits, seen)
    }

    fn address(name: &str) -> EmailAddress {
        EmailAddress::parse(&format!("{name}@example.org")).unwrap()
    }

    /// Sends invites to different people until one is refused.
    fn invites<P: TextEnum>(limits: &MailLimits<InProcessLimiter>, plan: P) -> (u32, LimitReached) {
        let (tenant, sender) = (TenantId::generate(), PrincipalId::generate());
        for sent in 0.. {
            let to = address(&format!("guest-{}-{sent}", plan.as_str()));
            match limits.invite(&to, (tenant, plan.as_str()), sender).now_or_never().unwrap() {
                Ok(()) => {}
                Err(MailLimitError::Reached(reached)) => return (sent, reached),
                Err(MailLimitError::NotCounted) => panic!("this limiter counts"),
            }
        }
        unreachable!("there are fewer addresses than numbers")
    }

    #[test]
    fn senders_on_larger_plans_may_invite_more() {
        let by_one_sender = NonZeroU32::new(2);
        let (limits, _) = limits(MailQuotas { by_one_sender, ..MailQuotas::default() });
        for (sent, reached, expected) in [
            (invites(&limits, Plan::Free), 2),
            (invites(&limits, Plan::Team), 6),
            (invites(&limits, OtherPlan::Gold), 2),
        ]
        .map(|((sent, reached), expected)| (sent, reached, expected))
        {
            assert_eq!((sent, reached.name), (expected, "letters-sender"));
            assert_eq!(reached.quota.limit.get(), expected);
            assert!(!reached.decision.allowed && reached.decision.retry_after > Duration::ZERO);
        }
    }

    #[test]
    fn observer_learns_each_decision_and_nothing_of_limits_that_are_off() {
        let (off, seen) = limits(MailQuotas::default());
        let network = "192.0.2.1/32".parse().unwrap();
        let ask = |limits: &MailLimits<InProcessLimiter>| {
            limits.sign_in(network, &address("ada")).now_or_never().unwrap().unwrap()
        };
        assert_eq!((ask(&off), seen.lock().unwrap().len()), (LinkDecision::Allowed, 0));
        assert!(!off.needs_known_networks());

        let to_one_recipient = NonZeroU32::new(1);
        let (on, seen) = limits(MailQuotas { to_one_recipient, ..MailQuotas::default() });
        assert!(on.needs_known_networks());
        assert_eq!(ask(&on), LinkDecision::Allowed);
        assert_eq!(ask(&on), LinkDecision::Refused);
        let recipient = "letters-recipient";
        assert_eq!(
            *seen.lock().unwrap(),
            [(recipient, true), (recipient, true), (recipient, false)]
        );
    }

    #[test]
    fn address_known_to_its_network_gets_a_link_when_others_used_up_its_quota() {
        let to_one_recipient = NonZeroU32::new(1);
        let (limits, _) = limits(MailQuotas { to_one_recipient, ..MailQuotas::default() });
        let from = |last: u8| {
            let network = format!("192.0.2.{last}/32").parse().unwrap();
            limits.sign_in(network, &address("ada")).now_or_never().unwrap().unwrap()
        };
        let decisions = [from(1), from(2), from(3)];
        assert_eq!(
            decisions,
            [LinkDecision::Allowed, LinkDecision::Allowed, LinkDecision::IfKnown]
        );
    }
}
