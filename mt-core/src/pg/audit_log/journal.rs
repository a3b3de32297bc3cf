//! The audit entries of an open transaction.

use std::sync::Arc;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::actor::Link;
use super::entry::Fact;
use super::{Actor, NewEntry, request};
use crate::id::TenantId;
use crate::pg::transaction::batch::Batch;
use crate::pg::transaction::value::Value;
use crate::text_enum::TextEnum as _;

/// The entries of one open transaction. They are written by the message that commits it.
#[derive(Debug, Default)]
pub(in crate::pg) struct Journal {
    written: Vec<Line>,
    /// Entries of tenants that are deleted: they go to the log of the process.
    logged: Vec<Line>,
}

/// One row of `mt.audit_log`.
#[derive(Debug)]
pub(in crate::pg) struct Line {
    tenant_id: Uuid,
    id: Uuid,
    actor_kind: &'static str,
    actor_id: Option<Uuid>,
    actor_name: Option<String>,
    via: Option<String>,
    action: &'static str,
    target_kind: &'static str,
    target_id: Uuid,
    detail: Detail,
    request_id: Option<Arc<str>>,
}

impl Line {
    pub(in crate::pg) fn new(tenant: TenantId, actor: &Actor, entry: NewEntry) -> Self {
        let NewEntry { action, target, facts } = entry;
        Self {
            tenant_id: tenant.as_uuid(),
            id: Uuid::now_v7(),
            actor_kind: actor.kind().as_str(),
            actor_id: actor.id(),
            actor_name: actor.name().map(str::to_owned),
            via: chain(actor.via()),
            action: action.word(),
            target_kind: action.target(),
            target_id: target,
            detail: Detail(facts),
            request_id: request::current(),
        }
    }
}

impl Line {
    fn values(&self) -> Vec<Value> {
        let detail = serde_json::to_string(&self.detail).expect("words, ids and numbers are JSON");
        vec![
            self.tenant_id.into(),
            self.id.into(),
            self.actor_kind.into(),
            self.actor_id.into(),
            self.actor_name.as_deref().into(),
            self.action.into(),
            self.target_kind.into(),
            self.target_id.into(),
            Value::free("jsonb", detail),
            self.request_id.as_deref().into(),
            self.via.as_deref().map_or(Value::null("jsonb"), |via| Value::free("jsonb", via)),
        ]
    }
}

/// The links as a JSON array, if there are any.
fn chain(links: &[Link]) -> Option<String> {
    let link = |Link { kind, id }: &Link| serde_json::json!({ "kind": kind, "id": id });
    let links: Vec<_> = links.iter().map(link).collect();
    (!links.is_empty()).then(|| serde_json::Value::Array(links).to_string())
}

impl Journal {
    pub(in crate::pg) fn add(&mut self, line: Line) {
        self.written.push(line);
    }

    /// Adds what is for the log of the process, since the tenant's own goes with the tenant.
    pub(in crate::pg) fn add_logged(&mut self, line: Line) {
        self.logged.push(line);
    }

    /// Writes to the log of the process, after the commit.
    pub(in crate::pg) fn log(&self) {
        for Line { action, tenant_id, actor_kind, actor_id, actor_name, via, request_id, .. } in
            &self.logged
        {
            let actor = actor_id.map(|id| id.to_string()).or_else(|| actor_name.clone());
            let (actor, request) = (actor.as_deref(), request_id.as_deref());
            let via = via.as_deref();
            tracing::info!(%tenant_id, actor_kind, actor, via, request, "audit: {action}");
        }
    }

    /// For a transaction that takes back what it has done, and goes on.
    pub(in crate::pg) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Has `message` write the entries, if there are any.
    pub(in crate::pg) fn write_in(&self, message: Batch) -> Batch {
        self.written.iter().fold(message, |message, line| message.statement(INSERT, line.values()))
    }
}

const INSERT: &str = "insert into mt.audit_log (tenant_id, id, actor_kind, actor_id, actor_name, action, \
         target_kind, target_id, detail, request_id, via) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/// The facts of an entry: a JSON object.
#[derive(Debug)]
struct Detail(Vec<(&'static str, Fact)>);

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        for (name, fact) in &self.0 {
            object.serialize_entry(name, fact)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Statements;
    use super::super::Action;
    use super::*;
    use crate::pg::connection::live_connection::Prepared;
    use crate::pg::transaction::batch::Target;
    use crate::pg::transaction::tx_settings::TxSettings;

    #[test]
    fn nothing_of_an_entry_is_read_as_sql() {
        let written = |journal: &Journal, statements| {
            let (prepared, settings) = (&Prepared::default(), &TxSettings::DEFAULT);
            let target = Target { prepared, statements, backend: 0, key: None, settings };
            journal.write_in(Batch::default()).compose(&target).0
        };
        let mut journal = Journal::default();
        assert_eq!(written(&journal, Statements::Named), "");
        let hostile = Actor::operator("'); drop table mt.tenants; --");
        let entry = Action::new("a.b", "a").on(Uuid::nil());
        journal.add(Line::new(TenantId::from_uuid(Uuid::nil()), &hostile, entry));
        for statements in [Statements::Named, Statements::Unnamed] {
            let text = written(&journal, statements);
            assert!(text.contains("insert into mt.audit_log"), "{text}");
            assert!(!text.contains("drop table"), "{text}");
        }
        journal.forget();
        assert_eq!(written(&journal, Statements::Named), "");
    }
}
