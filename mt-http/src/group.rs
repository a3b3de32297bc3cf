//! Groups of endpoints.

use mt_core::access::AccessModel;

use crate::Noun;
use crate::operation::Operation;

/// A group of endpoints that [`Endpoints::mount`](crate::Endpoints::mount) adds.
pub trait Group<M: AccessModel> {
    #[doc(hidden)]
    fn operations(self, noun: Noun) -> Operations<M>;
}

/// The endpoints of a group.
#[doc(hidden)]
pub struct Operations<M: AccessModel>(pub(crate) Vec<Operation<M>>);

impl<M: AccessModel> std::fmt::Debug for Operations<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Operations").field(&self.0.len()).finish()
    }
}
