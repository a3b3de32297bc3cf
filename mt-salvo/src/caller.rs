//! The principal as an argument of a handler.

use mt_core::auth::Principal;
use mt_tower::problem::Problem;
use salvo::extract::{Extractible, Metadata};
use salvo::{Depot, Request};

use crate::Refusal;

/// The signed-in caller, as an argument of a handler. [`Authenticate`](mt_tower::authenticate::Authenticate) has to run
/// before it; otherwise the request fails with 500.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub Principal);

impl<'ex> Extractible<'ex> for Caller {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Caller");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "salvo asks for any error that it can write")]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, Refusal> {
        req.extensions().get().copied().map(Self).ok_or_else(|| {
            tracing::error!("a route that needs a caller has no authentication guard before it");
            Problem::INTERNAL.into()
        })
    }
}
