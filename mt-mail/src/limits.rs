//! Limits on emails: per recipient, per sender, per org and in total.
//!
//! | limit | counts | quota |
//! | --- | --- | --- |
//! | recipient, per source | emails to an address that one network or one org causes | `RATE_LIMIT_EMAIL_PER_HOUR`; half of it for an org |
//! | sender | invites by one principal, separately for each plan | `RATE_LIMIT_INVITES_PER_HOUR`; ten times for `pro` |
//! | org | emails for one org | twice the quota of one sender |
//! | total | all emails, divided among networks and orgs ([`FairShare`]) | `RATE_LIMIT_LINKS_PER_MIN` |
//! | recipient, orgs | emails to an address that orgs cause | `RATE_LIMIT_EMAIL_PER_HOUR` |
//! | recipient, total | emails to an address from sources that the address does not know | twice that |
//!
//! They are counted in this order, so that a request over the quota of its source uses up no quota of the address or
//! of others. Only links to sign in may use the part of the total that is reserved for new sources.
//!
//! An address *knows* a network from which its user has signed in, and an org that the user owns. For a known source
//! only the quota per source applies, so requests from others never block its emails. Hourly quotas use GCRA (a leaky
//! bucket), so an address over its quota may receive another email after minutes, not after an hour.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use mt_core::email::EmailAddress;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::limit::{FairShare, Limited, NotCounted, Policy, Quota, RateLimiter as _, Reserve};
use mt_core::text_enum::TextEnum as _;
use mt_tower::problem::Problem;
use mt_tower::rate_limit::{ClientAddress, PeerAddr, limit_fields};
use salvo::Request;

use super::Limiter;
use crate::config::RateLimitConfig;
use crate::http::problem::ApiError;
use crate::http::problems;
use crate::layers::share;
use crate::metrics::LimitMetrics;
use crate::model::Plan;

/// The limits on emails. Handlers check them, because their keys are in request bodies.
#[derive(Clone, Debug)]
pub struct MailLimits {
    limiter: Limiter,
    clients: ClientAddress,
    to_one_address: Option<NonZeroU32>,
    by_one_sender: Option<NonZeroU32>,
    in_all: Option<FairShare>,
    decisions: LimitMetrics,
}

/// The decision about an email with a link to sign in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LinkDecision {
    /// It may be sent.
    Allowed,
    /// It may be sent if the user has signed in from the network of the request.
    IfKnown,
    /// It may not be sent.
    Refused,
}

/// A limit that an email would exceed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    name: &'static str,
    limited: Limited,
}

/// The error when an email may not be sent.
#[derive(Debug)]
pub(crate) enum MailLimitError {
    /// A limit is reached; the response names it.
    Reached(Reached),
    /// The limiter cannot count and is configured to refuse.
    NotCounted,
}

impl Reached {
    /// Returns the limit's name.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }
}

impl MailLimits {
    /// Creates the limits of `config`, which count with `limiter`. `decisions` are the metrics of the decisions.
    #[must_use]
    pub fn new(limiter: Limiter, config: &RateLimitConfig, decisions: LimitMetrics) -> Self {
        let in_all = config.links_per_minute.map(Quota::per_minute);
        Self {
            limiter,
            clients: ClientAddress::behind(config.trusted_proxies.iter().copied()),
            to_one_address: config.email_per_hour,
            by_one_sender: config.invites_per_hour,
            in_all: in_all.map(|quota| FairShare::new("letters", quota)),
            decisions,
        }
    }

    /// Returns the client network of a request, as the limits count it: an IPv4 address or an IPv6 /48.
    pub(crate) fn network(&self, req: &Request) -> IpNet {
        // A listener without addresses, such as a Unix socket, counts as one network.
        let peer = req.extensions().get::<PeerAddr>().map(|PeerAddr(peer)| peer.ip());
        let peer = peer.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        ClientAddress::site(self.clients.client(peer, req.headers()))
    }

    /// Returns whether the decision depends on the networks that an address knows.
    pub(crate) const fn needs_known_networks(&self) -> bool {
        self.to_one_address.is_some()
    }

    /// Counts a link to sign in to `email`, requested from `network`, and decides whether it may be sent.
    pub(crate) async fn sign_in(
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
        let own = self.to_one_address.map(an_hour);
        self.count(RECIPIENT, format!("{}/network={network}", email.as_str()), own).await?;
        self.count_in_all(format!("network={network}"), Reserve::Open).await
    }

    /// Counts an invite to `email` by `sender` for `org`. Call it last, so that an invite which fails for another
    /// reason uses up no quota.
    pub(crate) async fn invite(
        &self,
        email: &EmailAddress,
        (org, plan): (TenantId, Plan),
        sender: PrincipalId,
    ) -> Result<(), MailLimitError> {
        let own = self.to_one_address.map(half);
        self.count(RECIPIENT, format!("{}/org={org}", email.as_str()), own).await?;
        let of_sender = self.of_one_sender(plan).map(an_hour);
        self.count(SENDER, format!("{sender}/{}", plan.as_str()), of_sender).await?;
        self.count_org(org, plan).await?;
        let others = self.to_one_address.map(an_hour);
        self.count(RECIPIENT, format!("{}/others", email.as_str()), others).await?;
        self.count_unknown_source(email).await
    }

    /// Counts an email about `org` to `email`, the address of an owner of the org.
    pub(crate) async fn to_owner(
        &self,
        email: &EmailAddress,
        (org, plan): (TenantId, Plan),
    ) -> Result<(), MailLimitError> {
        let own = self.to_one_address.map(half);
        self.count(RECIPIENT, format!("{}/owned={org}", email.as_str()), own).await?;
        self.count_org(org, plan).await
    }

    /// Plans are counted separately, so that an org has the whole quota of its new plan after a change.
    fn of_one_sender(&self, plan: Plan) -> Option<NonZeroU32> {
        self.by_one_sender.map(|free| share(free, plan))
    }

    async fn count_org(&self, org: TenantId, plan: Plan) -> Result<(), MailLimitError> {
        let quota = self.of_one_sender(plan).map(|limit| an_hour(limit.saturating_mul(TWO)));
        self.count(ORG, format!("{org}/{}", plan.as_str()), quota).await?;
        self.count_in_all(format!("org={org}"), Reserve::Closed).await
    }

    /// Counts an email to an address that may not know its source.
    async fn count_unknown_source(&self, email: &EmailAddress) -> Result<(), MailLimitError> {
        let all = self.to_one_address.map(|limit| an_hour(limit.saturating_mul(TWO)));
        self.count(RECIPIENT, format!("{}/all", email.as_str()), all).await
    }

    async fn count(
        &self,
        name: &'static str,
        key: String,
        quota: Option<Quota>,
    ) -> Result<(), MailLimitError> {
        let Some(quota) = quota else { return Ok(()) };
        // Redis receives hashes of the keys, not addresses.
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
        let allowed = limited.decision.allowed;
        self.decisions.record(name, allowed);
        if allowed { Ok(()) } else { Err(MailLimitError::Reached(Reached { name, limited })) }
    }
}

/// The names of the limits in `RateLimit-Policy` and metrics.
const RECIPIENT: &str = "letters-recipient";
const SENDER: &str = "letters-sender";
const ORG: &str = "letters-org";
const IN_ALL: &str = "letters";

const TWO: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

fn an_hour(limit: NonZeroU32) -> Quota {
    Quota::new(limit, Duration::from_hours(1)).with_policy(Policy::Gcra)
}

/// Returns half of `limit` per hour, rounded up.
fn half(limit: NonZeroU32) -> Quota {
    an_hour(NonZeroU32::new(limit.get().div_ceil(2)).unwrap_or(NonZeroU32::MIN))
}

impl From<NotCounted> for MailLimitError {
    fn from(NotCounted: NotCounted) -> Self {
        Self::NotCounted
    }
}

impl From<MailLimitError> for ApiError {
    fn from(refused: MailLimitError) -> Self {
        let Reached { name, limited } = match refused {
            MailLimitError::Reached(reached) => reached,
            MailLimitError::NotCounted => return Self::new(&problems::UNAVAILABLE),
        };
        let Limited { quota, decision } = limited;
        let fields = limit_fields(name, quota, decision);
        fields
            .into_iter()
            .fold(Problem::rate_limited(decision.retry_after), |problem, (name, value)| {
                problem.with_header(name, value)
            })
            .into()
    }
}
