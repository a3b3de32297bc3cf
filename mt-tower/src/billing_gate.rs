//! Lets a tenant that has not paid look and not write.
//!
//! [`BillingGate`] goes by the request's method: `GET`, `HEAD` and `OPTIONS` pass whatever the
//! [`Standing`], every other method only while it is not
//! [`Lapsed`](Standing::Lapsed). A request that is [`TenantFree`] passes: there is nobody to pay.
//!
//! # When it refuses
//!
//! * 402 `billing-required`: a writing method, and the tenant's standing is lapsed;
//! * 500 `internal`: no [`Access`] was loaded before.
//!
//! # Deployment
//!
//! For services whose data is not behind `TenantPool`, where each permission says by itself
//! whether it needs payment. Keep the routes outside that a lapsed tenant needs to leave or to pay,
//! and the ones that use `POST` to read.
//!
//! # Example
//!
//! ```
//! use mt_core::access::AccessModel;
//! use mt_tower::billing_gate::BillingGate;
//! use mt_tower::layer::GuardLayer;
//!
//! fn layer<M: AccessModel>() -> GuardLayer<BillingGate<M>> {
//!     GuardLayer::new(BillingGate::new())
//! }
//! ```

use std::fmt;
use std::marker::PhantomData;

use http::Method;
use mt_core::access::{Access, AccessModel};
use mt_core::billing::Standing;

use crate::authorize;
use crate::guard::{Guard, View};
use crate::problem::Problem;
use crate::resolve_tenant::TenantFree;

/// Guard that stops writes of lapsed tenants.
///
/// See the [module docs](self) for when it refuses.
#[must_use]
pub struct BillingGate<M> {
    model: PhantomData<fn() -> M>,
}

impl<M: AccessModel> BillingGate<M> {
    /// The gate.
    pub const fn new() -> Self {
        Self { model: PhantomData }
    }
}

impl<M: AccessModel> Guard for BillingGate<M> {
    async fn check<'a>(&'a self, view: View<'a>) -> Result<(), Problem> {
        if view.extensions.get::<TenantFree>().is_some() {
            return Ok(());
        }
        let reads = matches!(*view.method, Method::GET | Method::HEAD | Method::OPTIONS);
        // Asked for even where it does not matter, so that a wrong order of layers shows with the
        // first request and not with the first write.
        authorize::decide(view.extensions, |access: &Access<M>| {
            if reads || access.standing() != Standing::Lapsed {
                Ok(())
            } else {
                Err(Problem::BILLING_REQUIRED)
            }
        })
        .await
    }
}

impl<M: AccessModel> Default for BillingGate<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> Clone for BillingGate<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for BillingGate<M> {}

impl<M> fmt::Debug for BillingGate<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BillingGate")
    }
}
