//! What becomes of each table when a tenant is read out, made again or deleted.

use std::collections::BTreeMap;

use super::super::PgError;
use super::super::database::Database;
use super::catalogue::{self, Found};

/// Columns that hold a token's hash. They open something, and stay where they are.
const WITHHELD: [(&str, &str); 1] = [("mt.invites", "token_hash")];

/// Types whose JSON form reads back as what it was.
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

/// What somebody has said of each table.
#[derive(Clone, Debug)]
#[must_use]
pub struct Inventory {
    schemas: Vec<String>,
    fates: BTreeMap<String, Fate>,
}

/// What becomes of a table's rows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// They are a tenant's, go with it, and are read out and made again.
    Travels,
    /// They are a tenant's and go with it, and mean nothing elsewhere.
    Stays(&'static str),
    /// They are nobody's, or somebody's who is no tenant.
    OfNoTenant(&'static str),
}

impl Inventory {
    /// The library's own schema.
    pub fn library() -> Self {
        Self { schemas: vec!["mt".to_owned()], fates: BTreeMap::new() }
            .travels("mt.tenants")
            .travels("mt.users")
            .travels("mt.memberships")
            .travels("mt.invites")
            .travels("mt.audit_log")
            .stays("mt.billing_customers", "who pays is between the provider and this tenant")
            .stays("mt.checkout_sessions", "who pays is between the provider and this tenant")
            .stays("mt.idempotency_keys", "answers that were given here, for a day")
            .stays("mt.outbox", "what is on its way is sent from here")
            .stays("mt.provider_calls", "what a provider is being asked for is asked from here")
            .of_no_tenant("mt.former_customers", "the provider's, of no tenant any more")
            .of_no_tenant("mt.invoices", "the provider's, by customer")
            .of_no_tenant("mt.magic_links", "of an address")
            .of_no_tenant("mt.principal_idempotency_keys", "answers to a principal, for a day")
            .of_no_tenant("mt.schema_migrations", "which versions are applied")
            .of_no_tenant("mt.subscriptions", "the provider's, by customer")
            .of_no_tenant("mt.webhook_attempts", "of an event")
            .of_no_tenant("mt.webhook_events", "the provider's; bodies are purged after a while")
    }

    /// With an application's schema, of which every table is to be classified.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schemas.push(name.into());
        self
    }

    /// The rows of `table`, named with its schema, are read out and made again.
    pub fn travels(self, table: impl Into<String>) -> Self {
        self.with(table, Fate::Travels)
    }

    /// The rows of `table` are a tenant's and mean nothing elsewhere, and why.
    pub fn stays(self, table: impl Into<String>, reason: &'static str) -> Self {
        self.with(table, Fate::Stays(reason))
    }

    /// The rows of `table` are no tenant's, and why.
    pub fn of_no_tenant(self, table: impl Into<String>, reason: &'static str) -> Self {
        self.with(table, Fate::OfNoTenant(reason))
    }

    fn with(mut self, table: impl Into<String>, fate: Fate) -> Self {
        self.fates.insert(table.into(), fate);
        self
    }

    /// Compares it with the catalogue.
    ///
    /// # Errors
    ///
    /// [`InventoryError`], for whatever is not as it says; all of it at once.
    pub async fn take(&self, database: &Database) -> Result<Contents, InventoryError> {
        let (found, versions) = catalogue::read(database, &self.schemas).await?;
        let mut complaints = Vec::new();
        for name in self.fates.keys() {
            if !found.iter().any(|table| table.name == *name) {
                complaints.push(format!("`{name}` is classified and not there"));
            }
        }
        let mut tables = Vec::new();
        for found in found {
            match self.fates.get(&found.name) {
                None => complaints.push(format!(
                    "`{}` is not classified: does it travel, stay, or belong to no tenant?",
                    found.name
                )),
                Some(fate) => {
                    complaints.extend(contradictions(&found, *fate));
                    tables.push(Table::new(found, *fate));
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

/// Tables whose rows are a tenant's without a `tenant_id`: the tenant itself, and its members.
fn is_special(name: &str) -> bool {
    matches!(name, "mt.tenants" | "mt.users")
}

/// Where the catalogue says something else.
fn contradictions(found: &Found, fate: Fate) -> Vec<String> {
    let Found { name, columns, types, .. } = found;
    let mut complaints = Vec::new();
    match fate {
        Fate::OfNoTenant(_) => {
            if found.has_tenant {
                complaints
                    .push(format!("`{name}` is said to be of no tenant and has a `tenant_id`"));
            }
            return complaints;
        }
        Fate::Stays(_) | Fate::Travels if is_special(name) => {}
        Fate::Stays(_) | Fate::Travels => {
            if !found.has_tenant {
                complaints
                    .push(format!("`{name}` is said to be a tenant's and has no `tenant_id`"));
            } else if !found.goes_with_tenant {
                complaints.push(format!(
                    "`{name}` would outlive its tenant: `tenant_id` needs a foreign key to mt.tenants \
                     that says `on delete cascade`"
                ));
            }
        }
    }
    if fate == Fate::Travels {
        if !found.app_reads {
            complaints.push(format!("`{name}` travels and cannot be read by a tenant"));
        }
        if found.key.is_empty() {
            complaints.push(format!("`{name}` travels and has no primary key, so no order"));
        }
        for (column, kind) in columns.iter().zip(types) {
            if !TYPES.contains(&kind.as_str()) {
                complaints
                    .push(format!("`{name}.{column}` is `{kind}`, which is not known to travel"));
            }
        }
    }
    complaints
}

/// The tenant and its members come first: what anything else is to say of them is known then, whether or
/// not a foreign key says that it does. And what refers comes after what it refers to.
fn in_order(mut tables: Vec<Table>) -> Vec<Table> {
    tables.sort_by_key(|table| !is_special(&table.name));
    let mut ordered: Vec<Table> = Vec::with_capacity(tables.len());
    while !tables.is_empty() {
        let ready = |table: &Table| {
            !table.refers_to.iter().any(|other| tables.iter().any(|left| left.name == *other))
        };
        // A circle of references cannot be put in order: it is taken as it comes, and the import will say
        // which key does not hold.
        let next = tables.iter().position(ready).unwrap_or(0);
        ordered.push(tables.remove(next));
    }
    ordered
}

/// The tables of a database, each with what becomes of it. Made by [`Inventory::take`].
#[derive(Clone, Debug)]
pub struct Contents {
    tables: Vec<Table>,
    versions: Vec<(String, i64)>,
}

impl Contents {
    /// Those whose rows are read out, in an order in which they can be made again.
    pub fn travelling(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| table.fate == Fate::Travels)
    }

    /// Those whose rows are a tenant's by their `tenant_id`.
    pub fn of_tenants(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| table.has_tenant)
    }

    /// A table by its name, with its schema.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The version of each schema.
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
    pub(super) fate: Fate,
    pub(super) has_tenant: bool,
    pub(super) app_reads: bool,
    /// Those that travel.
    pub(super) columns: Vec<Column>,
    pub(super) key: Vec<String>,
    refers_to: Vec<String>,
}

/// A column of a table that travels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
    /// Whether there is no row without it: it may not be null, and has no default.
    pub(super) is_needed: bool,
}

impl Table {
    fn new(found: Found, fate: Fate) -> Self {
        let Found { name, quoted, has_tenant, app_reads, columns, types, needed, key, .. } = found;
        let refers_to = found.refers_to;
        let columns = columns.into_iter().zip(types).zip(needed);
        let columns = columns.filter(|((column, _), _)| travels(&name, column));
        let columns = columns.map(|((column, kind), needed)| Column {
            name: column,
            kind,
            is_needed: needed || is_special(&name),
        });
        let columns = columns.collect();
        Self { name, quoted, fate, has_tenant, app_reads, columns, key, refers_to }
    }

    /// Its name, with its schema.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What becomes of it.
    #[must_use]
    pub const fn fate(&self) -> Fate {
        self.fate
    }

    /// The columns that travel.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }
}

/// Whether a column travels with its row. Of the tenant that is what it is called, and not what it has
/// paid for; of users, what every fellow member sees.
fn travels(table: &str, column: &str) -> bool {
    match table {
        "mt.tenants" => matches!(column, "id" | "name" | "created_at"),
        "mt.users" => matches!(column, "id" | "email"),
        _ => column != "tenant_id" && !WITHHELD.contains(&(table, column)),
    }
}

/// Why the tables are not as the inventory says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// Postgres did not play along.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// What does not fit, one line each.
    #[error("the tables are not as the inventory says: {}", .0.join("; "))]
    Unfit(Vec<String>),
}
