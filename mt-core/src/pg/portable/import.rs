//! A tenant made again, from the rows of another.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use sqlx::types::Json;
use uuid::Uuid;

use super::super::audit_log::{Actor, TENANT_IMPORTED};
use super::super::{PgError, SystemPool, SystemReason, SystemTx, User};
use super::inventory::Column;
use super::renaming::Renaming;
use super::snapshot::quoted;
use super::{Manifest, Table, TableManifest};
use crate::email::EmailAddress;
use crate::id::TenantId;
use crate::roster::Roster;
use crate::word::Word as _;

/// A new tenant, whose rows are being written. Nothing of it is there before [`commit`](Self::commit).
#[derive(Debug)]
pub struct Import<M> {
    tx: SystemTx,
    renaming: Renaming,
    from: Uuid,
    tenant: TenantId,
    name: Option<String>,
    /// Of each table, as the manifest has them.
    columns: BTreeMap<String, BTreeSet<String>>,
    rows: u64,
    owners: u64,
    model: PhantomData<fn() -> M>,
}

/// What was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Imported {
    /// The new tenant.
    pub tenant: TenantId,
    /// How many rows.
    pub rows: u64,
}

impl SystemPool {
    /// Begins to make the tenant of `manifest` again, in one transaction; under another name, if one is
    /// given. The manifest [fits](Manifest::fits).
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn import<M: Roster>(
        &self,
        reason: SystemReason,
        actor: Actor,
        manifest: &Manifest,
        name: Option<String>,
    ) -> Result<Import<M>, PgError> {
        let mut tx = self.begin(reason).await?;
        tx.act_as(actor);
        let tenant = TenantId::generate();
        let renaming = Renaming::new(manifest.tenant, tenant);
        let columns_of =
            |table: &TableManifest| (table.name.clone(), table.columns.iter().cloned().collect());
        let columns = manifest.tables.iter().map(columns_of).collect();
        let (from, model) = (manifest.tenant, PhantomData);
        Ok(Import { tx, renaming, from, tenant, name, columns, rows: 0, owners: 0, model })
    }
}

impl<M: Roster> Import<M> {
    /// Writes some rows of `table`. Tables come in the order of
    /// [`Contents::travelling`](super::Contents::travelling).
    ///
    /// # Errors
    ///
    /// [`ImportError`]. Go no further after one: drop the import.
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
            "mt.memberships" => self.check_roles(table, &objects)?,
            "mt.invites" => check_addresses(table, &mut objects)?,
            _ => {}
        }
        for row in &mut objects {
            for Column { name, kind, .. } in &table.columns {
                if matches!(kind.as_str(), "uuid" | "uuid[]" | "jsonb")
                    && let Some(value) = row.get_mut(name)
                {
                    self.renaming.rename(value);
                }
            }
        }
        self.insert(table, objects).await
    }

    /// The tenant itself: what it is called, and since when. Nobody pays for it yet.
    async fn tenants(
        &mut self,
        table: &Table,
        rows: Vec<Map<String, Value>>,
    ) -> Result<(), ImportError> {
        for row in rows {
            let id = row.get("id").and_then(Value::as_str).and_then(TenantId::parse);
            if id.map(|id| self.renaming.of(id.as_uuid())) != Some(self.tenant.as_uuid()) {
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

    /// Members are whoever reads their address, here as there.
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
            self.renaming.know(old, user.id.as_uuid());
        }
        Ok(())
    }

    /// Roles are words of the model, and who is an owner follows from them.
    fn check_roles(
        &mut self,
        table: &Table,
        rows: &[Map<String, Value>],
    ) -> Result<(), ImportError> {
        for row in rows {
            let role = row.get("role").and_then(Value::as_str).map(M::Role::parse);
            let Some(Ok(role)) = role else {
                return Err(refused(table, "a row has a role that is not known here"));
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
        // The library's tables are written by the role that crosses tenants, for the tenant's own may not;
        // the application's by the tenant's own, which row-level security binds.
        let is_librarys = table.name().starts_with("mt.");
        if !is_librarys {
            self.tx.go_on_in(Some(self.tenant)).await?;
        }
        // What the archive does not have yet is what it is by default.
        let theirs = self.columns.get(table.name());
        let is_theirs = |column: &&str| theirs.is_some_and(|theirs| theirs.contains(*column));
        let columns: Vec<_> = table.columns().filter(is_theirs).map(quoted).collect();
        let columns = columns.join(", ");
        // An invite is as it was, but nobody holds its token: it has to be sent again.
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

    /// Makes it all permanent.
    ///
    /// # Errors
    ///
    /// [`ImportError`]; nothing is there then.
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

/// The address in `row`. Archives may be older than the check, or made elsewhere.
fn address(table: &Table, row: &Map<String, Value>) -> Result<EmailAddress, ImportError> {
    let email = row.get("email").and_then(Value::as_str).unwrap_or_default();
    EmailAddress::parse(email)
        .map_err(|error| refused(table, &format!("an e-mail address {error}")))
}

/// Brings the addresses of invites into their canonical form, as those of users are.
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

/// What Postgres does not take is a row that is wrong, unless it is Postgres that is away.
fn refused_by(table: &Table, error: sqlx::Error) -> ImportError {
    match PgError::from(error) {
        PgError::Database(error) => match error.as_database_error() {
            // Its message names the constraint or the type; values are in its detail.
            Some(said) => refused(table, said.message()),
            None => ImportError::Pg(PgError::Database(error)),
        },
        other => ImportError::Pg(other),
    }
}

/// Why a tenant was not made again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Nobody would be its owner.
    #[error("the archive has no owner among its members")]
    NoOwner,
    /// Postgres did not play along.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// A row is not as it should be.
    #[error("rows of `{table}` were refused: {why}")]
    Row {
        /// Whose.
        table: String,
        /// Why.
        why: String,
    },
}
