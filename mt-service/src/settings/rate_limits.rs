//! Rate limits, and the proxies in front of the service.

use std::num::NonZeroU32;

use ipnet::IpNet;

use super::{AppEnv, Reader, Setting};

/// Rate limits. `None` is unlimited.
#[derive(Clone, Debug)]
pub struct RateLimitConfig {
    /// `RATE_LIMIT_AUTH_PER_MIN`: per client address and auth endpoint.
    pub auth_per_minute: Option<NonZeroU32>,
    /// `RATE_LIMIT_EMAIL_PER_HOUR`: emails per address that one network causes.
    pub email_per_hour: Option<NonZeroU32>,
    /// `RATE_LIMIT_LINKS_PER_MIN`: emails to all addresses together; links to sign in have priority.
    pub links_per_minute: Option<NonZeroU32>,
    /// `RATE_LIMIT_INVITES_PER_HOUR`: invites that are mailed per principal, on the free plan.
    pub invites_per_hour: Option<NonZeroU32>,
    /// `RATE_LIMIT_API_PER_MIN`: per principal and tenant, on the free plan; and per principal outside of tenants.
    pub api_per_minute: Option<NonZeroU32>,
    /// `RATE_LIMIT_BILLING_PER_MIN`: requests that call Stripe, per principal.
    pub billing_per_minute: Option<NonZeroU32>,
    /// `RATE_LIMIT_WEBHOOKS_PER_MIN`: per client address.
    pub webhooks_per_minute: Option<NonZeroU32>,
    /// `TRUSTED_PROXIES`: the networks of proxies whose forwarding headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
}

impl RateLimitConfig {
    /// Reads the variables.
    #[must_use]
    pub fn read(r: &mut Reader<'_>, env: AppEnv) -> Self {
        let (emails, links, invites) = if env.is_prod() { (10, 600, 20) } else { (0, 0, 0) };
        let (api, billing) = if env.is_prod() { (1200, 30) } else { (0, 0) };
        Self {
            auth_per_minute: r.quota("RATE_LIMIT_AUTH_PER_MIN", 20),
            email_per_hour: r.quota("RATE_LIMIT_EMAIL_PER_HOUR", emails),
            links_per_minute: r.quota("RATE_LIMIT_LINKS_PER_MIN", links),
            invites_per_hour: r.quota("RATE_LIMIT_INVITES_PER_HOUR", invites),
            api_per_minute: r.quota("RATE_LIMIT_API_PER_MIN", api),
            billing_per_minute: r.quota("RATE_LIMIT_BILLING_PER_MIN", billing),
            webhooks_per_minute: r.quota("RATE_LIMIT_WEBHOOKS_PER_MIN", 600),
            trusted_proxies: r.list(
                "TRUSTED_PROXIES",
                "networks such as `10.0.0.0/8`, separated by commas",
                |item| item.parse().ok(),
            ),
        }
    }

    /// Returns the variables with their values.
    #[must_use]
    pub fn shown(&self) -> [Setting; 8] {
        let Self {
            auth_per_minute,
            email_per_hour,
            links_per_minute,
            invites_per_hour,
            api_per_minute,
            billing_per_minute,
            webhooks_per_minute,
            trusted_proxies,
        } = self;
        [
            Setting::quota("RATE_LIMIT_AUTH_PER_MIN", *auth_per_minute),
            Setting::quota("RATE_LIMIT_EMAIL_PER_HOUR", *email_per_hour),
            Setting::quota("RATE_LIMIT_LINKS_PER_MIN", *links_per_minute),
            Setting::quota("RATE_LIMIT_INVITES_PER_HOUR", *invites_per_hour),
            Setting::quota("RATE_LIMIT_API_PER_MIN", *api_per_minute),
            Setting::quota("RATE_LIMIT_BILLING_PER_MIN", *billing_per_minute),
            Setting::quota("RATE_LIMIT_WEBHOOKS_PER_MIN", *webhooks_per_minute),
            Setting::list("TRUSTED_PROXIES", trusted_proxies),
        ]
    }

    /// Refuses to trust every address.
    pub fn check_production(&self, r: &mut Reader<'_>) {
        if self.trusts_every_address() {
            let got = r.text("TRUSTED_PROXIES").unwrap_or_default();
            let takes = "in prod, the networks of the proxies alone: with a network of every address, each \
                         client chooses the address that it is limited by";
            r.refuse("TRUSTED_PROXIES", got, takes);
        }
    }

    /// Returns the risk of trusting every address, if it does.
    #[must_use]
    pub fn transport_risk(&self) -> Option<String> {
        self.trusts_every_address().then(|| {
            "TRUSTED_PROXIES holds a network of every address: each client chooses the address that it is \
             limited by"
                .to_owned()
        })
    }

    /// Returns whether forwarding headers are trusted from every address.
    fn trusts_every_address(&self) -> bool {
        self.trusted_proxies.iter().any(|network| network.prefix_len() == 0)
    }
}
