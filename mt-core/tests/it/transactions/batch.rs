//! Batches: several statements in one message are isolated, authorized and cancelled as separate statements
//! are.

use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::audit_log::Action;
use mt_core::pg::{BeginError, Database, DatabaseOptions, PgError, query_scalar};
use mt_core::testing::Relay;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::{ALL_NOTES, NotesRead, NotesWrite, Role, World, all_notes, write_note};
use crate::transactions::cancellation::cancelled_after;

const WRITTEN: Action = Action::new("note.written", "note");
const INSERT: &str = "insert into public.notes (tenant_id, text) values ($1, $2) returning text";

/// Two tenants with a note each, of an owner each.
async fn two(world: &World) -> [(Principal, TenantId); 2] {
    let mut all = Vec::new();
    for name in ["a", "b"] {
        let owner = world.user(name).await;
        let tenant = world.tenant(owner).await;
        let mut tx =
            world.tenants.begin(world.grant::<NotesWrite>(owner, tenant).await).await.unwrap();
        write_note(&mut tx, &format!("of {name}")).await;
        tx.commit().await.unwrap();
        all.push((owner, tenant));
    }
    all.try_into().unwrap()
}

async fn read(
    world: &World,
    who: Principal,
    tenant: TenantId,
    sql: &'static str,
) -> Result<Vec<String>, BeginError> {
    let grant = world.grant::<NotesRead>(who, tenant).await;
    query_scalar(sql).fetch_all(world.tenants.read(grant)).await
}

#[tokio::test]
async fn query_without_a_tenant_condition_sees_only_its_own_tenant() {
    let world = World::new(1).await;
    let [(a, of_a), (b, of_b)] = two(&world).await;
    for _ in 0..3 {
        assert_eq!(read(&world, a, of_a, ALL_NOTES).await.unwrap(), ["of a"]);
        assert_eq!(read(&world, b, of_b, ALL_NOTES).await.unwrap(), ["of b"]);
    }
    // The control: without row-level security it sees everything.
    let off = "alter table public.notes disable row level security";
    world.db.admin().execute(off).await.unwrap();
    assert_eq!(read(&world, a, of_a, ALL_NOTES).await.unwrap(), ["of a", "of b"]);
}

#[tokio::test]
async fn grant_is_checked_again_in_the_batch() {
    let world = World::new(1).await;
    let [(_, tenant), _] = two(&world).await;
    for spoil in ["remove", "sign out", "suspend"] {
        let member = world.user(&spoil.replace(' ', "-")).await;
        world.join(tenant, member, Role::Viewer).await;
        let grant = world.grant::<NotesRead>(member, tenant).await;
        match spoil {
            "remove" => world.remove(tenant, member).await,
            "sign out" => world.sign_out(member).await,
            _ => world.set(tenant, "suspension = 'full'").await,
        }
        let answer = query_scalar::<String>(ALL_NOTES).fetch_all(world.tenants.read(grant)).await;
        let refused = answer.expect_err("no rows for a grant that holds no more");
        match spoil {
            "remove" => assert!(matches!(refused, BeginError::NotAMember), "{refused:?}"),
            "sign out" => assert!(matches!(refused, BeginError::SignedOut), "{refused:?}"),
            _ => assert!(matches!(refused, BeginError::Denied(_)), "{refused:?}"),
        }
    }
    world.no_transaction_stays_open().await;
}

#[tokio::test]
async fn failed_query_leaves_no_transaction_open() {
    let world = World::new(1).await;
    let [(a, of_a), _] = two(&world).await;
    for sql in ["select (1 / 0)::text", "select nonsense", "select (1 / 0)::text"] {
        let error = read(&world, a, of_a, sql).await.unwrap_err();
        assert!(matches!(error, BeginError::Pg(PgError::Database(_))), "{error:?}");
        assert_eq!(read(&world, a, of_a, ALL_NOTES).await.unwrap(), ["of a"]);
    }
    let writes = "insert into public.notes (text) values ('more') returning text";
    let error = read(&world, a, of_a, writes).await.unwrap_err();
    assert!(matches!(error, BeginError::Pg(_)), "a read is read only: {error:?}");
    world.no_transaction_stays_open().await;
}

/// How often a connection has planned its second statement for all values, and how often for those at hand.
/// The first are the facts.
const PLANS: &str = "select generic_plans || ' and ' || custom_plans from pg_prepared_statements \
     where name = 'mt_1'";

#[tokio::test]
async fn read_is_planned_once_for_all_values() {
    let world = World::new(1).await;
    let [(a, of_a), _] = two(&world).await;
    let planned = async |login: PgConnectOptions| {
        let options = DatabaseOptions::new(login).max_connections(1);
        let tenants = Database::connect(options).await.unwrap().tenants(StandingPolicy::default());
        for _ in 0..3 {
            let list = "select text from public.notes where tenant_id = $1 order by text";
            let query = query_scalar::<String>(list).bind(of_a.as_uuid());
            let grant = world.grant::<NotesRead>(a, of_a).await;
            assert_eq!(query.fetch_all(tenants.read(grant)).await.unwrap().len(), 1);
        }
        let grant = world.grant::<NotesRead>(a, of_a).await;
        query_scalar::<String>(PLANS).fetch_one(tenants.read(grant)).await.unwrap()
    };
    assert_eq!(planned(world.db.login()).await, "3 and 0");

    // The control: left to itself, Postgres plans the first five anew.
    let leave = |sql: &str| {
        let anew = sql.replace("force_generic_plan", "auto");
        (anew != sql).then_some(anew)
    };
    let relay = Relay::rewriting(&world.db.login(), leave).await.unwrap();
    assert_eq!(planned(relay.through(world.db.login())).await, "0 and 3");
}

#[tokio::test]
async fn batch_dropped_at_any_poll_leaves_nothing_behind() {
    let world = World::new(1).await;
    let [(a, of_a), (b, of_b)] = two(&world).await;
    let access = world.access(a, of_a).await;
    let (mut dropped, mut finished) = (0, 0);
    for polls in 0..120 {
        let tenants = world.tenants.clone();
        let grant = access.authorize::<NotesRead>().unwrap();
        let was_dropped = cancelled_after(polls % 6, async move {
            query_scalar::<String>(ALL_NOTES).fetch_all(tenants.read(grant)).await.unwrap();
        })
        .await;
        if was_dropped {
            dropped += 1;
        } else {
            finished += 1;
        }
        assert_eq!(read(&world, b, of_b, ALL_NOTES).await.unwrap(), ["of b"], "{polls}");
    }
    assert!(dropped > 10 && finished > 10, "dropped {dropped}, finished {finished}");
    world.no_transaction_stays_open().await;
}

#[tokio::test]
async fn insert_and_its_audit_entry_commit_together() {
    let world = World::new(1).await;
    let [(a, of_a), (_, of_b)] = two(&world).await;
    let begin =
        async || world.tenants.begin(world.grant::<NotesWrite>(a, of_a).await).await.unwrap();
    let insert = |tenant: TenantId, text: &str| {
        query_scalar::<String>(INSERT).bind(tenant.as_uuid()).bind(text)
    };
    for text in ["plain", "'); delete from public.notes; --", "\\' ü 🦀 $1 %s {}"] {
        let last = begin().await.execute_and_commit::<NotesWrite>(WRITTEN.on(of_a.as_uuid()));
        assert_eq!(insert(of_a, text).fetch_one(last).await.unwrap(), text);
    }
    // Another tenant's row is against the policy, so there is neither the row nor the line.
    let last = begin().await.execute_and_commit::<NotesWrite>(WRITTEN.on(of_b.as_uuid()));
    let foreign = insert(of_b, "x").fetch_one(last).await;
    assert!(matches!(foreign, Err(PgError::Database(_))), "{foreign:?}");
    assert_eq!(world.count("select count(*) from public.notes").await, 5);
    let lines = "select count(*) from mt.audit_log where action = 'note.written'";
    assert_eq!(world.count(lines).await, 3);
    // Nor is there a row without a line.
    world.db.admin().execute("revoke insert on mt.audit_log from mt_app").await.unwrap();
    let last = begin().await.execute_and_commit::<NotesWrite>(WRITTEN.on(of_a.as_uuid()));
    assert!(insert(of_a, "x").fetch_one(last).await.is_err());
    assert_eq!(world.count("select count(*) from public.notes").await, 5);
    world.no_transaction_stays_open().await;
}

#[tokio::test]
async fn a_statement_that_adds_nothing_has_no_audit_entry() {
    let world = World::new(1).await;
    let [(a, of_a), _] = two(&world).await;
    for sql in [
        "update public.notes set text = '' where false returning text",
        "insert into public.notes (tenant_id, text) select mt.tenant_id(), '' where false returning text",
        "insert into public.notes (id, tenant_id, text) values ((select id from public.notes limit 1), mt.tenant_id(), '') \
             on conflict do nothing returning text",
    ] {
        // Twice: the second time, a statement that adds a row would share the message that commits.
        for _ in 0..2 {
            let tx = world.tenants.begin(world.grant::<NotesWrite>(a, of_a).await).await.unwrap();
            let last = tx.execute_and_commit::<NotesWrite>(WRITTEN.on(of_a.as_uuid()));
            assert_eq!(
                query_scalar::<String>(sql).fetch_all(last).await.unwrap(),
                [""; 0],
                "{sql}"
            );
        }
    }
    assert_eq!(
        world.count("select count(*) from mt.audit_log where action = 'note.written'").await,
        0
    );
    world.no_transaction_stays_open().await;
}

/// The rows that `mt_authority` sees, and the tables that it may not use.
#[tokio::test]
async fn authority_role_reads_exactly_three_rows() {
    let world = World::new(1).await;
    let [(a, of_a), (b, of_b)] = two(&world).await;
    world.join(of_a, b, Role::Viewer).await;
    let sees = async |tenant: &str, principal: &str| {
        let mut counts = Vec::new();
        for sql in [
            "select count(id) from mt.users",
            "select count(role) from mt.memberships",
            "select count(id) from mt.tenants",
            "select count(*) from public.notes",
            "select count(email) from mt.users",
            "update mt.tenants set plan = 'team' returning 1::bigint",
        ] {
            let mut conn = world.db.admin().acquire().await.unwrap();
            let enter = format!(
                "begin; call mt.seal('{tenant}', '{principal}', ''); set local role mt_authority"
            );
            conn.execute(AssertSqlSafe(enter)).await.unwrap();
            counts.push(sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *conn).await.ok());
            conn.execute("rollback").await.unwrap();
        }
        counts
    };
    let (of_a, of_b) = (of_a.to_string(), of_b.to_string());
    let (a, b) = (a.id().to_string(), b.id().to_string());
    assert_eq!(sees(&of_a, &a).await, [Some(1), Some(1), Some(1), None, None, None]);
    assert_eq!(sees(&of_a, &b).await, [Some(1), Some(1), Some(1), None, None, None]);
    assert_eq!(sees(&of_b, &a).await, [Some(1), Some(0), Some(1), None, None, None]);
    assert_eq!(sees("", "").await, [Some(0), Some(0), Some(0), None, None, None]);
    // The control: it is the policy that hides the others.
    let wide = "create policy wide on mt.memberships for select to mt_authority using (true)";
    world.db.admin().execute(wide).await.unwrap();
    assert_eq!(sees(&of_b, &a).await[1], Some(3));
}

/// Values are users' texts, which are not for logs.
#[test]
fn a_query_does_not_show_its_values() {
    let shown = format!("{:?}", query_scalar::<String>(ALL_NOTES).bind("a secret"));
    assert!(shown.contains("public.notes") && !shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn later_steps_see_what_a_batch_wrote() {
    let world = World::new(2).await;
    let [(a, of_a), _] = two(&world).await;
    let tx = world.tenants.begin(world.grant::<NotesWrite>(a, of_a).await).await.unwrap();
    let insert = query_scalar::<String>(INSERT).bind(of_a.as_uuid()).bind("more");
    let last = tx.execute_and_commit::<NotesWrite>(WRITTEN.on(of_a.as_uuid()));
    insert.fetch_one(last).await.unwrap();
    let mut tx = world.tenants.begin(world.grant::<NotesRead>(a, of_a).await).await.unwrap();
    assert_eq!(all_notes(&mut tx).await, ["more", "of a"]);
    tx.commit().await.unwrap();
}
