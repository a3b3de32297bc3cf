//! Migrations as a script, for a database that a program may not change.

use std::fmt::Write as _;

use super::database_roles::ROLES;
use super::migration::{Migration, OWNER_ROLE, title};
use super::restrict::quoted;
use crate::pg::connection::roles::{APP_ROLE, SYSTEM_ROLE};

impl Migration<'_> {
    /// Returns what [`run`](Self::run) would do as a script for `psql`, for a database that its administrators change by
    /// hand. It creates roles and schemas, applies the migrations that `pending` names, and records them, so that servers
    /// find the schema up to date. Logins have to exist.
    ///
    /// [`pending`](Self::pending) returns the names.
    ///
    /// ```no_run
    /// # use mt_core::pg::{MigrateError, Migration, ServerLogin};
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let migration = Migration::library().for_login(ServerLogin::Existing("shop_server"));
    /// let pending = migration.pending(&"postgres://dba@localhost/shop".parse()?).await?;
    /// print!("{}", migration.script(&pending));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn script(&self, pending: &[String]) -> String {
        let mut script = self.roles_script();
        script.push_str(&self.restriction());
        for (schema, migrator) in self.schemas() {
            let name = quoted(schema);
            _ = writeln!(
                script,
                "\n-- Schema {schema}\n\
                 create schema if not exists {name} authorization {OWNER_ROLE};\n\
                 set role {OWNER_ROLE};\n\
                 create table if not exists {name}.schema_migrations (version bigint primary key, \
                     description text not null, installed_on timestamptz not null default now(), \
                     success boolean not null, checksum bytea not null, execution_time bigint not null);"
            );
            for migration in migrator.iter() {
                let title = title(schema, migration);
                if !pending.contains(&title) {
                    continue;
                }
                let record = format!(
                    "insert into {name}.schema_migrations \
                         (version, description, success, checksum, execution_time) \
                     values ({}, {}, true, '\\x{}', -1);",
                    migration.version,
                    literal(&migration.description),
                    hex::encode(&*migration.checksum)
                );
                let (begin, commit) =
                    if migration.no_tx { ("", "") } else { ("begin;\n", "commit;\n") };
                _ = write!(
                    script,
                    "\n-- {title}\n{begin}{}\n;\n{record}\n{commit}",
                    migration.sql.as_str()
                );
            }
            _ = writeln!(
                script,
                "grant usage on schema {name} to {APP_ROLE}, {SYSTEM_ROLE};\n\
                 grant select on {name}.schema_migrations to {APP_ROLE}, {SYSTEM_ROLE};\n\
                 reset role;"
            );
        }
        script
    }

    /// Returns the part of [`script`](Self::script) that creates the database roles and lets the logins become them.
    #[must_use]
    pub fn roles_script(&self) -> String {
        let mut script = format!("\\set ON_ERROR_STOP on\n{ROLES};\n");
        for (login, roles) in self.logins() {
            script.push_str(&grants(login.name(), roles));
        }
        script
    }

    /// What `public` loses: see `restrict`.
    fn restriction(&self) -> String {
        let mut statements = String::from(
            "execute format('revoke temporary on database %I from public', current_database());",
        );
        let logins = self.logins();
        if !logins.is_empty() {
            for (login, _) in &logins {
                _ = write!(
                    statements,
                    " execute format('grant connect on database %I to %I', current_database(), {});",
                    literal(login.name())
                );
            }
            statements.push_str(
                " execute format('grant connect on database %I to %I', current_database(), session_user); \
                 execute format('revoke connect on database %I from public', current_database());",
            );
        }
        format!(
            "do $$ begin\n\
             if (select pg_has_role(current_user, datdba, 'usage') from pg_database where datname = current_database()) \
             then {statements} end if;\n\
             end $$;\n"
        )
    }
}

/// Lets a login become the roles without inheriting them: an option of the grant since Postgres 16, of the login before.
fn grants(login: &str, roles: &[&str]) -> String {
    let (login, roles) = (literal(login), roles.join(", "));
    format!(
        "do $$ begin\n\
         if current_setting('server_version_num')::int >= 160000 then\n\
         execute format('grant {roles} to %I with inherit false, set true', {login});\n\
         else\n\
         execute format('grant {roles} to %I', {login});\n\
         execute format('alter role %I noinherit', {login});\n\
         end if;\n\
         end $$;\n"
    )
}

/// A text as a literal. Backslashes mean themselves (`standard_conforming_strings`).
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
