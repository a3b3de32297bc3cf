//! The database roles, and which logins may become them.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::migration::ServerLogin;
use super::restrict::quoted;
use crate::pg::connection::roles::{APP_ROLE, AUTHORITY_ROLE, SYSTEM_ROLE};

/// Returns whether another session changed the same row of the catalogue at the same time: Postgres reports `tuple
/// concurrently updated` as an internal error, and a row that both insert as a duplicate.
pub(super) fn is_concurrent_change(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("XX000" | "23505"))
}

/// Creates the four roles. Roles belong to the cluster, so the migration of another database may create them at the
/// same time.
///
/// Since Postgres 16 the creator of a role is a member of it but may not set it (`createrole_self_grant`). The check
/// is therefore `set`, a keyword that Postgres 15 does not have.
pub(super) const ROLES: &str = "
do $$
declare wanted text;
begin
    foreach wanted in array array['mt_owner', 'mt_app', 'mt_system', 'mt_authority'] loop
        if not exists (select 1 from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin nosuperuser nobypassrls nocreatedb nocreaterole', wanted);
            exception when duplicate_object or unique_violation then null;
            end;
        end if;
    end loop;
    if not pg_has_role(current_user, 'mt_owner',
        case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end)
    then
        execute format('grant mt_owner to %I', current_user);
    end if;
end $$";

/// Grants `roles` to the login, and revokes the library's other roles from it.
pub(super) async fn grant_roles(
    conn: &mut PgConnection,
    login: ServerLogin<'_>,
    roles: &[&str],
) -> Result<(), sqlx::Error> {
    if let ServerLogin::Create(name) = login {
        let exists: bool =
            sqlx::query_scalar("select exists (select 1 from pg_roles where rolname = $1)")
                .bind(name)
                .fetch_one(&mut *conn)
                .await?;
        if !exists {
            conn.execute(AssertSqlSafe(format!("create role {} login", quoted(name)))).await?;
        }
    }
    let name = login.name();
    // The login may set these roles but must not inherit them: the policies of `mt_system` would apply to its queries
    // outside of transactions. Since Postgres 16 that is an option of the grant, before of the role.
    let (superuser, version): (bool, i32) = sqlx::query_as(
        "select rolsuper, current_setting('server_version_num')::int \
         from pg_roles where rolname = $1",
    )
    .bind(name)
    .fetch_one(&mut *conn)
    .await?;
    let revoked: Vec<String> = sqlx::query_scalar(
        "select o.rolname::text from pg_auth_members m join pg_roles o on o.oid = m.roleid \
         join pg_roles r on r.oid = m.member \
         where r.rolname = $1 and o.rolname = any ($2) and o.rolname <> all ($3)",
    )
    .bind(name)
    .bind([APP_ROLE, SYSTEM_ROLE, AUTHORITY_ROLE])
    .bind(roles)
    .fetch_all(&mut *conn)
    .await?;
    let name = quoted(name);
    if !revoked.is_empty() {
        conn.execute(AssertSqlSafe(format!("revoke {} from {name}", revoked.join(", ")))).await?;
    }
    let grant = format!("grant {} to {name}", roles.join(", "));
    let sql = match (superuser, version) {
        (true, _) => grant,
        (false, ..160_000) => format!("{grant}; alter role {name} noinherit"),
        (false, _) => format!("{grant} with inherit false, set true"),
    };
    conn.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}
