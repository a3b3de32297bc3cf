//! One endpoint: its method, its path, the checks before it, and its description.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::Method;
use mt_core::access::{Access, AccessModel, Billing, Denied, Permission};

use crate::EndpointOptions;
use crate::answer::Answer;
use crate::call::Call;
use crate::guards::Guarded;
use crate::openapi::Description;

type BoxAnswer<'c> = Pin<Box<dyn Future<Output = Answer> + Send + 'c>>;

/// The function behind an endpoint.
pub(crate) type Handler<M> = Arc<dyn for<'c> Fn(Call<'c, M>) -> BoxAnswer<'c> + Send + Sync>;

/// An endpoint.
pub(crate) struct Operation<M: AccessModel> {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) guarded: Guarded,
    pub(crate) decision: Decision<M>,
    pub(crate) requirement: Option<Requirement>,
    pub(crate) handler: Handler<M>,
    pub(crate) description: Description,
}

/// An option without which an endpoint does not work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Requirement {
    /// The issuer of access tokens.
    Tokens,
    /// The settings of Stripe.
    #[cfg(feature = "stripe")]
    Stripe,
}

impl Requirement {
    /// Returns the name of the option if it is not set.
    pub(crate) fn missing(self, options: &EndpointOptions) -> Option<&'static str> {
        match self {
            Self::Tokens => options.tokens.is_none().then_some("tokens"),
            #[cfg(feature = "stripe")]
            Self::Stripe => options.stripe.is_none().then_some("stripe"),
        }
    }
}

/// What has to be decided before a refusal by the endpoint may be answered.
pub(crate) enum Decision<M: AccessModel> {
    /// Nothing: the endpoint is open to everyone.
    Nothing,
    /// That the caller exists and is signed in.
    SignedIn,
    /// That the caller has a permission in the tenant.
    InTenant(fn(&Access<M>) -> Result<(), Denied>),
}

impl<M: AccessModel> Operation<M> {
    /// Creates an endpoint without guards. `description` begins with its id and its summary.
    pub(crate) fn new(
        method: Method,
        path: impl Into<String>,
        description: Description,
        handler: impl for<'c> Fn(Call<'c, M>) -> BoxAnswer<'c> + Send + Sync + 'static,
    ) -> Self {
        Self {
            method,
            path: path.into(),
            guarded: Guarded::Open,
            decision: Decision::Nothing,
            requirement: None,
            handler: Arc::new(handler),
            description,
        }
    }

    /// Requires an option.
    pub(crate) fn with(self, requirement: Requirement) -> Self {
        Self { requirement: Some(requirement), ..self }
    }

    /// Puts the guards of `point` before it.
    pub(crate) fn behind(mut self, point: Guarded) -> Self {
        self.guarded = point;
        match point {
            Guarded::Open | Guarded::InTenant => {}
            #[cfg(feature = "stripe")]
            Guarded::CallProvider => {}
            #[cfg(feature = "stripe")]
            Guarded::Webhook => self.description = self.description.may(&["rate-limited"]),
            Guarded::SignedIn | Guarded::AcceptInvite => {
                self.decision = Decision::SignedIn;
                self.description =
                    self.description.bearer().may(&["unauthenticated", "rate-limited"]);
            }
            Guarded::RequestLink | Guarded::Redeem => {
                self.description = self.description.may(&["rate-limited"]);
            }
            Guarded::Operator => {
                self.description = self.description.operator().may(&["unauthenticated"]);
            }
        }
        self
    }

    /// Makes it an endpoint in a tenant, for callers with permission `P`.
    pub(crate) fn needs<P: Permission<Model = M>>(mut self) -> Self {
        if self.guarded == Guarded::Open {
            self.guarded = Guarded::InTenant;
        }
        self.decision = Decision::InTenant(Access::check::<P>);
        let problems: &[&str] =
            &["unauthenticated", "forbidden", "tenant-suspended", "not-found", "rate-limited"];
        self.description = self.description.bearer().in_tenant().may(problems);
        if !matches!(P::BILLING, Billing::Exempt) {
            self.description = self.description.may(&["billing-required"]);
        }
        self
    }
}
