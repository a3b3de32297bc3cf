//! API keys and service accounts: what a key may do, what ends it, who may create one, and what is stored.

mod changes;
mod decision;
mod invites;
mod issuing;
mod tokens;

use std::time::Duration;

use mt_core::access::{AccessRequest, Denied, Permission, PermissionSet};
use mt_core::auth::{AuthError, Authenticator as _, Principal};
use mt_core::id::{ServiceAccountId, TenantId};
use mt_core::pg::api_keys::{ApiKeyError, ApiKeys, IssuedKey, KeyHolder, LIVE, NewApiKey};
use mt_core::pg::{BeginError, Database, Resource, Tenants, service_accounts};
use mt_core::token::TokenHasher;

use crate::support::{Acme, Leave, Manage, NotesRead, NotesWrite, Perm, Plan, Role, World};

/// API keys, capped at three on the free plan.
struct Keys;

impl Resource for Keys {
    type Model = Acme;
    const NAME: &'static str = "API keys";
    const ROWS: &'static str = LIVE;

    fn cap(plan: Plan) -> Option<u32> {
        match plan {
            Plan::Free => Some(3),
            Plan::Team => None,
        }
    }
}

fn api_keys(database: &Database) -> ApiKeys {
    database.api_keys("acme", TokenHasher::new(b"a secret of these tests, 32 bytes"))
}

async fn issue(
    world: &World,
    by: Principal,
    tenant: TenantId,
    new: &NewApiKey<Acme>,
) -> Result<IssuedKey<Acme>, ApiKeyError> {
    let request = AccessRequest::<Leave>::new(by, tenant);
    let (mut tx, cap) = world.tenants.begin(request).exclusive().capped::<Keys>().await.unwrap();
    let issued = api_keys(&world.database).create(&mut tx, cap, new).await?;
    tx.commit().await.unwrap();
    Ok(issued)
}

/// Issues a key and authenticates by it.
async fn caller(
    world: &World,
    by: Principal,
    tenant: TenantId,
    holder: KeyHolder,
) -> (IssuedKey<Acme>, Principal) {
    let issued = issue(world, by, tenant, &NewApiKey::new("a key", holder)).await.unwrap();
    let principal = api_keys(&world.database).authenticate(issued.text.reveal()).await.unwrap();
    (issued, principal)
}

async fn account(world: &World, by: Principal, tenant: TenantId, role: Role) -> ServiceAccountId {
    let request = AccessRequest::<Leave>::new(by, tenant);
    let mut tx = world.tenants.begin(request).exclusive().await.unwrap();
    let name = format!("{} {}", role_name(role), ServiceAccountId::generate());
    let account = service_accounts::create(&mut tx, &name, role).await.unwrap();
    tx.commit().await.unwrap();
    account.id
}

fn role_name(role: Role) -> &'static str {
    mt_core::text_enum::TextEnum::as_str(role)
}

/// An owner with a tenant on a plan without caps.
async fn owner(world: &World) -> (Principal, TenantId) {
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    world.set(tenant, "plan = 'team'").await;
    (ada, tenant)
}

/// What a transaction of `P` answers.
async fn answer<P: Permission<Model = Acme>>(
    tenants: &Tenants<Acme>,
    caller: Principal,
    tenant: TenantId,
) -> &'static str {
    match tenants.begin(AccessRequest::<P>::new(caller, tenant)).await {
        Ok(tx) => {
            tx.rollback().await.unwrap();
            "opens"
        }
        Err(BeginError::Denied(Denied::Forbidden)) => "forbidden",
        Err(BeginError::Denied(Denied::Suspended)) => "suspended",
        Err(BeginError::Denied(Denied::PaymentRequired)) => "unpaid",
        Err(BeginError::NotAMember) => "not a member",
        Err(BeginError::SignedOut) => "ended",
        Err(other) => panic!("{other:?}"),
    }
}

/// The permissions of the model for which a transaction opens.
async fn opens(
    tenants: &Tenants<Acme>,
    caller: Principal,
    tenant: TenantId,
) -> PermissionSet<Acme> {
    let answers = [
        (Perm::Leave, answer::<Leave>(tenants, caller, tenant).await),
        (Perm::Manage, answer::<Manage>(tenants, caller, tenant).await),
        (Perm::NotesRead, answer::<NotesRead>(tenants, caller, tenant).await),
        (Perm::NotesWrite, answer::<NotesWrite>(tenants, caller, tenant).await),
    ];
    answers.into_iter().filter(|(_, answer)| *answer == "opens").map(|(key, _)| key).collect()
}

fn is_refused(answer: &Result<Principal, AuthError>) -> bool {
    matches!(answer, Err(AuthError::Invalid(_)))
}

const AN_HOUR: Duration = Duration::from_hours(1);
