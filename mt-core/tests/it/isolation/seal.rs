//! SQL injection into an embedder's query stays within the query's tenant.

use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::{ConnectError, Database, DatabaseOptions, Tenants};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use crate::isolation::row_level_security::two_tenants;
use crate::support::{Acme, NotesRead, NotesWrite, SETUP, World, all_notes};

/// What an attacker in tenant A puts where a text belongs, knowing B's id and the schema. `{b}` is B, `{b_owner}` its
/// owner, `{role}` a login of the program.
const TRICKS: &[&str] = &[
    // The tenant, by a function, before the rows are read.
    "' union all select n.text from (select set_config('mt.tenant_id', '{b}', true) offset 0) s, \
         lateral (select text from public.notes where s is not null offset 0) n --",
    "' union all select query_to_xml('select text from public.notes', true, false, '')::text \
         from (select set_config('mt.tenant_id', '{b}', true) offset 0) s --",
    // For the session, so that it is still there later.
    "' union all select query_to_xml('select text from public.notes', true, false, '')::text \
         from (select set_config('mt.tenant_id', '{b}', false) offset 0) s --",
    // As its owner too, and with the seal taken off.
    "' union all select query_to_xml('select text from public.notes', true, false, '')::text \
         from (select set_config('mt.tenant_id', '{b}', true), set_config('mt.principal_id', '{b_owner}', true), \
             set_config('mt.seal', '', true) offset 0) s --",
    "' union all select query_to_xml('select name from mt.tenants', true, false, '')::text \
         from (select set_config('mt.tenant_id', '', true), set_config('mt.principal_id', '{b_owner}', true) \
             offset 0) s --",
    // A forged seal.
    "' union all select query_to_xml('select text from public.notes', true, false, '')::text \
         from (select set_config('mt.tenant_id', '{b}', true), set_config('mt.seal', sha256(int4send( \
             pg_backend_pid()) || timestamptz_send(now()) || '{b}  '::bytea)::text, true) offset 0) s --",
    // The settings as a view.
    "' union all select query_to_xml('update pg_settings set setting = ''{b}'' where name = ''mt.tenant_id''', \
         true, false, '')::text --",
    // Another role, by a function.
    "' union all select query_to_xml('select email from mt.users', true, false, '')::text \
         from (select set_config('role', 'mt_system', true) offset 0) s --",
    "' union all select query_to_xml('select email from mt.users', true, false, '')::text \
         from (select set_config('role', 'mt_owner', true) offset 0) s --",
    "' union all select query_to_xml('select email from mt.users', true, false, '')::text \
         from (select set_config('role', 'mt_authority', true), set_config('mt.principal_id', '{b_owner}', true) \
             offset 0) s --",
    "' union all select query_to_xml('select text from public.notes', true, false, '')::text \
         from (select set_config('role', 'none', true) offset 0) s --",
    "' union all select set_config('session_authorization', '{role}', false) --",
    "' union all select set_config('row_security', 'off', true) union all select text from public.notes --",
    // The key.
    "' union all select mt.seal_key()::text --",
    "' union all select last_value::text from mt.seal_key_1 --",
    "' union all select pg_sequence_last_value('mt.seal_key_1'::regclass)::text --",
    "' union all select query_to_xml('select mt.seal_key()', true, false, '')::text \
         from (select set_config('role', 'none', true) offset 0) s --",
    "' union all select mt.enter('{b}', '{b_owner}', '', 0, '') --",
    "' union all select query_to_xml('call mt.seal(''{b}'', '''', '''')', true, false, '')::text --",
    // Several statements.
    "'; set role mt_system; select email from mt.users --",
    "'; reset role; select email from mt.users --",
    "'; set local mt.tenant_id = '{b}'; select text from public.notes --",
    "'; commit; begin; set local role mt_app; call mt.enter('{b}', '{b_owner}', '', 0, ''); \
         select text from public.notes --",
    "'; savepoint s; set local mt.tenant_id = '{b}'; select text from public.notes --",
    // Left on the connection, for those who come after.
    "'; deallocate all; prepare mt_0 as select text from public.notes --",
    "'; prepare mt_900 as select text from public.notes; execute mt_900 --",
    "'; discard all --",
    "'; create temp table notes (text text); --",
];

/// A query with a text in it that should have been bound.
fn injectable(input: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("select text from public.notes where text = '{input}'"))
}

struct Attack {
    world: World,
    a: (Principal, TenantId),
    b: (Principal, TenantId),
}

impl Attack {
    async fn new() -> Self {
        let world = World::new(1).await;
        let [a, b] = two_tenants(&world).await;
        Self { world, a, b }
    }

    fn filled(&self, trick: &str, role: &str) -> String {
        trick
            .replace("{b}", &self.b.1.to_string())
            .replace("{b_owner}", &self.b.0.id().to_string())
            .replace("{role}", role)
    }

    /// Whether a text shows what is B's alone.
    fn shows(text: &str) -> bool {
        text.contains("canary of b") || text.contains("b@example.org")
    }

    /// Runs the query with the attack in it, in both ways in which sqlx sends a text, and returns the rows.
    async fn tried(&self, tenants: &Tenants<Acme>, trick: &str) -> Vec<String> {
        let mut shown = Vec::new();
        let (principal, tenant) = self.a;
        for raw in [false, true] {
            for sealed in [false, true] {
                let access = tenants.load_access(principal, tenant).await.unwrap();
                let rows = if sealed {
                    let mut tx =
                        tenants.begin(access.authorize::<NotesRead>().unwrap()).await.unwrap();
                    run(tx.query::<NotesRead>(), raw, trick).await
                } else {
                    let mut tx =
                        tenants.begin(access.authorize::<NotesWrite>().unwrap()).await.unwrap();
                    run(tx.query::<NotesWrite>(), raw, trick).await
                };
                shown.extend(rows.unwrap_or_default());
            }
        }
        shown
    }

    /// The attacks that read B's rows, or that affect the next transaction on the connection.
    async fn successful(&self, database: &Database, role: &str) -> Vec<&'static str> {
        let tenants = database.tenants::<Acme>(StandingPolicy::default());
        let mut successful = Vec::new();
        for trick in TRICKS {
            let shown = self.tried(&tenants, &self.filled(trick, role)).await;
            let mut is_felt = shown.iter().any(|text| Self::shows(text));
            for ((principal, tenant), own) in [(self.b, "canary of b"), (self.a, "canary of a")] {
                let access = tenants.load_access(principal, tenant).await.unwrap();
                let mut tx = tenants.begin(access.authorize::<NotesRead>().unwrap()).await.unwrap();
                is_felt |= all_notes(&mut tx).await != [own];
                tx.commit().await.unwrap();
            }
            if is_felt {
                successful.push(*trick);
            }
        }
        successful
    }
}

async fn run(
    conn: mt_core::pg::TxConn<'_>,
    raw: bool,
    trick: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let rows = if raw {
        sqlx::raw_sql(injectable(trick)).fetch_all(conn).await?
    } else {
        sqlx::query(injectable(trick)).fetch_all(conn).await?
    };
    rows.iter().map(|row| row.try_get(0)).collect()
}

#[tokio::test]
async fn sql_injection_reads_no_row_of_another_tenant() {
    let attack = Attack::new().await;
    let role = attack.world.db.two_logins().0.get_username().to_owned();
    let successful = attack.successful(&attack.world.database, &role).await;
    assert_eq!(successful, Vec::<&str>::new());
    // The control of the query: without a trick it finds what is there.
    let access = attack.world.tenants.load_access(attack.a.0, attack.a.1).await.unwrap();
    let mut tx =
        attack.world.tenants.begin(access.authorize::<NotesRead>().unwrap()).await.unwrap();
    let found = run(tx.query::<NotesRead>(), false, "canary of a").await.unwrap();
    assert_eq!(found, ["canary of a"]);
}

/// The controls: each guard taken away lets tricks through.
#[tokio::test]
async fn without_the_seal_or_the_second_login_injections_succeed() {
    let attack = Attack::new().await;
    let db = &attack.world.db;
    // One login for both may become `mt_system`.
    let one = DatabaseOptions::new(db.login()).max_connections(1);
    let one = Database::connect(one).await.unwrap();
    let successful = attack.successful(&one, db.login().get_username()).await;
    assert!(
        !successful.is_empty() && successful.iter().all(|trick| trick.contains("mt_system")),
        "{successful:#?}"
    );
    // A policy that believes the setting.
    let believes = "alter policy mt_isolation on public.notes \
         using (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))";
    db.admin().execute(believes).await.unwrap();
    let role = db.two_logins().0.get_username().to_owned();
    let successful = attack.successful(&attack.world.database, &role).await;
    assert!(
        successful.len() > 1 && successful.iter().all(|trick| trick.contains("mt.tenant_id")),
        "{successful:#?}"
    );
}

/// A session of the tenants' login, outside of the library.
async fn session(world: &World) -> PgConnection {
    PgConnection::connect_with(&world.db.two_logins().0).await.unwrap()
}

/// The statement that enters B, with a seal made for `backend` with the key.
async fn entering(attack: &Attack, backend: i32) -> String {
    let (tenant, principal) = (attack.b.1.to_string(), attack.b.0.id().to_string());
    let ticket: String = sqlx::query_scalar(
        "select encode(sha256(mt.seal_key() \
             || convert_to(format('enter %s %s %s ', $1::int, $2::text, $3::text), 'UTF8')), 'hex')",
    )
    .bind(backend)
    .bind(&tenant)
    .bind(&principal)
    .fetch_one(attack.world.db.admin())
    .await
    .unwrap();
    format!("call mt.enter('{tenant}', '{principal}', '', {backend}, '{ticket}')")
}

#[tokio::test]
async fn session_of_the_login_enters_no_tenant_without_a_seal_for_it() {
    let attack = Attack::new().await;
    let mut conn = session(&attack.world).await;
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut conn).await.unwrap();
    let count = "select count(*) from public.notes";
    let try_it = async |conn: &mut PgConnection, text: String| {
        let text = format!("begin; set local role mt_app; {text}; {count}");
        let rows = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut *conn).await;
        conn.execute("rollback").await.unwrap();
        rows.map(|rows| rows.last().unwrap().get::<i64, _>(0)).map_err(|error| error.to_string())
    };
    let good = entering(&attack, pid).await;
    // The control: with the key it can be done.
    assert_eq!(try_it(&mut conn, good.clone()).await, Ok(1));
    assert_eq!(try_it(&mut conn, entering(&attack, 0).await).await, Ok(1));

    let (b, guessed) = (attack.b.1, good.replace(&good[good.len() - 10..], "0000000')"));
    for (text, said) in [
        (format!("set local mt.tenant_id = '{b}'"), "not set by what opened it"),
        (guessed, "the ticket"),
        (entering(&attack, pid + 1).await, "the ticket"),
        (good.replace(&attack.b.1.to_string(), &attack.a.1.to_string()), "the ticket"),
        (format!("call mt.seal('{b}', '', '')"), "permission denied"),
        (format!("call mt.enter_as_system('{b}')"), "permission denied"),
        ("select mt.seal_key()".to_owned(), "permission denied"),
        ("set local role mt_system".to_owned(), "permission denied"),
    ] {
        let refused = try_it(&mut conn, text.clone()).await.unwrap_err();
        assert!(refused.contains(said), "{text}: {refused}");
    }
    // A ticket that was seen is good for nothing in a transaction that is under way.
    conn.execute("begin; set local role mt_app").await.unwrap();
    let refused = conn.execute(AssertSqlSafe(good)).await.unwrap_err().to_string();
    assert!(refused.contains("in the message that opens it"), "{refused}");
}

#[tokio::test]
async fn database_with_another_seal_key_is_served_at_once() {
    let attack = Attack::new().await;
    let (principal, tenant) = attack.a;
    let world = &attack.world;
    let change = "select setval('mt.seal_key_1', 7)";
    world.db.admin().execute(change).await.unwrap();
    for _ in 0..2 {
        let grant = world.grant::<NotesRead>(principal, tenant).await;
        let mut tx = world.tenants.begin(grant).await.unwrap();
        // In the middle of a transaction a change of the key is an error, and no other tenant's rows.
        assert_eq!(all_notes(&mut tx).await, ["canary of a"]);
        tx.commit().await.unwrap();
    }
    world.no_transaction_stays_open().await;
}

#[tokio::test]
async fn each_login_executes_only_its_own_functions() {
    let attack = Attack::new().await;
    let world = &attack.world;
    let (tenants, system) = world.db.two_logins();
    let asked = "select session_user::text || ' ' || current_user";
    let grant = world.grant::<NotesRead>(attack.a.0, attack.a.1).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    let as_member: String =
        sqlx::query_scalar(asked).fetch_one(tx.query::<NotesRead>()).await.unwrap();
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let as_system: String = sqlx::query_scalar(asked).fetch_one(tx.conn()).await.unwrap();
    assert_eq!(as_member, format!("{} mt_app", tenants.get_username()));
    assert_eq!(as_system, format!("{} mt_system", system.get_username()));

    let reaches = DatabaseOptions::new(world.db.login()).system_login(system.clone());
    let refused = Database::connect(reaches).await.unwrap_err();
    assert!(matches!(refused, ConnectError::ReachesSystem { .. }), "{refused}");
    let cannot = DatabaseOptions::new(tenants.clone()).system_login(tenants);
    let refused = Database::connect(cannot).await.unwrap_err();
    assert!(matches!(refused, ConnectError::NotAMember { role: "mt_system", .. }), "{refused}");
}
