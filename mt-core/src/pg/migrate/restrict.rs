//! Who may connect to a database, and make temporary tables in it.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

/// Takes from `public` what Postgres gives it on a new database.
///
/// The roles of transactions belong to the cluster. So the login of another service in it may become them here as
/// well, and would read every tenant: it may not connect. That is revoked only where `logins` are told, for then it is
/// known who is to keep it: they, and the one who asks. Temporary tables outlive a transaction, and with it the
/// tenant.
///
/// Only the owner of a database may do this. For others nothing happens, and the audit says which statements to run.
pub(in crate::pg) async fn restrict(
    conn: &mut PgConnection,
    logins: &[&str],
) -> Result<(), sqlx::Error> {
    let (name, asker, is_owner, temporary, connect): (String, String, bool, bool, bool) =
        sqlx::query_as(
            "select d.datname::text, session_user::text, pg_has_role(current_user, d.datdba, 'usage'), \
                 has_database_privilege('public', d.oid, 'temporary'), \
                 has_database_privilege('public', d.oid, 'connect') \
             from pg_database d where d.datname = current_database()",
        )
        .fetch_one(&mut *conn)
        .await?;
    if !is_owner {
        return Ok(());
    }
    let name = quoted(&name);
    let mut statements = Vec::new();
    if temporary {
        statements.push(format!("revoke temporary on database {name} from public"));
    }
    if !logins.is_empty() {
        // Before it is revoked, so that a connection is refused to none of them in between.
        let keep: Vec<String> = [&*asker].iter().chain(logins).map(|login| quoted(login)).collect();
        statements.push(format!("grant connect on database {name} to {}", keep.join(", ")));
        if connect {
            statements.push(format!("revoke connect on database {name} from public"));
        }
    }
    for statement in statements {
        conn.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

/// `name` as a quoted identifier.
pub(in crate::pg) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
