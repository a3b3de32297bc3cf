//! What opens, reads and ends in one message: as isolated, as well decided and as safe to drop as a
//! transaction in steps.

use mt_core::access::{Billing, Effect, Permission};
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::audit_log::Action;
use mt_core::pg::{BeginError, Database, DatabaseOptions, PgError, Query};
use mt_core::testing::Relay;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::cancellation::cancelled_after;
use crate::model::{
    ALL_NOTES, Acme, NotesRead, NotesWrite, Perm, Role, World, all_notes, write_note,
};

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
    let rows = world.tenants.read(grant, Query::<NotesRead>::new(sql)).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn a_query_that_names_no_tenant_sees_its_own() {
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
async fn what_a_grant_was_made_on_is_decided_again() {
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
        let answer = world.tenants.read(grant, Query::<NotesRead>::new(ALL_NOTES)).await;
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
async fn a_query_that_fails_leaves_nothing_open() {
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
async fn a_read_is_planned_once_for_all_values() {
    let world = World::new(1).await;
    let [(a, of_a), _] = two(&world).await;
    let planned = async |login: PgConnectOptions| {
        let options = DatabaseOptions::new(login).max_connections(1);
        let tenants = Database::connect(options).await.unwrap().tenants(StandingPolicy::default());
        for _ in 0..3 {
            let list = "select text from public.notes where tenant_id = $1 order by text";
            let query = Query::<NotesRead>::new(list).bind(of_a.as_uuid());
            let grant = world.grant::<NotesRead>(a, of_a).await;
            assert_eq!(tenants.read(grant, query).await.unwrap().len(), 1);
        }
        let grant = world.grant::<NotesRead>(a, of_a).await;
        let rows = tenants.read(grant, Query::<NotesRead>::new(PLANS)).await.unwrap();
        rows[0].get::<String, _>(0)
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
async fn dropped_anywhere_it_leaves_nothing_to_the_next_user() {
    let world = World::new(1).await;
    let [(a, of_a), (b, of_b)] = two(&world).await;
    let access = world.access(a, of_a).await;
    let (mut dropped, mut finished) = (0, 0);
    for polls in 0..120 {
        let tenants = world.tenants.clone();
        let grant = access.authorize::<NotesRead>().unwrap();
        let was_dropped = cancelled_after(polls % 6, async move {
            tenants.read(grant, Query::<NotesRead>::new(ALL_NOTES)).await.unwrap();
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
async fn an_insert_commits_with_its_entry_or_not_at_all() {
    let world = World::new(1).await;
    let [(a, of_a), (_, of_b)] = two(&world).await;
    let begin =
        async || world.tenants.begin(world.grant::<NotesWrite>(a, of_a).await).await.unwrap();
    let insert = |tenant: TenantId, text: &str| {
        Query::<NotesWrite>::new(INSERT).bind(tenant.as_uuid()).bind(text)
    };
    for text in ["plain", "'); delete from public.notes; --", "\\' ü 🦀 $1 %s {}"] {
        let rows = begin().await.insert_and_commit(insert(of_a, text), WRITTEN.on(of_a.as_uuid()));
        assert_eq!(rows.await.unwrap()[0].get::<String, _>(0), text);
    }
    // Another tenant's row is against the policy, so there is neither the row nor the line.
    let foreign = begin().await.insert_and_commit(insert(of_b, "x"), WRITTEN.on(of_b.as_uuid()));
    assert!(matches!(foreign.await, Err(PgError::Database(_))));
    assert_eq!(world.count("select count(*) from public.notes").await, 5);
    let lines = "select count(*) from mt.audit_log where action = 'note.written'";
    assert_eq!(world.count(lines).await, 3);
    // Nor is there a row without a line.
    world.db.admin().execute("revoke insert on mt.audit_log from mt_app").await.unwrap();
    let unrecorded = begin().await.insert_and_commit(insert(of_a, "x"), WRITTEN.on(of_a.as_uuid()));
    assert!(unrecorded.await.is_err());
    assert_eq!(world.count("select count(*) from public.notes").await, 5);
    world.no_transaction_stays_open().await;
}

#[tokio::test]
#[should_panic(expected = "what is recorded has to be done")]
async fn a_statement_that_may_add_nothing_is_not_taken() {
    let world = World::new(1).await;
    let [(a, of_a), _] = two(&world).await;
    let tx = world.tenants.begin(world.grant::<NotesWrite>(a, of_a).await).await.unwrap();
    let update = Query::<NotesWrite>::new("update public.notes set text = '' where false");
    let _ = tx.insert_and_commit(update, WRITTEN.on(of_a.as_uuid())).await;
}

/// What `mt_authority` sees, and what it may not touch.
#[tokio::test]
async fn authority_sees_three_rows_and_no_more() {
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
                "begin; select set_config('role', 'mt_authority', true), \
                     set_config('mt.tenant_id', '{tenant}', true), \
                     set_config('mt.principal_id', '{principal}', true)"
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

/// A text that is planned under one permission is no way to another: types say so. This one is here to be
/// compiled.
#[test]
fn a_query_carries_its_permission() {
    fn permission<Q: Permission<Model = Acme>>(_: &Query<Q>) -> (Perm, Effect, Billing) {
        (Q::KEY, Q::EFFECT, Q::BILLING)
    }
    let query = Query::<NotesRead>::new(ALL_NOTES);
    assert_eq!(permission(&query).0, Perm::NotesRead);
    let shown = format!("{:?}", query.bind("a secret"));
    assert!(shown.contains("public.notes") && !shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn steps_see_what_one_message_wrote() {
    let world = World::new(2).await;
    let [(a, of_a), _] = two(&world).await;
    let tx = world.tenants.begin(world.grant::<NotesWrite>(a, of_a).await).await.unwrap();
    let insert = Query::<NotesWrite>::new(INSERT).bind(of_a.as_uuid()).bind("more");
    tx.insert_and_commit(insert, WRITTEN.on(of_a.as_uuid())).await.unwrap();
    let mut tx = world.tenants.begin(world.grant::<NotesRead>(a, of_a).await).await.unwrap();
    assert_eq!(all_notes(&mut tx).await, ["more", "of a"]);
    tx.commit().await.unwrap();
}
