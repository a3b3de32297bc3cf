//! Tamperings: each is named by the audit, and does damage to two living tenants.

mod definers;
mod library;
mod logins;
mod policies;
mod privileges;
mod tables;

use mt_core::id::TenantId;
use mt_core::pg::Database;
use mt_core::pg::audit::Rule;
use mt_core::testing::isolation::check_tables;
use mt_core::text_enum::TextEnum as _;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::{audit, report, two_tenants};
use crate::support::World;

/// How damage shows to the tenants themselves.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A table shows or takes what it should not, or hides what it should not.
    Tables,
    /// A count by B finds something.
    Finds(&'static str),
    /// After a statement of the superuser's, a count by B finds something.
    FindsLater(&'static str, &'static str),
    /// After a transaction of A's on the same connection, a count by B finds something.
    FindsAfterA(&'static str, &'static str),
    /// After a statement of B's that sets A as the tenant, a count by B finds something.
    FindsInjected(&'static str),
    /// A statement of B's succeeds.
    Succeeds(&'static str),
    /// A statement of B's fails with this code.
    Fails(&'static str, &'static str),
    /// A count by the tables' owner finds something.
    OwnerFinds(&'static str),
    /// A count by the role that sees all tenants, in B's transaction, finds something of A's.
    SystemFinds(&'static str),
    /// A count by the bare login finds something, after this statement.
    LoginFinds(&'static str, &'static str),
    /// A statement of the bare login's succeeds.
    LoginSucceeds(&'static str),
}

impl Damage {
    async fn shows(self, world: &World, [a, b]: [TenantId; 2]) -> bool {
        let found = match self {
            Self::Tables => return !check_tables(&world.db, a, b).await.all().is_empty(),
            Self::Succeeds(sql) => return run(world, b, sql).await.is_ok(),
            Self::Fails(sql, expected) => {
                let error = run(world, b, sql).await.map_err(|error| code(&error));
                return error == Err(Some(expected.to_owned()));
            }
            Self::LoginSucceeds(sql) => {
                return counted_by_login(world, sql, "select 1").await.is_ok();
            }
            Self::Finds(sql) => count(world, "mt_app", b, "", sql).await,
            Self::FindsInjected(sql) => {
                let inject = format!("select set_config('mt.tenant_id', '{a}', true)");
                count(world, "mt_app", b, &inject, sql).await
            }
            Self::FindsLater(later, sql) => {
                let begin = format!("begin; {later}");
                counted(world, &[&begin, &opened("mt_app", b)], sql).await
            }
            Self::FindsAfterA(before, sql) => {
                let of_a = format!("begin; {}; {before}; commit; begin", opened("mt_app", a));
                counted(world, &[&of_a, &opened("mt_app", b)], sql).await
            }
            Self::OwnerFinds(sql) => count(world, "mt_owner", b, "", sql).await,
            Self::SystemFinds(sql) => count(world, "mt_system", b, "", sql).await,
            Self::LoginFinds(before, sql) => counted_by_login(world, before, sql).await,
        };
        found.is_ok_and(|found| found > 0)
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(Into::into)
}

/// The statement that opens a tenant transaction within a transaction of the superuser.
fn opened(role: &str, tenant: TenantId) -> String {
    format!("call mt.seal('{tenant}', '', ''); set local role {role}")
}

async fn run(world: &World, tenant: TenantId, sql: &str) -> Result<i64, sqlx::Error> {
    count(world, "mt_app", tenant, sql, "select 1::bigint").await
}

async fn count(
    world: &World,
    role: &str,
    tenant: TenantId,
    before: &str,
    sql: &str,
) -> Result<i64, sqlx::Error> {
    counted(world, &["begin", &opened(role, tenant), before], sql).await
}

/// Counts on a connection of the superuser's after some statements, and rolls back.
async fn counted(world: &World, before: &[&str], sql: &str) -> Result<i64, sqlx::Error> {
    let mut conn = world.db.admin().acquire().await?;
    let found = counted_on(&mut conn, before, sql).await;
    conn.execute("rollback").await?;
    found
}

/// The statement that opens a tenant transaction for the server's login, without the library.
async fn counted_by_login(world: &World, before: &str, sql: &str) -> Result<i64, sqlx::Error> {
    let login = world.db.login();
    let name = login.get_username().to_owned();
    let mut conn = PgConnection::connect_with(&login).await?;
    let before = before.replace("{login}", &name);
    let found = counted_on(&mut conn, &["begin", &before], sql).await;
    conn.close().await?;
    found
}

async fn counted_on(
    conn: &mut PgConnection,
    before: &[&str],
    sql: &str,
) -> Result<i64, sqlx::Error> {
    for sql in before {
        conn.execute(AssertSqlSafe((*sql).to_owned())).await?;
    }
    let sql = format!("select ({sql})::bigint");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(conn).await
}

/// What is there before, the tampering, the rule and object that the audit names, and the damage. `{login}` stands
/// for the server's login, `{database}` for the database, `{superuser}` and `{password}` for the superuser's login.
type Tampering = (&'static str, &'static str, Rule, &'static str, Damage);

const OF_A: &str = "select count(*) from public.notes where text = 'canary of a'";

/// Each is named, and nothing else is but what has to come with it; each does damage, and none before.
async fn each_is_named_and_does_damage(tamperings: &[Tampering]) {
    for &(before, tampering, rule, object, damage) in tamperings {
        let world = World::new(1).await;
        let tenants = two_tenants(&world).await;
        let login = world.db.login();
        let (name, database) = (login.get_username(), login.get_database().unwrap());
        let [superuser, password] = superuser();
        let filled = |sql: &str| {
            sql.replace("{login}", name)
                .replace("{database}", database)
                .replace("{superuser}", &superuser)
                .replace("{password}", &password)
        };
        world.db.admin().execute(AssertSqlSafe(filled(before))).await.unwrap();
        let sound = report(&world).await;
        let object = &filled(object);
        assert!(!sound.names(rule, object), "before `{tampering}`: {sound}");
        if !matches!(damage, Damage::Tables) || before.is_empty() {
            assert!(!damage.shows(&world, tenants).await, "before `{tampering}`: {damage:?}");
        }
        world.db.admin().execute(AssertSqlSafe(filled(tampering))).await.unwrap();
        // A session of its own, as a server that starts has.
        let options = world.db.options(1).insecure_allow_privileged_login();
        let database = Database::connect(options).await.unwrap();
        let report = audit().run(&database).await.unwrap();
        assert!(report.names(rule, object), "`{tampering}` is not {}: {report}", rule.as_str());
        for other in report.findings.iter().filter(|finding| !sound.findings.contains(finding)) {
            let is_it = (other.rule, &other.object) == (rule, object);
            assert!(is_it || comes_along(rule, other.rule), "`{tampering}` is also: {other}");
        }
        assert!(damage.shows(&world, tenants).await, "`{tampering}` does no damage: {damage:?}");
        drop_roles(&world, name).await;
    }
}

/// The superuser's name and password on the tests' server.
fn superuser() -> [String; 2] {
    let url = std::env::var("MT_TEST_DATABASE_URL").unwrap();
    let (login, _) = url.split_once("://").unwrap().1.rsplit_once('@').unwrap();
    let (name, password) = login.split_once(':').unwrap_or((login, ""));
    [name.to_owned(), password.to_owned()]
}

/// Roles that tamperings made belong to the cluster.
async fn drop_roles(world: &World, login: &str) {
    let made: Vec<String> = sqlx::query_scalar(
        "select rolname::text from pg_roles where starts_with(rolname, 'extra_' || $1)",
    )
    .bind(login)
    .fetch_all(world.db.admin())
    .await
    .unwrap();
    for role in made {
        let sql = format!("drop owned by {role} cascade; drop role {role}");
        world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    }
}

/// Whether what breaks `rule` here breaks `other` as well.
const fn comes_along(rule: Rule, other: Rule) -> bool {
    match other {
        // What every role may do, a role of transactions may; what the library grants to none is not expected.
        Rule::PrivilegeUnexpected => {
            matches!(
                rule,
                Rule::PrivilegeOfPublic | Rule::PrivilegePastPolicies | Rule::RoleCreates
            )
        }
        // Among every role are those that have no policy.
        Rule::CommandWithoutPolicy => matches!(rule, Rule::PrivilegeOfPublic),
        // A policy for others than the roles of transactions is also read for what it says.
        Rule::PolicyAlwaysTrue | Rule::PolicyIgnoresTenant => {
            matches!(
                rule,
                Rule::PolicyForUnknownRole | Rule::PolicyForEverybody | Rule::TenantNullable
            )
        }
        // An owner has all privileges, and the login may become it.
        Rule::PrivilegePastPolicies | Rule::RoleMayBecome => matches!(rule, Rule::RoleOwns),
        Rule::RoleOwns => matches!(rule, Rule::LibraryDiffers),
        Rule::UniqueOmitsTenant => matches!(rule, Rule::ForeignKeyOmitsTenant),
        Rule::IndexMissing => matches!(rule, Rule::RlsDisabled | Rule::TenantNullable),
        _ => false,
    }
}
