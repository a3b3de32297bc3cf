//! The policy for each table when a tenant is exported, imported or deleted.

use std::collections::BTreeMap;

use super::catalogue::{self, Found};
use crate::pg::PgError;
use crate::pg::connection::database::Database;

/// Columns that are not exported: hashes of tokens, and when the email with the token was sent.
const WITHHELD: [(&str, &str); 3] = [
    ("mt.invites", "token_hash"),
    ("mt.invites", "mailed_token_hash"),
    ("mt.invites", "mailed_at"),
];

/// The types whose JSON form converts back without loss.
const TYPES: [&str; 13] = [
    "bigint",
    "boolean",
    "bytea",
    "date",
    "integer",
    "json",
    "jsonb",
    "smallint",
    "text",
    "text[]",
    "timestamp with time zone",
    "uuid",
    "uuid[]",
];

/// The policy for each table of a tenant's data.
#[derive(Clone, Debug)]
#[must_use]
pub struct Inventory {
    schemas: Vec<String>,
    policies: BTreeMap<String, TablePolicy>,
}

/// The policy for the rows of a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TablePolicy {
    /// The rows belong to a tenant, are deleted with it, and are exported and imported.
    Export,
    /// The rows belong to a tenant and are deleted with it, but are not exported. With the reason.
    Exclude(&'static str),
    /// The rows do not belong to tenants. With the reason.
    WithoutTenant(&'static str),
}

impl Inventory {
    /// Creates an inventory of the library's schema.
    pub fn library() -> Self {
        Self { schemas: vec!["mt".to_owned()], policies: BTreeMap::new() }
            .export("mt.tenants")
            .export("mt.users")
            .export("mt.roles")
            .export("mt.memberships")
            .export("mt.invites")
            .export("mt.service_accounts")
            .export("mt.audit_log")
            .exclude(
                "mt.api_keys",
                "credentials of this service; the hashes are made with its secret",
            )
            .exclude("mt.billing_customers", "who pays is between the provider and this tenant")
            .exclude("mt.checkout_sessions", "who pays is between the provider and this tenant")
            .exclude(
                "mt.domains",
                "control of a domain is proved anew, where requests for it arrive",
            )
            .exclude("mt.idempotency_keys", "answers that were given here, for a day")
            .exclude("mt.jobs", "work that was asked for here is done here")
            .exclude("mt.outbox", "what is on its way is sent from here")
            .exclude("mt.provider_calls", "what a provider is being asked for is asked from here")
            .without_tenant("mt.former_customers", "the provider's, of no tenant any more")
            .without_tenant("mt.identities", "of a user, at this service's providers")
            .without_tenant("mt.invoices", "the provider's, by customer")
            .without_tenant("mt.job_schedules", "how far the schedules of jobs have come")
            .without_tenant("mt.magic_links", "of an address")
            .without_tenant("mt.principal_idempotency_keys", "answers to a principal, for a day")
            .without_tenant("mt.schema_migrations", "which versions are applied")
            .without_tenant("mt.sign_in_networks", "of an address")
            .without_tenant("mt.subscriptions", "the provider's, by customer")
            .without_tenant("mt.sweeps", "how far the work of a service has come")
            .without_tenant("mt.webhook_attempts", "of an event")
            .without_tenant("mt.webhook_events", "the provider's; bodies are purged after a while")
    }

    /// Adds an application's schema, all of whose tables must be classified.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schemas.push(name.into());
        self
    }

    /// Exports the rows of `table`, named with its schema.
    pub fn export(self, table: impl Into<String>) -> Self {
        self.with(table, TablePolicy::Export)
    }

    /// Excludes the rows of `table`, which belong to a tenant, from exports. `reason` is for readers of the code.
    pub fn exclude(self, table: impl Into<String>, reason: &'static str) -> Self {
        self.with(table, TablePolicy::Exclude(reason))
    }

    /// Declares that the rows of `table` do not belong to tenants. `reason` is for readers of the code.
    pub fn without_tenant(self, table: impl Into<String>, reason: &'static str) -> Self {
        self.with(table, TablePolicy::WithoutTenant(reason))
    }

    fn with(mut self, table: impl Into<String>, policy: TablePolicy) -> Self {
        self.policies.insert(table.into(), policy);
        self
    }

    /// Checks the inventory against the catalogue and returns the tables.
    ///
    /// # Errors
    ///
    /// [`InventoryError`] with all differences.
    pub async fn take(&self, database: &Database) -> Result<Contents, InventoryError> {
        let (found, versions) = catalogue::read(database, &self.schemas).await?;
        let mut complaints = Vec::new();
        for name in self.policies.keys() {
            if !found.iter().any(|table| table.name == *name) {
                complaints.push(format!("`{name}` is classified but does not exist"));
            }
        }
        let mut tables = Vec::new();
        for found in found {
            match self.policies.get(&found.name) {
                None => complaints.push(format!(
                    "`{}` is not classified: call `export`, `exclude` or `without_tenant`",
                    found.name
                )),
                Some(policy) => {
                    complaints.extend(contradictions(&found, *policy));
                    tables.push(Table::new(found, *policy));
                }
            }
        }
        if complaints.is_empty() {
            Ok(Contents { tables: in_order(tables), versions })
        } else {
            Err(InventoryError::Unfit(complaints))
        }
    }
}

/// Returns whether a table belongs to tenants without a `tenant_id`: the tenants and the users.
fn is_special(name: &str) -> bool {
    matches!(name, "mt.tenants" | "mt.users")
}

/// Returns the contradictions between the catalogue and the policy.
fn contradictions(found: &Found, policy: TablePolicy) -> Vec<String> {
    let Found { name, columns, types, .. } = found;
    let mut complaints = Vec::new();
    match policy {
        TablePolicy::WithoutTenant(_) => {
            if found.has_tenant {
                complaints.push(format!(
                    "`{name}` is classified as without tenant but has a `tenant_id`"
                ));
            }
            return complaints;
        }
        TablePolicy::Exclude(_) | TablePolicy::Export if is_special(name) => {}
        TablePolicy::Exclude(_) | TablePolicy::Export => {
            if !found.has_tenant {
                complaints
                    .push(format!("`{name}` is classified as a tenant's but has no `tenant_id`"));
            } else if !found.goes_with_tenant {
                complaints.push(format!(
                    "`{name}` would outlive its tenant: `tenant_id` needs a foreign key to mt.tenants \
                     that says `on delete cascade`"
                ));
            }
        }
    }
    if policy == TablePolicy::Export {
        if !found.app_reads {
            complaints.push(format!("`{name}` is exported and cannot be read by a tenant"));
        }
        if found.key.is_empty() {
            complaints.push(format!("`{name}` is exported and has no primary key, so no order"));
        }
        for (column, kind) in columns.iter().zip(types) {
            if !TYPES.contains(&kind.as_str()) {
                complaints.push(format!(
                    "`{name}.{column}` is `{kind}`, a type that exports do not support"
                ));
            }
        }
    }
    complaints
}

/// Sorts tables for an import: the tenant and its members first, because other rows depend on them with or without a
/// foreign key, and every table after those that it references.
fn in_order(mut tables: Vec<Table>) -> Vec<Table> {
    tables.sort_by_key(|table| !is_special(&table.name));
    let mut ordered: Vec<Table> = Vec::with_capacity(tables.len());
    while !tables.is_empty() {
        let ready = |table: &Table| {
            !table.refers_to.iter().any(|other| tables.iter().any(|left| left.name == *other))
        };
        // A cycle of references cannot be sorted; the import then reports the key that is violated.
        let next = tables.iter().position(ready).unwrap_or(0);
        ordered.push(tables.remove(next));
    }
    ordered
}

/// The classified tables of a database. [`Inventory::take`] returns them.
#[derive(Clone, Debug)]
pub struct Contents {
    tables: Vec<Table>,
    versions: Vec<(String, i64)>,
}

impl Contents {
    /// Returns the exported tables, in an order in which they can be imported.
    pub fn exported(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| table.policy == TablePolicy::Export)
    }

    /// Returns the tables whose rows have a `tenant_id`.
    pub fn of_tenants(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| table.has_tenant)
    }

    /// Returns a table by its name, with its schema.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Returns the version of each schema.
    #[must_use]
    pub fn versions(&self) -> &[(String, i64)] {
        &self.versions
    }
}

/// A table of a database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    pub(super) name: String,
    pub(super) quoted: String,
    pub(super) policy: TablePolicy,
    pub(super) has_tenant: bool,
    pub(super) app_reads: bool,
    /// The exported columns.
    pub(super) columns: Vec<Column>,
    pub(super) key: Vec<String>,
    refers_to: Vec<String>,
}

/// An exported column.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
    /// Whether a row requires it: it is not null and has no default.
    pub(super) is_needed: bool,
}

impl Table {
    fn new(found: Found, policy: TablePolicy) -> Self {
        let Found { name, quoted, has_tenant, app_reads, columns, types, needed, key, .. } = found;
        let refers_to = found.refers_to;
        let columns = columns.into_iter().zip(types).zip(needed);
        let columns = columns.filter(|((column, _), _)| is_exported(&name, column));
        let columns = columns.map(|((column, kind), needed)| Column {
            name: column,
            kind,
            is_needed: needed || is_special(&name),
        });
        let columns = columns.collect();
        Self { name, quoted, policy, has_tenant, app_reads, columns, key, refers_to }
    }

    /// Returns the name, with its schema.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the policy.
    #[must_use]
    pub const fn policy(&self) -> TablePolicy {
        self.policy
    }

    /// Returns the names of the exported columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }
}

/// Returns whether a column is exported: of the tenant its name but not its subscription, nor its slug, which another
/// tenant may have where it is imported; of users what fellow members see.
fn is_exported(table: &str, column: &str) -> bool {
    match table {
        "mt.tenants" => matches!(column, "id" | "name" | "created_at"),
        "mt.users" => matches!(column, "id" | "email"),
        _ => column != "tenant_id" && !WITHHELD.contains(&(table, column)),
    }
}

/// The error when the tables do not match the inventory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The differences, one line each.
    #[error("the tables do not match the inventory: {}", .0.join("; "))]
    Unfit(Vec<String>),
}
