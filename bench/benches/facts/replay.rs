//! The messages of the library, recorded and sent again on one connection, whose CPU time is read.

use mt_core::access::AccessRequest;
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::pg::{Database, DatabaseOptions, query_scalar};
use mt_core::testing::Relay;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::cpu_time::cpu_time;
use super::world::{Notebook, NotesRead, World};

/// The page: the first notes of the tenant.
const PAGE: &str =
    "select text from public.notes where tenant_id = mt.tenant_id() order by id limit 50";

/// The expression that reads a custom role, in the statement of the facts.
const CUSTOM_ROLE: &str = "case when m.role_id is not null then mt.granted_by(m.tenant_id, m.role_id) end as custom_role, ";

/// How many executions of one statement a message has.
const EXECUTIONS: u32 = 200;

/// What is sent on a connection.
pub(crate) struct Replay {
    /// Opening, query and commit.
    page: String,
    /// The facts [`EXECUTIONS`] times, in one transaction.
    facts: String,
}

impl Replay {
    /// Records a page of `principal`, and prepares it on a connection of a superuser, which may have others: `name` begins
    /// the names of its prepared statements.
    ///
    /// `before` drops the column of the custom role.
    pub(crate) async fn new(
        conn: &mut PgConnection,
        name: &str,
        world: &World,
        principal: Principal,
        before: bool,
    ) -> Self {
        let (first, later) = overhear(world, principal).await;
        let renamed = |message: String| {
            ["prepare", "execute"].into_iter().fold(message, |message, verb| {
                message.replace(&format!("{verb} mt_"), &format!("{verb} {name}_"))
            })
        };
        let (first, later) = (renamed(first), renamed(later));
        let enter = enter(conn, world, principal).await;
        let changed = |message: &str| {
            assert!(
                message.contains("call mt.enter(") && message.ends_with("; commit"),
                "{message}"
            );
            let statements: Vec<&str> = message
                .split("; ")
                .map(|sql| if sql.starts_with("call mt.enter(") { &enter } else { sql })
                .collect();
            statements.join("; ")
        };
        let first = changed(&first.split_whitespace().collect::<Vec<_>>().join(" "));
        let first = if before {
            assert!(first.contains(CUSTOM_ROLE), "{first}");
            first.replace(CUSTOM_ROLE, "")
        } else {
            first
        };
        let page = changed(&later);
        let (opening, rest) = page.split_once("execute ").expect("facts");
        let (execution, _) = rest.split_once("; ").expect("a page");
        let execution = format!("; execute {execution}");
        let opening = opening.trim_end_matches("; ");
        let executions = usize::try_from(EXECUTIONS).unwrap_or_default();
        let facts = format!("{opening}{}; commit", execution.repeat(executions));
        conn.execute(sqlx::raw_sql(AssertSqlSafe(first))).await.expect("a page");
        Self { page, facts }
    }

    /// The CPU time of Postgres for one page, in microseconds, over so many.
    pub(crate) async fn page(&self, conn: &mut PgConnection, pages: u32) -> f64 {
        let before = cpu_time(conn).await;
        for _ in 0..pages {
            send(conn, &self.page).await;
        }
        (cpu_time(conn).await - before) / f64::from(pages)
    }

    /// The CPU time of Postgres for the facts, in microseconds, over so many messages.
    pub(crate) async fn facts(&self, conn: &mut PgConnection, messages: u32) -> f64 {
        let before = cpu_time(conn).await;
        for _ in 0..messages {
            send(conn, &self.facts).await;
        }
        (cpu_time(conn).await - before) / f64::from(messages * EXECUTIONS)
    }
}

async fn send(conn: &mut PgConnection, message: &str) {
    let sql = sqlx::raw_sql(AssertSqlSafe(message.to_owned()));
    conn.execute(sql).await.expect("a message");
}

/// Reads a page twice, and returns the message with the preparations and the one without.
async fn overhear(world: &World, principal: Principal) -> (String, String) {
    let relay = Relay::start(&world.db.login()).await.expect("a relay");
    let options = DatabaseOptions::new(relay.through(world.db.login())).max_connections(1);
    let database = Database::connect(options).await.expect("a pool");
    let tenants = database.tenants::<Notebook>(StandingPolicy::default());
    for _ in 0..2 {
        let request = AccessRequest::<NotesRead>::new(principal, world.tenant);
        let page = query_scalar::<String>(PAGE).fetch_all(tenants.read(request));
        assert_eq!(page.await.expect("a page").len(), 50);
    }
    let heard = relay.take_round_trips();
    let mut pages = heard.into_iter().filter(|message| message.contains("call mt.enter("));
    let (first, later) = (pages.next().expect("a page"), pages.next().expect("a page"));
    assert!(first.contains("prepare ") && !later.contains("prepare "), "{first}\n{later}");
    (first, later)
}

/// The statement by which a transaction enters on any backend.
async fn enter(conn: &mut PgConnection, world: &World, principal: Principal) -> String {
    let (tenant, principal) = (world.tenant, principal.id());
    let ticket = format!(
        "select encode(sha256(mt.seal_key() || convert_to('enter 0 {tenant} {principal} ', 'UTF8')), 'hex')"
    );
    let ticket: String =
        sqlx::query_scalar(AssertSqlSafe(ticket)).fetch_one(conn).await.expect("a ticket");
    format!("call mt.enter('{tenant}', '{principal}', '', 0, '{ticket}')")
}
