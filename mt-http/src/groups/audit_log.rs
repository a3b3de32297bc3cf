//! The audit log of a tenant.

use chrono::{DateTime, Utc};
use http::{Method, Uri};
use mt_core::access::{AccessModel, Permission, Reads};
use mt_core::id::PrincipalId;
use mt_core::pg::audit_log::{self, Action, ActorKind, Entry, Filter};
use mt_core::pg::billing;
use mt_core::text_enum::TextEnum as _;
use mt_tower::problem::Problem;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::{Answer, json};
use crate::call::Call;
use crate::group::{Group, Operations};
use crate::openapi::{Description, Schema, any, date_time, id, list as list_of, nullable, text};
use crate::operation::Operation;
use crate::page::PageQuery;
use crate::problems::invalid_parameter;
use crate::{Noun, query};

/// The audit log of a tenant: `GET …/audit`.
#[derive(Clone, Copy, Debug)]
pub struct AuditLog<R> {
    /// The permission to read it.
    pub read: R,
    /// The service's own actions, for `?action=`. Those of the library are added.
    pub actions: &'static [Action],
}

impl<M: AccessModel, R: Permission<Model = M, Effect = Reads>> Group<M> for AuditLog<R> {
    fn operations(self, noun: Noun) -> Operations<M> {
        let Self { actions, .. } = self;
        let words: Vec<_> = all(actions).map(|action| noun.shown(action.word())).collect();
        let kinds = "Entries of this user or service account, by id, or of this kind: `user`, `service_account`, \
            `operator`, `provider`, `system`, `service`.";
        let about = format!("Lists who did what in the {}.", noun.one());
        let description = Description::new("audit.list", "audit", about)
            .pages_of(&entry())
            .query(
                "action",
                "Entries of this action alone.",
                &json!({"type": "string", "enum": words}),
            )
            .query("actor", kinds, &text());
        let path = format!("{}/audit", noun.item_path());
        Operations(vec![
            Operation::new(Method::GET, path, description, move |call| {
                Box::pin(list::<M, R>(call, actions))
            })
            .needs::<R>(),
        ])
    }
}

/// Returns the actions that the log may hold.
fn all(actions: &'static [Action]) -> impl Iterator<Item = Action> {
    [audit_log::ACTIONS, billing::ACTIONS, actions].into_iter().flatten().copied()
}

fn entry() -> Schema {
    let actor = Schema::new("Actor")
        .described(
            "The actor of an entry. A user has an id, and an address while they are a member; a service account has an \
             id; other actors have a name. `via` has the service account and the API key that the actor acted through.",
        )
        .with("kind", text())
        .with("id", nullable(id()))
        .with("email", nullable(text()))
        .with("name", nullable(text()))
        .optional("via", list_of(&Schema::new("Link").with("kind", text()).with("id", id()).value()));
    let target = Schema::new("Target").with("kind", text()).with("id", nullable(id()));
    Schema::new("Entry")
        .with("id", id())
        .with("at", date_time())
        .with_one("actor", actor)
        .with("action", text())
        .with_one("target", target)
        .with("request_id", nullable(text()))
        .with("detail", any())
}

#[derive(Serialize)]
struct EntryView {
    id: Uuid,
    at: DateTime<Utc>,
    actor: ActorView,
    action: String,
    target: TargetView,
    request_id: Option<String>,
    detail: Value,
}

#[derive(Serialize)]
struct ActorView {
    kind: String,
    id: Option<Uuid>,
    email: Option<String>,
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<Value>,
}

#[derive(Serialize)]
struct TargetView {
    kind: String,
    id: Option<Uuid>,
}

impl EntryView {
    fn of(recorded: Entry, noun: Noun) -> Self {
        Self {
            id: recorded.id,
            at: recorded.at,
            actor: ActorView {
                kind: recorded.actor_kind,
                id: recorded.actor_id,
                email: recorded.actor_email,
                name: recorded.actor_name,
                via: recorded.via,
            },
            action: noun.shown(&recorded.action),
            target: TargetView { kind: noun.shown(&recorded.target_kind), id: recorded.target_id },
            request_id: recorded.request_id,
            detail: recorded.detail,
        }
    }
}

async fn list<M: AccessModel, R: Permission<Model = M, Effect = Reads>>(
    call: Call<'_, M>,
    actions: &'static [Action],
) -> Answer {
    let request = call.access::<R>()?;
    let noun = call.context.noun;
    let query = PageQuery::read(&call.parts.uri)?;
    let filter = filter(&call.parts.uri, actions, noun)?;
    let page = call.page(query, &format!("audit:{}:{filter:?}", request.tenant()))?;
    let read = call.context.tenants.read(request);
    let recorded = audit_log::list(read, &filter, page.after(), page.fetch()).await?;
    let entries = recorded.into_iter().map(|entry| EntryView::of(entry, noun)).collect();
    Ok(json(&page.answer(entries, |entry: &EntryView| entry.id)))
}

/// Reads `?action=` and `?actor=`.
fn filter(uri: &Uri, actions: &'static [Action], noun: Noun) -> Result<Filter<'static>, Problem> {
    let action = query::single(uri, "action")?;
    let action = action.map(|word| action_of(&word, actions, noun)).transpose()?;
    let actor = query::single(uri, "actor")?;
    let (actor_kind, actor) = actor.map_or(Ok((None, None)), |word| actor_of(&word))?;
    Ok(Filter { action, actor_kind, actor })
}

/// An action by the word that is shown for it.
fn action_of(word: &str, actions: &'static [Action], noun: Noun) -> Result<&'static str, Problem> {
    all(actions).map(Action::word).find(|known| noun.shown(known) == word).ok_or_else(|| {
        invalid_parameter("action", "takes an action as entries show it: `task.created`")
    })
}

/// A user or a service account by its id, or all of one kind.
fn actor_of(word: &str) -> Result<(Option<ActorKind>, Option<PrincipalId>), Problem> {
    if let Some(principal) = PrincipalId::parse(word) {
        return Ok((None, Some(principal)));
    }
    ActorKind::parse(word).map(|kind| (Some(kind), None)).map_err(|_| {
        invalid_parameter(
            "actor",
            "takes the id of a user or service account, or a kind: `user`, `service_account`, `operator`, `provider`, \
             `system` or `service`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_named_in_the_words_of_the_service() {
        const TASKS: &[Action] = &[Action::new("task.created", "task")];
        let org = Noun::new("org", "orgs");
        assert_eq!(action_of("org.renamed", TASKS, org).unwrap(), "tenant.renamed");
        assert_eq!(action_of("task.created", TASKS, org).unwrap(), "task.created");
        for unknown in ["tenant.renamed", "org.", "", "task.created "] {
            assert!(action_of(unknown, TASKS, org).is_err(), "{unknown}");
        }
        assert!(all(TASKS).all(|action| !org.shown(action.word()).contains("tenant")));
    }
}
