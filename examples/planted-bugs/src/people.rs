//! The shop itself, its members and invites.

use std::sync::OnceLock;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use mt_core::email::EmailAddress;
use mt_core::pg::Tenant;
use mt_core::pg::invites::{self, InviteTerms};
use mt_core::text_enum::TextEnum as _;
use mt_core::token::{SecretToken, TokenHasher};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::Shared;
use crate::bug::Bug;
use crate::http::{Authorized, Refusal};
use crate::model::{INVITE_FORGED, MembersInvite, Role, Seats, TicketsRead};

/// `GET /shops/{shop}`
pub(crate) async fn shop(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
) -> Result<Json<Value>, Refusal> {
    /// The shop, as if a process served one.
    static SHOP: OnceLock<Value> = OnceLock::new();

    let mut tx = app.tenants.begin(grant).await?;
    let shop = Tenant::load(&mut tx).await?;
    tx.commit().await?;
    let shop = json!({"name": shop.name});
    Ok(Json(if app.has(Bug::ShopMemoized) { SHOP.get_or_init(|| shop).clone() } else { shop }))
}

/// The same for a caller who has signed in, member or not.
pub(crate) async fn shop_without_membership(
    State(app): State<Shared>,
    Path(shop): Path<Uuid>,
) -> Result<Json<Value>, Refusal> {
    let mut tx = app.past_the_library().await?;
    let name: Option<String> = sqlx::query_scalar("select name from mt.tenants where id = $1")
        .bind(shop)
        .fetch_optional(&mut *tx)
        .await?;
    name.map(|name| Json(json!({"name": name}))).ok_or_else(Refusal::not_found)
}

/// `GET /shops/{shop}/members`
pub(crate) async fn members(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
) -> Result<Json<Vec<String>>, Refusal> {
    let sql = app.sql(
        &[
            (
                Bug::MembersOfAllShops,
                "select email from mt.users where $1::uuid is not null order by email",
            ),
            (
                Bug::RoleTakenOn,
                "select email from mt.users where $1::uuid is not null order by email",
            ),
        ],
        "select u.email from mt.memberships m join mt.users u on u.id = m.principal_id \
         where m.tenant_id = $1 order by u.email",
    );
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    if app.has(Bug::RoleTakenOn) {
        sqlx::query("set local role mt_system").execute(tx.query::<TicketsRead>()).await?;
    }
    let emails = sqlx::query_scalar(sql).bind(tenant).fetch_all(tx.query::<TicketsRead>()).await?;
    tx.commit().await?;
    Ok(Json(emails))
}

/// `POST /shops/{shop}/invites` with `{"email": …, "role": …}`
pub(crate) async fn invite(
    State(app): State<Shared>,
    Authorized(grant): Authorized<MembersInvite>,
    Json(body): Json<Value>,
) -> Result<StatusCode, Refusal> {
    let email = body["email"].as_str().and_then(|email| EmailAddress::parse(email).ok());
    let role = Role::ALL.iter().find(|role| Some(role.as_str()) == body["role"].as_str());
    let (Some(email), Some(role)) = (email, role) else {
        return Err(Refusal::conflict("invite whom?"));
    };
    let token = SecretToken::generate();
    let hasher = TokenHasher::new(token.reveal().as_bytes());
    let (mut tx, room) = app.tenants.begin(grant).exclusive().capped::<Seats>().await?;
    if app.has(Bug::InviteOfAnyRole) {
        let id = Uuid::now_v7();
        let (tenant, caller) = (tx.tenant().as_uuid(), tx.principal().id().as_uuid());
        sqlx::query(
            "insert into mt.invites (tenant_id, id, email, role, token_hash, invited_by, expires_at) \
             values ($1, $2, $3, $4, $5, $6, now() + interval '1 day')",
        )
        .bind(tenant)
        .bind(id)
        .bind(email.as_str())
        .bind(role.as_str())
        .bind(hasher.hash(token.reveal()).as_bytes())
        .bind(caller)
        .execute(tx.execute::<MembersInvite>(INVITE_FORGED.on(id)))
        .await?;
    } else {
        let terms = InviteTerms { ttl: Duration::from_hours(24), mail_interval: None };
        invites::invite(&mut tx, room, &hasher, &email, *role, terms).await?;
    }
    tx.commit().await?;
    Ok(StatusCode::CREATED)
}
