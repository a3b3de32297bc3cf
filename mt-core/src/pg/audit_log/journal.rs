//! What a transaction has to say when it commits.

use std::sync::Arc;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::entry::Fact;
use super::{Actor, Entry, request};
use crate::id::TenantId;
use crate::word::Word as _;

/// The entries of one open transaction. They are written by the message that commits it.
#[derive(Debug, Default)]
pub(in crate::pg) struct Journal {
    written: Vec<Line>,
    /// Of tenants that are gone by then: there is nowhere to write these.
    told: Vec<Line>,
}

/// One row of `mt.audit_log`.
#[derive(Debug, Serialize)]
pub(in crate::pg) struct Line {
    tenant_id: Uuid,
    id: Uuid,
    actor_kind: &'static str,
    actor_id: Option<Uuid>,
    actor_name: Option<String>,
    action: &'static str,
    target_kind: &'static str,
    target_id: Uuid,
    #[serde(serialize_with = "as_object")]
    detail: Vec<(&'static str, Fact)>,
    request_id: Option<Arc<str>>,
}

impl Line {
    pub(in crate::pg) fn new(tenant: TenantId, actor: &Actor, entry: Entry) -> Self {
        let Entry { action, target, facts } = entry;
        Self {
            tenant_id: tenant.as_uuid(),
            id: Uuid::now_v7(),
            actor_kind: actor.kind().as_str(),
            actor_id: actor.id(),
            actor_name: actor.name().map(str::to_owned),
            action: action.word(),
            target_kind: action.target(),
            target_id: target,
            detail: facts,
            request_id: request::current(),
        }
    }
}

impl Journal {
    pub(in crate::pg) fn add(&mut self, line: Line) {
        self.written.push(line);
    }

    /// Adds what is for the log of the process, since the tenant's own goes with the tenant.
    pub(in crate::pg) fn add_told(&mut self, line: Line) {
        self.told.push(line);
    }

    /// Tells what is to be told, after the commit.
    pub(in crate::pg) fn tell(&self) {
        for Line { action, tenant_id, actor_kind, actor_id, actor_name, request_id, .. } in
            &self.told
        {
            let actor = actor_id.map(|id| id.to_string()).or_else(|| actor_name.clone());
            let (actor, request) = (actor.as_deref(), request_id.as_deref());
            tracing::info!(%tenant_id, actor_kind, actor, request, "audit: {action}");
        }
    }

    /// For a transaction that takes back what it has done, and goes on.
    pub(in crate::pg) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The statement that writes the entries; none if there are none.
    ///
    /// It is part of a simple message, which takes no parameters. So the values go into its text as hex
    /// digits, which cannot be anything but values.
    pub(in crate::pg) fn statement(&self) -> Option<String> {
        if self.written.is_empty() {
            return None;
        }
        let lines = serde_json::to_vec(&self.written).expect("words, ids and numbers are JSON");
        Some(format!(
            "insert into mt.audit_log (tenant_id, id, actor_kind, actor_id, actor_name, action, \
                 target_kind, target_id, detail, request_id) \
             select * from jsonb_to_recordset(convert_from(decode('{}', 'hex'), 'utf8')::jsonb) as line ( \
                 tenant_id uuid, id uuid, actor_kind text, actor_id uuid, actor_name text, action text, \
                 target_kind text, target_id uuid, detail jsonb, request_id text)",
            hex::encode(lines)
        ))
    }
}

fn as_object<S: Serializer>(
    facts: &[(&'static str, Fact)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_map(Some(facts.len()))?;
    for (name, fact) in facts {
        object.serialize_entry(name, fact)?;
    }
    object.end()
}

#[cfg(test)]
mod tests {
    use super::super::Action;
    use super::*;

    #[test]
    fn nothing_but_hex_gets_into_the_statement() {
        let mut journal = Journal::default();
        assert_eq!(journal.statement(), None);
        let hostile = Actor::operator("'); drop table mt.tenants; --");
        let entry = Action::new("a.b", "a").on(Uuid::nil());
        journal.add(Line::new(TenantId::from_uuid(Uuid::nil()), &hostile, entry));
        let statement = journal.statement().unwrap();
        assert!(!statement.contains("drop table"), "{statement}");
        let quoted = statement.split('\'').nth(1).unwrap();
        assert!(quoted.bytes().all(|byte| byte.is_ascii_hexdigit()), "{quoted}");
        journal.forget();
        assert_eq!(journal.statement(), None);
    }
}
