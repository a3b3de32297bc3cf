//! `/admin`: for operators, who hold `ADMIN_TOKEN`. Without one there is no such path.

use mt_core::auth::{AuthError, Authenticator, Principal};
use mt_core::id::PrincipalId;
use mt_tower::Guard;
use mt_tower::authenticate::Authenticate;
use salvo::extract::{Extractible, Metadata};
use salvo::{Depot, Request, Router};
use salvo_oapi::{Components, EndpointArgRegister, Operation};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::{admin_orgs, admin_webhooks};
use crate::config::Secret;
use crate::http::guard::guard_handler;
use crate::http::openapi::OPERATOR;
use crate::http::openapi::describe::{may, needs};
use crate::http::problem::ApiError;
use crate::http::problems;

/// The routes of this module, if there is a token.
pub(super) fn routes(token: Option<&Secret>) -> Option<Router> {
    let guard = guard_handler(Some(operators_only(token?)));
    Some(
        Router::with_path("admin")
            .hoop(guard)
            .push(admin_orgs::routes())
            .push(admin_webhooks::routes()),
    )
}

/// Lets the holder of `token` pass. A user's token is none of it, whatever their role.
fn operators_only(token: &Secret) -> impl Guard + use<> {
    Authenticate::new(AdminToken { digest: digest(token.reveal()) })
}

/// The holder of the operators' token, as the guard left it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operator;

impl<'ex> Extractible<'ex> for Operator {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Operator");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        // Absent means that a route was put beside the guard: a failure, never a pass.
        match req.extensions().get::<Principal>() {
            Some(principal) if principal.id() == operator_id() => Ok(Self),
            _ => {
                tracing::error!("a route of operators has no guard before it");
                Err(ApiError::new(&problems::INTERNAL))
            }
        }
    }
}

impl EndpointArgRegister for Operator {
    fn register(_: &mut Components, operation: &mut Operation, _: &str) {
        needs(operation, OPERATOR);
        may(operation, &[&problems::UNAUTHENTICATED]);
    }
}

/// The id of the operator, which is a member of no org.
const fn operator_id() -> PrincipalId {
    PrincipalId::from_uuid(Uuid::nil())
}

/// The one token. Its digest is kept, so that what is compared has one length, whatever was sent.
struct AdminToken {
    digest: [u8; 32],
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl Authenticator for AdminToken {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        if bool::from(self.digest.ct_eq(&digest(credential))) {
            Ok(Principal::new(operator_id()))
        } else {
            Err(AuthError::Invalid("not the admin token".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_very_token_is_good() {
        let token = AdminToken { digest: digest("0123456789abcdef") };
        assert!(token.authenticate("0123456789abcdef").await.is_ok());
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "x"] {
            assert!(token.authenticate(other).await.is_err(), "{other}");
        }
    }

    #[test]
    fn without_a_token_there_is_nothing() {
        assert!(routes(None).is_none());
        assert!(routes(Some(&Secret::new("x"))).is_some());
    }
}
