//! The operators' token.

use mt_core::auth::{AuthError, Authenticator, Principal};
use mt_core::id::PrincipalId;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// Authenticates the holder of one token as the operator, which is a member of no tenant. Its digest is kept, so that what
/// is compared has one length, whatever was sent.
pub(crate) struct OperatorToken {
    digest: [u8; 32],
}

impl OperatorToken {
    pub(crate) fn new(token: &str) -> Self {
        Self { digest: digest(token) }
    }
}

/// Returns the id of the operator.
pub(crate) const fn operator_id() -> PrincipalId {
    PrincipalId::from_uuid(Uuid::nil())
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl Authenticator for OperatorToken {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        if bool::from(self.digest.ct_eq(&digest(credential))) {
            Ok(Principal::new(operator_id()))
        } else {
            Err(AuthError::Invalid("not the operators' token".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_very_token_is_good() {
        let token = OperatorToken::new("0123456789abcdef");
        assert!(token.authenticate("0123456789abcdef").await.is_ok());
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "x"] {
            assert!(token.authenticate(other).await.is_err(), "{other}");
        }
    }
}
