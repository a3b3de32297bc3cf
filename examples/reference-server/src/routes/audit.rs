//! The log of an org: who did what to whom.

use chrono::{DateTime, Utc};
use mt_core::id::PrincipalId;
use mt_core::pg::audit_log::{self, ActorKind, Entry, Filter};
use mt_core::text_enum::TextEnum as _;
use salvo::extract::{Extractible, Metadata};
use salvo::prelude::*;
use salvo_oapi::{Components, EndpointArgRegister, Operation, ParameterIn, ToSchema, endpoint};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::app::App;
use crate::http::caller::InOrg;
use crate::http::openapi::describe::{may, takes, text};
use crate::http::page::{Listing, PageQuery};
use crate::http::problem::ApiError;
use crate::http::problems;
use crate::http::query::single;
use crate::model::AuditRead;
use crate::product::actions;

/// `/orgs/{org_id}/audit`.
pub(super) fn routes() -> Router {
    Router::with_path("audit").get(list)
}

#[derive(Serialize, ToSchema)]
struct EntryView {
    id: Uuid,
    at: DateTime<Utc>,
    actor: ActorView,
    action: String,
    target: TargetView,
    #[salvo(schema(required = true))]
    request_id: Option<String>,
    #[salvo(schema(value_type = Object))]
    detail: Value,
}

/// The actor of an entry. A user has an id, and an address while they are a member; other actors have a name.
#[derive(Serialize, ToSchema)]
struct ActorView {
    kind: String,
    #[salvo(schema(required = true))]
    id: Option<Uuid>,
    #[salvo(schema(required = true))]
    email: Option<String>,
    #[salvo(schema(required = true))]
    name: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct TargetView {
    kind: String,
    #[salvo(schema(required = true))]
    id: Option<Uuid>,
}

impl From<Entry> for EntryView {
    fn from(recorded: Entry) -> Self {
        Self {
            id: recorded.id,
            at: recorded.at,
            actor: ActorView {
                kind: recorded.actor_kind,
                id: recorded.actor_id,
                email: recorded.actor_email,
                name: recorded.actor_name,
            },
            action: shown(&recorded.action),
            target: TargetView { kind: shown(&recorded.target_kind), id: recorded.target_id },
            request_id: recorded.request_id,
            detail: recorded.detail,
        }
    }
}

/// What the library calls a tenant is an org here.
fn shown(word: &str) -> String {
    match word.strip_prefix("tenant") {
        Some(rest) => format!("org{rest}"),
        None => word.to_owned(),
    }
}

/// Lists who did what in the org.
#[endpoint(tags("audit"))]
async fn list(
    org: InOrg<AuditRead>,
    page: PageQuery,
    filter: Wanted,
    depot: &mut Depot,
) -> Result<Listing<EntryView>, ApiError> {
    let (app, filter) = (App::of(depot), filter.0);
    let page = page.of(&app.cursors, &format!("audit:{}:{filter:?}", org.0.tenant()))?;
    let read = app.tenants.read(org.0);
    let recorded = audit_log::list(read, &filter, page.after(), page.fetch()).await?;
    let entries = recorded.into_iter().map(EntryView::from).collect();
    Ok(page.answer(entries, |entry| entry.id))
}

/// `?action=` and `?actor=`: which entries are wanted.
#[derive(Debug)]
struct Wanted(Filter<'static>);

impl<'ex> Extractible<'ex> for Wanted {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Wanted");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        let action = single(req, "action")?.map(action_of).transpose()?;
        let (actor_kind, actor) = single(req, "actor")?.map_or(Ok((None, None)), actor_of)?;
        Ok(Self(Filter { action, actor_kind, actor }))
    }
}

impl EndpointArgRegister for Wanted {
    fn register(_: &mut Components, operation: &mut Operation, _: &str) {
        let words = text().enum_values(actions().map(|action| shown(action.word())));
        let action = "Entries of this action alone.";
        takes(operation, ParameterIn::Query, "action", action, words);
        let actor = "Entries of this user, by id, or of this kind: `user`, `operator`, `provider`, `system`.";
        takes(operation, ParameterIn::Query, "actor", actor, text());
        may(operation, &[&problems::INVALID_REQUEST]);
    }
}

/// An action by the word that is shown for it.
fn action_of(word: &str) -> Result<&'static str, ApiError> {
    actions().map(audit_log::Action::word).find(|known| shown(known) == word).ok_or_else(|| {
        ApiError::invalid_parameter("action", "takes an action as entries show it: `task.created`")
    })
}

/// A user by their id, or all of one kind.
fn actor_of(word: &str) -> Result<(Option<ActorKind>, Option<PrincipalId>), ApiError> {
    if let Some(user) = PrincipalId::parse(word) {
        return Ok((Some(ActorKind::User), Some(user)));
    }
    ActorKind::parse(word).map(|kind| (Some(kind), None)).map_err(|_| {
        ApiError::invalid_parameter(
            "actor",
            "takes a user's id, or `user`, `operator`, `provider` or `system`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orgs_are_called_orgs() {
        assert_eq!(action_of("org.renamed").unwrap(), "tenant.renamed");
        assert_eq!(action_of("task.created").unwrap(), "task.created");
        for unknown in ["tenant.renamed", "org.", "", "task.created "] {
            assert!(action_of(unknown).is_err(), "{unknown}");
        }
        assert!(actions().all(|action| !shown(action.word()).contains("tenant")));
    }
}
