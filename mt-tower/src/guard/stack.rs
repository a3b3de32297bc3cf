//! Guards in a tuple.

use super::{Guard, RequestContext};
use crate::problem::Problem;

macro_rules! stack {
    ($($guard:ident)+) => {
        impl<$($guard: Guard),+> Guard for ($($guard,)+) {
            #[expect(non_snake_case, reason = "a type's name serves as its value's")]
            async fn check<'a>(&'a self, mut request: RequestContext<'a>) -> Result<(), Problem> {
                let ($($guard,)+) = self;
                $($guard.check(request.reborrow()).await?;)+
                Ok(())
            }
        }
    };
}

/// A guard that is left out lets every request pass.
impl<G: Guard> Guard for Option<G> {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        match self {
            Some(guard) => guard.check(request).await,
            None => Ok(()),
        }
    }
}

stack!(A);
stack!(A B);
stack!(A B C);
stack!(A B C D);
stack!(A B C D E);
stack!(A B C D E F);
stack!(A B C D E F G);
stack!(A B C D E F G H);
