//! The settings of endpoints.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;
use mt_core::auth::jwt::JwtAuthenticator;
use mt_core::billing::StandingPolicy;
use mt_core::limit::RateLimiter;
use mt_core::pg::api_keys::ApiKeys;
use mt_core::token::TokenHasher;
use mt_mail::{MailLimits, Mailer};
#[cfg(feature = "stripe")]
use mt_stripe::billing::StripeBilling;
use mt_tower::problem::{ProblemJson, Reject};
use mt_tower::rate_limit::ClientAddress;

use crate::body::BodyBudget;
use crate::mail_limits::AnyMailLimits;
use crate::pages::Page;
use crate::{Cursors, pages};

/// The settings of [`Endpoints`](crate::Endpoints), with defaults for most of them.
///
/// ```
/// use std::time::Duration;
/// use mt_http::EndpointOptions;
///
/// let options = EndpointOptions::new(b"a secret of 32 bytes or more ....", "https://helpdesk.example")
///     .invites_live_for(Duration::from_hours(48));
/// ```
#[derive(Clone)]
#[must_use]
pub struct EndpointOptions {
    pub(crate) base_url: String,
    pub(crate) hasher: TokenHasher,
    pub(crate) cursors: Cursors,
    pub(crate) mailer: Mailer,
    pub(crate) mail_limits: Option<Arc<dyn AnyMailLimits>>,
    pub(crate) clients: ClientAddress,
    pub(crate) standing: StandingPolicy,
    pub(crate) links_live_for: Duration,
    pub(crate) invites_live_for: Duration,
    pub(crate) max_owned: Option<NonZeroU32>,
    pub(crate) reveals_tokens: bool,
    pub(crate) body_budget: BodyBudget,
    pub(crate) reject: Arc<dyn Reject<Bytes>>,
    pub(crate) sign_in_page: Page,
    pub(crate) invite_page: Page,
    #[cfg(feature = "stripe")]
    pub(crate) billing_page: Option<Page>,
    pub(crate) tokens: Option<Arc<JwtAuthenticator>>,
    pub(crate) api_keys: Option<ApiKeys>,
    #[cfg(feature = "stripe")]
    pub(crate) stripe: Option<StripeBilling>,
}

impl EndpointOptions {
    /// Creates the settings. `secret` is the key of hashes of links and invites, and of the cursors of lists; `base_url` is
    /// what links in mails begin with, never the host of a request.
    pub fn new(secret: &[u8], base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            hasher: TokenHasher::new(secret),
            cursors: Cursors::new(secret),
            mailer: Mailer::none(),
            mail_limits: None,
            clients: ClientAddress::behind([]),
            standing: StandingPolicy::default(),
            links_live_for: Duration::from_mins(10),
            invites_live_for: Duration::from_hours(7 * 24),
            max_owned: NonZeroU32::new(100),
            reveals_tokens: false,
            body_budget: BodyBudget::default(),
            reject: Arc::new(ProblemJson::default()),
            sign_in_page: pages::sign_in(),
            invite_page: pages::invite(),
            #[cfg(feature = "stripe")]
            billing_page: None,
            tokens: None,
            api_keys: None,
            #[cfg(feature = "stripe")]
            stripe: None,
        }
    }

    /// Accepts links, invites and cursors made with `secret` too, while the secret is being replaced.
    pub fn previous_secret(self, secret: &[u8]) -> Self {
        Self {
            hasher: self.hasher.with_previous(secret),
            cursors: self.cursors.with_previous(secret),
            ..self
        }
    }

    /// Issues access tokens with `tokens`, for [`SignIn`](crate::SignIn). The guards have to accept them.
    pub fn tokens(self, tokens: Arc<JwtAuthenticator>) -> Self {
        Self { tokens: Some(tokens), ..self }
    }

    /// Issues API keys with `keys`, for [`ApiKeys`](crate::ApiKeys). The guards have to accept them
    /// ([`ApiKeys::or`](mt_core::pg::api_keys::ApiKeys::or)).
    pub fn api_keys(self, keys: ApiKeys) -> Self {
        Self { api_keys: Some(keys), ..self }
    }

    /// Bills through `stripe`, for [`Billing`](crate::Billing), [`Webhooks`](crate::Webhooks) and
    /// [`WebhookEvents`](crate::WebhookEvents).
    #[cfg(feature = "stripe")]
    pub fn stripe(self, stripe: StripeBilling) -> Self {
        Self { stripe: Some(stripe), ..self }
    }

    /// Sends mails with `mailer`. Without one, mails are discarded.
    pub fn mailer(self, mailer: Mailer) -> Self {
        Self { mailer, ..self }
    }

    /// Limits mails. Without limits, mails are limited by the guards only.
    pub fn mail_limits(self, limits: MailLimits<impl RateLimiter + 'static>) -> Self {
        Self { mail_limits: Some(Arc::new(limits)), ..self }
    }

    /// The networks of proxies whose `Forwarded` headers name the client.
    pub fn trusted_proxies(self, proxies: impl IntoIterator<Item = IpNet>) -> Self {
        Self { clients: ClientAddress::behind(proxies), ..self }
    }

    /// How long tenants with a failed payment keep their rights.
    pub fn standing(self, standing: StandingPolicy) -> Self {
        Self { standing, ..self }
    }

    /// How long sign-in links live. By default 10 minutes.
    pub fn links_live_for(self, time: Duration) -> Self {
        Self { links_live_for: time, ..self }
    }

    /// How long invites live. By default 7 days.
    pub fn invites_live_for(self, time: Duration) -> Self {
        Self { invites_live_for: time, ..self }
    }

    /// How many tenants a user may own: by default 100; `None` is any number.
    pub fn max_owned(self, max: Option<NonZeroU32>) -> Self {
        Self { max_owned: max, ..self }
    }

    /// Shows the tokens of links and invites in responses too, for development and tests. Any client that asks for a link to an
    /// address can then sign in as its user.
    pub fn insecure_reveal_tokens(self, reveal: bool) -> Self {
        Self { reveals_tokens: reveal, ..self }
    }

    /// Bounds the memory of request bodies. By default 64 MiB.
    pub fn body_budget(self, budget: BodyBudget) -> Self {
        Self { body_budget: budget, ..self }
    }

    /// Replaces the page behind a sign-in link.
    pub fn sign_in_page(self, page: Page) -> Self {
        Self { sign_in_page: page, ..self }
    }

    /// Replaces the page behind an invitation.
    pub fn invite_page(self, page: Page) -> Self {
        Self { invite_page: page, ..self }
    }

    /// Replaces the page to which Stripe's pages and mails about payments lead.
    #[cfg(feature = "stripe")]
    pub fn billing_page(self, page: Page) -> Self {
        Self { billing_page: Some(page), ..self }
    }

    /// Renders refusals in the service's own format or words.
    pub fn reject(self, reject: impl Reject<Bytes>) -> Self {
        Self { reject: Arc::new(reject), ..self }
    }
}

impl fmt::Debug for EndpointOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointOptions").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}
