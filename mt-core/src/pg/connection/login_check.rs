//! Checks the login of a connection: it must not bypass policies and must be a member of its roles.

use sqlx::FromRow;

use super::roles::{APP_ROLE, AUTHORITY_ROLE, SYSTEM_ROLE};
use crate::pg::transaction::open_tx::{End, OpenTx};
use crate::pg::{ConnectError, PgError};

/// The purpose of a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pg) enum Use {
    /// All transactions.
    Everything,
    /// Transactions of tenants and principals.
    Tenants,
    /// Transactions across tenants.
    System,
}

impl Use {
    /// Returns the roles that it must be able to set.
    const fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Everything => &[APP_ROLE, SYSTEM_ROLE, AUTHORITY_ROLE],
            Self::Tenants => &[APP_ROLE, AUTHORITY_ROLE],
            Self::System => &[APP_ROLE, SYSTEM_ROLE],
        }
    }
}

/// The facts of the catalogue about the session's login and the library's roles.
#[derive(Debug, FromRow)]
struct Facts {
    login: String,
    /// Whether it is a superuser, has `BYPASSRLS` or owns the library's tables.
    skips: bool,
    /// Whether it inherits `mt_system`.
    inherits: bool,
    /// The roles that exist.
    roles: Vec<String>,
    /// The roles that it may set.
    member_of: Vec<String>,
    /// A role among them that bypasses policies.
    bypassing: Option<String>,
}

const FACTS: &str = "
select session_user::text as login,
    r.rolsuper or r.rolbypassrls or exists (
        select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'mt' and c.relkind in ('r', 'p')
            and pg_has_role(r.oid, c.relowner, 'member')) as skips,
    exists (select 1 from pg_roles s
        where s.rolname = 'mt_system' and pg_has_role(r.oid, s.oid, 'usage')) as inherits,
    array(select o.rolname::text from pg_roles o where o.rolname = any ($1)) as roles,
    array(select o.rolname::text from pg_roles o
        where o.rolname = any ($1) and pg_has_role(r.oid, o.oid, 'member')) as member_of,
    (select o.rolname::text from pg_roles o
        where o.rolname = any ($1) and (o.rolsuper or o.rolbypassrls)
        order by o.rolname limit 1) as bypassing
from pg_roles r where r.rolname = session_user";

/// Checks that row-level security applies to the login of `tx`. Logs a warning if the login bypasses it and
/// `allow_privileged` is set.
pub(in crate::pg) async fn check(
    mut tx: OpenTx,
    used_for: Use,
    allow_privileged: bool,
) -> Result<(), ConnectError> {
    let roles = vec![APP_ROLE, SYSTEM_ROLE, AUTHORITY_ROLE];
    let facts: Facts = sqlx::query_as(FACTS).bind(roles).fetch_one(tx.conn()).await?;
    tx.end(End::Commit).await.map_err(PgError::into_driver_error)?;
    if facts.skips && allow_privileged {
        tracing::warn!(
            login = facts.login,
            "login role skips row-level security; only `set local role` stands in between"
        );
    }
    decide(facts, used_for, allow_privileged)
}

fn decide(facts: Facts, used_for: Use, allow_privileged: bool) -> Result<(), ConnectError> {
    let Facts { login, skips, inherits, roles, member_of, bypassing } = facts;
    for role in used_for.roles() {
        if !roles.iter().any(|there| there == role) {
            return Err(ConnectError::RoleMissing { role });
        }
        if !member_of.iter().any(|member| member == role) {
            return Err(ConnectError::NotAMember { login, role });
        }
    }
    if let Some(role) = bypassing {
        return Err(ConnectError::BypassesRls { role });
    }
    if skips {
        return if allow_privileged {
            Ok(())
        } else {
            Err(ConnectError::PrivilegedLogin { login })
        };
    }
    if inherits && !allow_privileged {
        return Err(ConnectError::Inherits { login });
    }
    if used_for == Use::Tenants && member_of.iter().any(|role| role == SYSTEM_ROLE) {
        return Err(ConnectError::ReachesSystem { login });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(member_of: &[&str]) -> Facts {
        let texts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Facts {
            login: "server".to_owned(),
            skips: false,
            inherits: false,
            roles: texts(&[APP_ROLE, SYSTEM_ROLE, AUTHORITY_ROLE]),
            member_of: texts(member_of),
            bypassing: None,
        }
    }

    #[test]
    fn each_login_has_the_roles_of_its_use_and_tenants_lack_mt_system() {
        let all = [APP_ROLE, SYSTEM_ROLE, AUTHORITY_ROLE];
        let (tenants, system) = ([APP_ROLE, AUTHORITY_ROLE], [APP_ROLE, SYSTEM_ROLE]);
        let refused = |member_of: &[&str], used_for| {
            decide(facts(member_of), used_for, false).err().map(|error| error.to_string())
        };
        assert_eq!(refused(&all, Use::Everything), None);
        assert_eq!(refused(&tenants, Use::Tenants), None);
        assert_eq!(refused(&system, Use::System), None);
        assert_eq!(refused(&all, Use::System), None);
        assert!(refused(&all, Use::Tenants).unwrap().contains("may become `mt_system`"));
        assert!(refused(&tenants, Use::System).unwrap().contains("not a member of `mt_system`"));
        assert!(refused(&tenants, Use::Everything).unwrap().contains("`mt_system`"));
    }

    #[test]
    fn a_privileged_login_is_refused_unless_it_is_allowed() {
        let privileged = || Facts {
            skips: true,
            inherits: true,
            ..facts(&[APP_ROLE, SYSTEM_ROLE, AUTHORITY_ROLE])
        };
        assert!(decide(privileged(), Use::Everything, false).is_err());
        assert!(decide(privileged(), Use::Tenants, true).is_ok());
        let inherits = Facts { skips: false, ..privileged() };
        assert!(matches!(
            decide(inherits, Use::Everything, false),
            Err(ConnectError::Inherits { .. })
        ));
    }
}
