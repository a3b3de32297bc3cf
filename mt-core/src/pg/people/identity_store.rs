//! The principals of verified tokens, by the identities in Postgres.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use crate::auth::openid::{FirstSight, IdentityStore, VerifiedToken};
use crate::auth::{AuthError, Principal};
use crate::clock::{Clock, SystemClock};
use crate::id::{IdentityId, PrincipalId};
use crate::pg::transaction::opening;
use crate::pg::{Identity, LinkError, PgError, System, SystemReason, SystemTx, User};

// Everyone can sign up at many providers, so these use the share of anonymous requests.
const LOOK_UP: SystemReason = SystemReason::anonymous("look up the identity of a token");
const FIRST_SIGHT: SystemReason = SystemReason::anonymous("first sight of an identity");

/// How many identities are remembered, of some 100 bytes each. The least used go first.
const CAPACITY: usize = 10_000;
/// How long an identity is remembered.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);

/// The identities in `mt.identities`, as the store of an
/// [`OpenIdAuthenticator`](crate::auth::openid::OpenIdAuthenticator). From
/// [`Database::identities`](crate::pg::Database::identities). Clones share what they remember.
///
/// # Cache
///
/// An identity is remembered for a minute, so most requests are authenticated without Postgres. That is safe, because
/// the principal carries the [identity](Principal::by_identity) and each transaction looks for it in its opening batch: a
/// token whose identity was unlinked, or whose user was deleted, is refused by the next transaction. Only the opposite
/// takes up to a minute: a subject that was unlinked and is linked again, to the same user or to another one, is refused
/// by processes that remember the former link. Unknown subjects are not remembered.
///
/// ```
/// use std::error::Error;
///
/// use mt_core::auth::Authenticator;
/// use mt_core::auth::openid::{
///     FirstSight, HttpFetch, OpenIdAuthenticator, OpenIdConfig, OpenIdVerifier,
/// };
/// use mt_core::pg::Database;
///
/// fn authenticator(database: &Database) -> Result<impl Authenticator, Box<dyn Error>> {
///     let clerk = OpenIdConfig::new("https://clerk.acme.example")
///         .accept_authorized_party("https://app.acme.example")
///         .require_claim("sts", "active");
///     let clerk = OpenIdVerifier::new(clerk, HttpFetch::new()?)?;
///     let store = database.identities();
///     Ok(OpenIdAuthenticator::new(store).accept(clerk, FirstSight::CreateUser)?)
/// }
/// ```
#[derive(Clone)]
pub struct Identities {
    system: System,
    known: Arc<Cache<[u8; 32], Known>>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Copy)]
struct Known {
    identity: IdentityId,
    principal: PrincipalId,
    /// In microseconds.
    until: i64,
}

impl Identities {
    pub(in crate::pg) fn new(system: System) -> Self {
        Self { system, known: Arc::new(Cache::new(CAPACITY)), clock: Arc::new(SystemClock) }
    }

    /// Forgets identities by `clock`.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    async fn look_up(
        &self,
        token: &VerifiedToken,
    ) -> Result<Option<(IdentityId, PrincipalId)>, PgError> {
        let opening = opening::of_identity(token.issuer(), token.subject());
        let rows = self.system.whole(LOOK_UP, opening).await?;
        let Some(row) = rows.last() else { return Ok(None) };
        let identity = IdentityId::from_uuid(row.try_get("id")?);
        Ok(Some((identity, PrincipalId::from_uuid(row.try_get("principal_id")?))))
    }

    /// Links the subject of a token that is not linked yet.
    async fn first_sight(
        &self,
        token: &VerifiedToken,
        first_sight: FirstSight,
    ) -> Result<(IdentityId, PrincipalId), AuthError> {
        if first_sight == FirstSight::Refuse {
            return Err(refused("unknown identity"));
        }
        let mut tx = self.system.begin(FIRST_SIGHT).await.map_err(unavailable)?;
        match link(&mut tx, token, first_sight).await {
            Ok(linked) => {
                tx.commit().await.map_err(unavailable)?;
                Ok(linked)
            }
            Err(error) => {
                tx.rollback().await.map_err(unavailable)?;
                Err(error)
            }
        }
    }
}

impl IdentityStore for Identities {
    async fn principal(
        &self,
        token: &VerifiedToken,
        first_sight: FirstSight,
    ) -> Result<Principal, AuthError> {
        let key = key(token);
        let now = self.clock.micros();
        if let Some(known) = self.known.get(&key).filter(|known| now < known.until) {
            return Ok(Principal::new(known.principal).by_identity(known.identity));
        }
        let (identity, principal) = match self.look_up(token).await.map_err(unavailable)? {
            Some(linked) => linked,
            None => self.first_sight(token, first_sight).await?,
        };
        let micros = i64::try_from(REMEMBERED_FOR.as_micros()).unwrap_or(0);
        self.known.insert(key, Known { identity, principal, until: now.saturating_add(micros) });
        Ok(Principal::new(principal).by_identity(identity))
    }
}

/// Finds or creates the user of a token, and links the subject to it. First requests of one subject take turns.
async fn link(
    tx: &mut SystemTx,
    token: &VerifiedToken,
    first_sight: FirstSight,
) -> Result<(IdentityId, PrincipalId), AuthError> {
    let (issuer, subject) = (token.issuer(), token.subject());
    sqlx::query(
        "select pg_advisory_xact_lock(hashtextextended('mt.identities ' || $1 || ' ' || $2, 0))",
    )
    .bind(issuer)
    .bind(subject)
    .execute(tx.conn())
    .await
    .map_err(|error| unavailable(error.into()))?;
    if let Some(linked) = Identity::find(tx, issuer, subject).await.map_err(unavailable)? {
        return Ok((linked.id, linked.principal));
    }
    let email = token
        .verified_email()
        .ok_or_else(|| refused("unknown identity, and the token has no verified e-mail address"))?;
    let user = match first_sight {
        FirstSight::LinkOrCreateUser => {
            User::find_or_create(tx, &email).await.map_err(unavailable)?
        }
        FirstSight::CreateUser | FirstSight::Refuse => User::create(tx, &email)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| refused("unknown identity, and a user has its e-mail address"))?,
    };
    let linked =
        Identity::link(tx, user.id, issuer, subject).await.map_err(|error| match error {
            LinkError::Pg(error) => unavailable(error),
            LinkError::Malformed | LinkError::Taken => refused("the identity cannot be linked"),
        })?;
    Ok((linked.id, linked.principal))
}

/// A key of fixed size, whatever the subject is. Neither name has control characters, so the line feed separates them.
fn key(token: &VerifiedToken) -> [u8; 32] {
    Sha256::new()
        .chain_update(token.issuer())
        .chain_update("\n")
        .chain_update(token.subject())
        .finalize()
        .into()
}

fn refused(reason: &str) -> AuthError {
    AuthError::Invalid(reason.to_owned())
}

fn unavailable(error: PgError) -> AuthError {
    AuthError::Unavailable(error.into())
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities").field("known", &self.known.len()).finish_non_exhaustive()
    }
}
