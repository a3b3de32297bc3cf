//! The guards before the endpoints.

use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;

use mt_core::access::AccessModel;
use mt_core::auth::Authenticator;
use mt_core::id::TenantId;
use mt_core::limit::{InProcessLimiter, Quota};
use mt_core::pg::Tenants;
use mt_tower::authenticate::Authenticate;
use mt_tower::bulkhead::Bulkhead;
use mt_tower::problem::Problem;
use mt_tower::rate_limit::{ClientAddress, KeyPrefix, RateLimit};
use mt_tower::resolve_tenant::{ResolveTenant, Resolver};
use mt_tower::{Guard, RequestContext};

use crate::operator_token::OperatorToken;

/// How often one address may sign in, and accept invites, in a minute.
const SIGN_INS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).expect("30 is not 0");

/// The guards before the endpoints: who the caller is, which tenant is meant, and how often it may be asked.
///
/// Each method replaces one of them. Several guards in a tuple are one guard.
#[derive(Clone)]
#[must_use]
pub struct Guards {
    in_tenant: BoxGuard,
    signed_in: BoxGuard,
    request_link: BoxGuard,
    redeem: BoxGuard,
    accept_invite: BoxGuard,
    #[cfg(feature = "stripe")]
    call_provider: BoxGuard,
    #[cfg(feature = "stripe")]
    webhook: BoxGuard,
    operator: BoxGuard,
}

/// A point at which guards stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Guarded {
    /// Open to everyone.
    Open,
    /// In a tenant.
    InTenant,
    /// Outside of tenants, with a caller.
    SignedIn,
    /// The request for a sign-in link.
    RequestLink,
    /// The redemption of a sign-in link.
    Redeem,
    /// The acceptance of an invite.
    AcceptInvite,
    /// In a tenant, and a call of the payment provider.
    #[cfg(feature = "stripe")]
    CallProvider,
    /// A delivery of the payment provider.
    #[cfg(feature = "stripe")]
    Webhook,
    /// For operators.
    Operator,
}

impl Guards {
    /// Creates the usual guards: authentication by `authenticator`, the tenant of the path, a share of the connections, and
    /// 30 requests in a minute from one address to each endpoint that takes a secret.
    ///
    /// The limit counts in this process and by the peer's address; behind a proxy or with several replicas, set
    /// guards that know them.
    pub fn new<M: AccessModel>(tenants: &Tenants<M>, authenticator: impl Authenticator) -> Self {
        let authenticate = Arc::new(Authenticate::new(authenticator));
        let bulkhead = Bulkhead::<M, _>::new(tenants.shares().clone(), tenants.clone());
        let limiter = Arc::new(InProcessLimiter::new());
        let limit = |endpoint: &'static str| {
            let key = KeyPrefix(endpoint, ClientAddress::behind([]));
            let quota = Quota::per_minute(SIGN_INS_PER_MINUTE);
            RateLimit::new("auth", Arc::clone(&limiter), key, Some(quota))
        };
        let resolve = ResolveTenant::new(TenantInPath);
        let signed_in = (Arc::clone(&authenticate), bulkhead.clone());
        let accept = (limit("accept-invite"), Arc::clone(&authenticate), bulkhead.clone());
        Self {
            in_tenant: boxed((authenticate, resolve, bulkhead)),
            signed_in: boxed(signed_in),
            request_link: boxed(limit("request-link")),
            redeem: boxed(limit("redeem")),
            accept_invite: boxed(accept),
            #[cfg(feature = "stripe")]
            call_provider: boxed(NoGuard),
            #[cfg(feature = "stripe")]
            webhook: boxed(NoGuard),
            operator: boxed(Closed),
        }
    }

    /// Before endpoints in a tenant. It has to leave a principal and a requested tenant.
    pub fn in_tenant(self, guard: impl Guard) -> Self {
        Self { in_tenant: boxed(guard), ..self }
    }

    /// Before endpoints of a caller outside of tenants. It has to leave a principal.
    pub fn signed_in(self, guard: impl Guard) -> Self {
        Self { signed_in: boxed(guard), ..self }
    }

    /// Before the request for a sign-in link.
    pub fn request_link(self, guard: impl Guard) -> Self {
        Self { request_link: boxed(guard), ..self }
    }

    /// Before the redemption of a sign-in link.
    pub fn redeem(self, guard: impl Guard) -> Self {
        Self { redeem: boxed(guard), ..self }
    }

    /// Before the acceptance of an invite. It has to leave a principal.
    pub fn accept_invite(self, guard: impl Guard) -> Self {
        Self { accept_invite: boxed(guard), ..self }
    }

    /// Before endpoints that call the payment provider, after [`in_tenant`](Self::in_tenant).
    #[cfg(feature = "stripe")]
    pub fn call_provider(self, guard: impl Guard) -> Self {
        Self { call_provider: boxed(guard), ..self }
    }

    /// Before deliveries of the payment provider.
    #[cfg(feature = "stripe")]
    pub fn webhook(self, guard: impl Guard) -> Self {
        Self { webhook: boxed(guard), ..self }
    }

    /// Lets the holder of `token` use the endpoints of operators, which refuse every request without it. A user's token is
    /// none of it, whatever their role.
    pub fn operator_token(self, token: &str) -> Self {
        Self { operator: boxed(Authenticate::new(OperatorToken::new(token))), ..self }
    }

    /// Runs the guards of `point`.
    pub(crate) async fn check(
        &self,
        point: Guarded,
        request: RequestContext<'_>,
    ) -> Result<(), Problem> {
        let guard = match point {
            Guarded::Open => return Ok(()),
            Guarded::InTenant => &self.in_tenant,
            Guarded::SignedIn => &self.signed_in,
            Guarded::RequestLink => &self.request_link,
            Guarded::Redeem => &self.redeem,
            Guarded::AcceptInvite => &self.accept_invite,
            #[cfg(feature = "stripe")]
            Guarded::CallProvider => {
                let mut request = request;
                self.in_tenant.check(request.reborrow()).await?;
                return self.call_provider.check(request).await;
            }
            #[cfg(feature = "stripe")]
            Guarded::Webhook => &self.webhook,
            Guarded::Operator => &self.operator,
        };
        guard.check(request).await
    }
}

impl fmt::Debug for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guards").finish_non_exhaustive()
    }
}

type BoxGuard = Arc<dyn DynGuard>;

fn boxed(guard: impl Guard) -> BoxGuard {
    Arc::new(guard)
}

/// A guard behind a pointer.
trait DynGuard: Send + Sync {
    fn check<'a>(&'a self, request: RequestContext<'a>) -> Checked<'a>;
}

type Checked<'a> = Pin<Box<dyn Future<Output = Result<(), Problem>> + Send + 'a>>;

impl<G: Guard> DynGuard for G {
    fn check<'a>(&'a self, request: RequestContext<'a>) -> Checked<'a> {
        Box::pin(Guard::check(self, request))
    }
}

/// The text in the path where endpoints have the tenant's id.
#[derive(Clone, Debug)]
pub(crate) struct TenantText(pub(crate) String);

/// Resolver for the tenant in the path, whatever the service calls it.
struct TenantInPath;

impl Resolver for TenantInPath {
    async fn resolve<'a>(
        &'a self,
        request: &'a RequestContext<'_>,
    ) -> Result<Option<TenantId>, Problem> {
        let Some(TenantText(id)) = request.extensions.get() else { return Ok(None) };
        TenantId::parse(id).map(Some).ok_or(Problem::NOT_FOUND)
    }
}

/// Lets every request pass.
#[cfg(feature = "stripe")]
struct NoGuard;

#[cfg(feature = "stripe")]
impl Guard for NoGuard {
    async fn check<'a>(&'a self, _: RequestContext<'a>) -> Result<(), Problem> {
        Ok(())
    }
}

/// Refuses every request.
struct Closed;

impl Guard for Closed {
    async fn check<'a>(&'a self, _: RequestContext<'a>) -> Result<(), Problem> {
        Err(Problem::UNAUTHENTICATED)
    }
}
