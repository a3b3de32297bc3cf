//! Creates a tenant from the exported rows of another.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use sqlx::types::Json;
use uuid::Uuid;

use super::id_map::IdMap;
use super::inventory::Column;
use super::snapshot::quoted;
use super::{Manifest, Table, TableManifest};
use crate::email::EmailAddress;
use crate::id::TenantId;
use crate::member_policy::MemberPolicy;
use crate::pg::audit_log::{Actor, TENANT_IMPORTED};
use crate::pg::{PgError, System, SystemReason, SystemTx, User};
use crate::text_enum::TextEnum as _;

/// A new tenant whose rows are being written. [`commit`](Self::commit) makes it visible.
#[derive(Debug)]
pub struct Import<M> {
    tx: SystemTx,
    ids: IdMap,
    from: Uuid,
    tenant: TenantId,
    name: Option<String>,
    /// The columns of each table in the manifest.
    columns: BTreeMap<String, BTreeSet<String>>,
    rows: u64,
    owners: u64,
    model: PhantomData<fn() -> M>,
}

/// The result of an import.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Imported {
    /// The new tenant.
    pub tenant: TenantId,
    /// The number of rows.
    pub rows: u64,
}

impl System {
    /// Starts to create the tenant of `manifest` in one transaction, under another name if given. Check the manifest
    /// with [`Manifest::fits`] first.
    ///
    /// # Errors
    ///
    /// [`PgError`] when the transaction cannot be opened.
    pub async fn import<M: MemberPolicy>(
        &self,
        reason: SystemReason,
        actor: Actor,
        manifest: &Manifest,
        name: Option<String>,
    ) -> Result<Import<M>, PgError> {
        let mut tx = self.begin(reason).await?;
        tx.act_as(actor);
        let tenant = TenantId::generate();
        let ids = IdMap::new(manifest.tenant, tenant);
        let columns_of =
            |table: &TableManifest| (table.name.clone(), table.columns.iter().cloned().collect());
        let columns = manifest.tables.iter().map(columns_of).collect();
        let (from, model) = (manifest.tenant, PhantomData);
        Ok(Import { tx, ids, from, tenant, name, columns, rows: 0, owners: 0, model })
    }
}

impl<M: MemberPolicy> Import<M> {
    /// Writes rows of `table`. Tables must come in the order of [`Contents::exported`](super::Contents::exported).
    ///
    /// # Errors
    ///
    /// [`ImportError`] when a row is refused. Drop the import then.
    pub async fn rows(&mut self, table: &Table, rows: Vec<Value>) -> Result<(), ImportError> {
        self.rows += u64::try_from(rows.len()).unwrap_or_default();
        let columns = self.columns.get(table.name());
        let mut objects = Vec::with_capacity(rows.len());
        let is_whole = |row: &Map<String, Value>| {
            let all = |columns: &BTreeSet<String>| row.keys().all(|name| columns.contains(name));
            columns.is_some_and(|columns| row.len() == columns.len() && all(columns))
        };
        for row in rows {
            match row {
                Value::Object(row) if is_whole(&row) => objects.push(row),
                _ => return Err(refused(table, "a row does not have the columns of the manifest")),
            }
        }
        match table.name() {
            "mt.tenants" => return self.tenants(table, objects).await,
            "mt.users" => return self.users(table, objects).await,
            "mt.roles" => check_custom_roles::<M>(table, &objects)?,
            "mt.memberships" => self.check_roles(table, &objects)?,
            "mt.invites" => check_addresses(table, &mut objects)?,
            _ => {}
        }
        for row in &mut objects {
            for Column { name, kind, .. } in &table.columns {
                if matches!(kind.as_str(), "uuid" | "uuid[]" | "jsonb")
                    && let Some(value) = row.get_mut(name)
                {
                    self.ids.rename(value);
                }
            }
        }
        self.insert(table, objects).await
    }

    /// Writes the tenant: its name and its creation time. Its subscription is not imported.
    async fn tenants(
        &mut self,
        table: &Table,
        rows: Vec<Map<String, Value>>,
    ) -> Result<(), ImportError> {
        for row in rows {
            let id = row.get("id").and_then(Value::as_str).and_then(TenantId::parse);
            if id.map(|id| self.ids.of(id.as_uuid())) != Some(self.tenant.as_uuid()) {
                return Err(refused(table, "a row is not the manifest's tenant"));
            }
            let name = self.name.clone().map(Value::String);
            sqlx::query(
                "insert into mt.tenants (id, name, created_at) \
                 select $1, name, created_at from jsonb_to_record($2) \
                     as r (name text, created_at timestamptz)",
            )
            .bind(self.tenant.as_uuid())
            .bind(Json(serde_json::json!({
                "name": name.as_ref().or_else(|| row.get("name")),
                "created_at": row.get("created_at"),
            })))
            .execute(self.tx.conn())
            .await
            .map_err(|error| refused_by(table, error))?;
        }
        Ok(())
    }

    /// Finds or creates the members' users by email address.
    async fn users(
        &mut self,
        table: &Table,
        rows: Vec<Map<String, Value>>,
    ) -> Result<(), ImportError> {
        for row in rows {
            let text = |column| row.get(column).and_then(Value::as_str);
            let old = text("id").and_then(|id| Uuid::try_parse(id).ok());
            let old = old.ok_or_else(|| refused(table, "a row has no id"))?;
            let email = address(table, &row)?;
            let user = User::find_or_create(&mut self.tx, &email).await?;
            self.ids.insert(old, user.id.as_uuid());
        }
        Ok(())
    }

    /// Checks that roles exist in the model, and that owners have the role of an owner.
    fn check_roles(
        &mut self,
        table: &Table,
        rows: &[Map<String, Value>],
    ) -> Result<(), ImportError> {
        for row in rows {
            let role = row.get("role").and_then(Value::as_str).map(M::Role::parse);
            let Some(Ok(role)) = role else {
                return Err(refused(table, "a row has a role that does not exist here"));
            };
            let is_owner = role == M::OWNER;
            if row.get("is_owner").and_then(Value::as_bool) != Some(is_owner) {
                return Err(refused(table, "a row does not say who is an owner"));
            }
            self.owners += u64::from(is_owner);
        }
        Ok(())
    }

    async fn insert(
        &mut self,
        table: &Table,
        rows: Vec<Map<String, Value>>,
    ) -> Result<(), ImportError> {
        // The role across tenants writes the library's tables, because the tenant's role may not; the tenant's role
        // writes the application's tables, under row-level security.
        let is_librarys = table.name().starts_with("mt.");
        if !is_librarys {
            self.tx.go_on_in(Some(self.tenant)).await?;
        }
        // Columns that the archive lacks get their default.
        let theirs = self.columns.get(table.name());
        let is_theirs = |column: &&str| theirs.is_some_and(|theirs| theirs.contains(*column));
        let columns: Vec<_> = table.columns().filter(is_theirs).map(quoted).collect();
        let columns = columns.join(", ");
        // An invite is imported without a token, so it must be sent again.
        let (extra, value) = match table.name() {
            "mt.invites" => (
                ", token_hash",
                ", decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')",
            ),
            _ => ("", ""),
        };
        let sql = format!(
            "insert into {quoted} (tenant_id, {columns}{extra}) \
             select $1, {columns}{value} from jsonb_populate_recordset(null::{quoted}, $2)",
            quoted = table.quoted
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(self.tenant.as_uuid())
            .bind(Json(rows))
            .execute(self.tx.conn())
            .await
            .map_err(|error| refused_by(table, error))?;
        if !is_librarys {
            self.tx.go_on_in(None).await?;
        }
        Ok(())
    }

    /// Commits the import.
    ///
    /// # Errors
    ///
    /// [`ImportError`] when the tenant has no owner or the commit fails. Nothing is created then.
    pub async fn commit(mut self) -> Result<Imported, ImportError> {
        if self.owners == 0 {
            return Err(ImportError::NoOwner);
        }
        let entry = TENANT_IMPORTED.on(self.tenant.as_uuid());
        let entry = entry.with("from", self.from).with("rows", self.rows);
        self.tx.record(self.tenant, entry);
        self.tx.commit().await?;
        Ok(Imported { tenant: self.tenant, rows: self.rows })
    }
}

/// Checks that custom roles name permissions of the model, and are based on a role of it that is not the owners'.
fn check_custom_roles<M: MemberPolicy>(
    table: &Table,
    rows: &[Map<String, Value>],
) -> Result<(), ImportError> {
    for row in rows {
        let based_on = row.get("based_on").and_then(Value::as_str).map(M::Role::parse);
        if !matches!(based_on, Some(Ok(role)) if role != M::OWNER) {
            return Err(refused(table, "a row is based on a role that does not exist here"));
        }
        let permissions = row.get("permissions").and_then(Value::as_array);
        let is_known =
            |word: &Value| word.as_str().is_some_and(|word| M::Permission::parse(word).is_ok());
        if !permissions.is_some_and(|permissions| permissions.iter().all(is_known)) {
            return Err(refused(table, "a row has a permission that does not exist here"));
        }
    }
    Ok(())
}

/// Returns the address in `row`. Archives may be older than the validation, or made by other software.
fn address(table: &Table, row: &Map<String, Value>) -> Result<EmailAddress, ImportError> {
    let email = row.get("email").and_then(Value::as_str).unwrap_or_default();
    EmailAddress::parse(email)
        .map_err(|error| refused(table, &format!("an e-mail address {error}")))
}

/// Converts the addresses of invites into their canonical form, like those of users.
fn check_addresses(table: &Table, rows: &mut [Map<String, Value>]) -> Result<(), ImportError> {
    for row in rows {
        let email = address(table, row)?;
        row.insert("email".to_owned(), Value::String(email.as_str().to_owned()));
    }
    Ok(())
}

fn refused(table: &Table, why: &str) -> ImportError {
    ImportError::Row { table: table.name().to_owned(), why: why.to_owned() }
}

/// Converts a database error: the row is invalid, unless the database is down.
fn refused_by(table: &Table, error: sqlx::Error) -> ImportError {
    match PgError::from(error) {
        PgError::Database(error) => match error.as_database_error() {
            // The message names the constraint or the type; values are in the detail only.
            Some(said) => refused(table, said.message()),
            None => ImportError::Pg(PgError::Database(error)),
        },
        other => ImportError::Pg(other),
    }
}

/// The error when a tenant could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// No member is an owner.
    #[error("the archive has no owner among its members")]
    NoOwner,
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// A row is invalid.
    #[error("rows of `{table}` were refused: {why}")]
    Row {
        /// The table.
        table: String,
        /// The reason.
        why: String,
    },
}
