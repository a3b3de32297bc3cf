//! Tenants, for operators: stopping them, and letting them go on.

use http::Method;
use mt_core::access::{AccessModel, Suspension};
use mt_core::id::TenantId;
use mt_core::pg::audit_log::Actor;
use mt_core::pg::{SystemReason, Tenant};
use mt_core::text_enum::TextEnum as _;
use mt_tower::problem::Problem;
use serde::Deserialize;

use crate::Noun;
use crate::answer::{Answer, Object, json};
use crate::call::Call;
use crate::fields;
use crate::group::{Group, Operations};
use crate::guards::Guarded;
use crate::openapi::{Description, Schema, id, words};
use crate::operation::Operation;

const SUSPEND: SystemReason = SystemReason::new("suspend a tenant for an operator");

/// What operators do with tenants: `POST /admin/…/suspension`. [`Guards::operator_token`](crate::Guards::operator_token)
/// sets who they are.
#[derive(Clone, Copy, Debug)]
pub struct Operators;

impl<M: AccessModel> Group<M> for Operators {
    fn operations(self, noun: Noun) -> Operations<M> {
        let (word, path) = (noun.one(), format!("/admin{}/suspension", noun.item_path()));
        let text = format!(
            "Suspends {} {word}, or ends its suspension. It takes effect with the next transaction.",
            noun.article()
        );
        let change = Schema::new("SuspensionChange").with("mode", words::<Suspension>()).closed();
        let view = Schema::new("Suspension")
            .with(noun.id_name(), id())
            .with("mode", words::<Suspension>());
        let description = Description::new(format!("admin_{}.suspend", noun.many()), "admin", text)
            .path_id(&noun.id_name(), word)
            .takes(change)
            .gives(200, "The suspension.", view);
        Operations(vec![
            Operation::new(Method::POST, path, description, |call| Box::pin(suspend(call)))
                .behind(Guarded::Operator),
        ])
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SuspensionChange {
    #[serde(deserialize_with = "fields::word")]
    mode: Suspension,
}

async fn suspend<M: AccessModel>(mut call: Call<'_, M>) -> Answer {
    call.operator()?;
    let SuspensionChange { mode } = call.json().await?;
    let id_name = call.context.noun.id_name();
    let tenant = TenantId::from_uuid(call.path_id(&id_name)?);
    let mut tx = call.context.system.begin(SUSPEND).await?;
    // Which of those who know the token is for the log of the proxy in front.
    tx.act_as(Actor::operator("admin token"));
    let found = Tenant::suspend(&mut tx, tenant, mode).await?;
    tx.commit().await?;
    found.ok_or(Problem::NOT_FOUND)?;
    Ok(json(&Object::new().with(id_name, tenant.to_string()).with("mode", mode.as_str())))
}
