//! Round trips to Postgres per operation, counted in the protocol.

use std::cell::RefCell;
use std::collections::HashMap;

use mt_core::access::AccessSource as _;
use mt_core::billing::StandingPolicy;
use mt_core::pg::{Database, DatabaseOptions, Statements, Tenants, query_scalar};
use mt_core::testing::Relay;
use sqlx::Executor as _;

use crate::support::{
    ALL_NOTES, Acme, Manage, Notes, NotesRead, NotesWrite, World, all_notes, write_note,
};

/// A pool of one connection whose conversation is read along.
struct Overheard {
    relay: Relay,
    tenants: Tenants<Acme>,
    prepared: RefCell<HashMap<String, String>>,
}

/// The statements that messages have prepared, by name.
pub(crate) fn prepared(trips: &[String]) -> HashMap<String, String> {
    let statements = trips.iter().flat_map(|trip| trip.split("; "));
    let prepares = statements.filter_map(|sql| sql.strip_prefix("prepare ")?.split_once(" as "));
    prepares.map(|(name, sql)| (called(name).to_owned(), sql.to_owned())).collect()
}

/// A message with the text of what it executes in place of its name.
pub(crate) fn spelled_out(trip: &str, prepared: &HashMap<String, String>) -> String {
    let statements = trip.split("; ").map(|sql| match sql.strip_prefix("execute ") {
        Some(call) => prepared[called(call)].as_str(),
        None => sql,
    });
    statements.collect::<Vec<_>>().join("; ")
}

/// `mt_1` of `mt_1(…)`.
fn called(call: &str) -> &str {
    call.split('(').next().expect("a name")
}

impl Overheard {
    async fn new(world: &World, statements: Statements) -> Self {
        let relay = Relay::start(&world.db.login()).await.unwrap();
        let options = DatabaseOptions::new(relay.through(world.db.login()))
            .max_connections(1)
            .statements(statements);
        let tenants = Database::connect(options).await.unwrap().tenants(StandingPolicy::default());
        Self { relay, tenants, prepared: RefCell::default() }
    }

    /// The round trips of `work` that its caller waits for, on a connection that knows the
    /// statements if it keeps any.
    async fn of<T>(&self, work: impl AsyncFn(Tenants<Acme>) -> T) -> Vec<String> {
        work(self.tenants.clone()).await;
        self.prepared.borrow_mut().extend(prepared(&self.relay.take_round_trips()));
        work(self.tenants.clone()).await;
        let prepared = self.prepared.borrow();
        let trips = self.relay.take_round_trips();
        trips.iter().map(|trip| spelled_out(trip, &prepared)).collect()
    }
}

#[tokio::test]
async fn each_step_takes_one_round_trip() {
    let world = World::new(1).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let heard = Overheard::new(&world, Statements::Named).await;

    let look = heard.of(async |tenants| tenants.access(owner, tenant).await.unwrap()).await;
    assert_eq!(look.len(), 1, "{look:#?}");

    let grants = world.access(owner, tenant).await;
    let read = heard
        .of(async |tenants| {
            let mut tx = tenants.begin(grants.authorize::<NotesRead>().unwrap()).await.unwrap();
            all_notes(&mut tx).await;
            tx.commit().await.unwrap();
        })
        .await;
    let [open, query, close] = &read[..] else { panic!("{read:#?}") };
    assert!(open.starts_with("begin isolation level read committed read only;"), "{open}");
    assert!(open.contains("left join mt.memberships"), "the decision's facts come along: {open}");
    assert_eq!(
        (query.as_str(), close.as_str()),
        ("select text from public.notes order by text", "commit")
    );

    let at_once = heard
        .of(async |tenants| {
            let grant = grants.authorize::<NotesRead>().unwrap();
            query_scalar::<String>(ALL_NOTES).fetch_all(tenants.read(grant)).await.unwrap()
        })
        .await;
    let [all] = &at_once[..] else { panic!("{at_once:#?}") };
    assert!(all.starts_with("begin ") && all.ends_with("; commit"), "{all}");

    let written = heard
        .of(async |tenants| {
            let mut tx = tenants.begin(grants.authorize::<NotesWrite>().unwrap()).await.unwrap();
            write_note(&mut tx, "one").await;
            tx.commit().await.unwrap();
        })
        .await;
    assert_eq!(written.len(), 3, "{written:#?}");
    assert!(written[0].contains("for share"), "{written:#?}");
    world.db.admin().execute("delete from public.notes").await.unwrap();

    let capped = heard
        .of(async |tenants| {
            let grant = grants.authorize::<NotesWrite>().unwrap();
            let (mut tx, cap) = tenants.begin(grant).capped::<Notes>().await.unwrap();
            let _permit = cap.permit().unwrap();
            write_note(&mut tx, "one").await;
            tx.commit().await.unwrap();
        })
        .await;
    assert_eq!(capped.len(), 3, "{capped:#?}");
    assert!(capped[0].contains("for no key update"), "{capped:#?}");
    assert!(capped[0].contains("count(*)"), "{capped:#?}");

    let exclusive = heard
        .of(async |tenants| {
            let grant = grants.authorize::<Manage>().unwrap();
            tenants.begin(grant).exclusive().await.unwrap().commit().await.unwrap();
        })
        .await;
    assert_eq!(exclusive.len(), 2, "{exclusive:#?}");
}

#[tokio::test]
async fn refusal_takes_one_round_trip_and_one_to_close() {
    let world = World::new(1).await;
    let (owner, stranger) = (world.user("owner").await, world.user("stranger").await);
    let tenant = world.tenant(owner).await;
    world.join(tenant, stranger, crate::support::Role::Viewer).await;
    let access = world.access(stranger, tenant).await;
    world.remove(tenant, stranger).await;
    let heard = Overheard::new(&world, Statements::Named).await;
    let refused = heard
        .of(async |tenants| tenants.begin(access.authorize::<NotesRead>().unwrap()).await.is_err())
        .await;
    assert_eq!(refused.len(), 2, "{refused:#?}");
    assert_eq!(refused[1], "rollback");
}

/// The control: what costs more is counted as more.
#[tokio::test]
async fn statements_without_a_name_are_prepared_each_time() {
    let world = World::new(1).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let access = world.access(owner, tenant).await;
    let read = async |tenants: Tenants<Acme>| {
        let mut tx = tenants.begin(access.authorize::<NotesRead>().unwrap()).await.unwrap();
        all_notes(&mut tx).await;
        tx.commit().await.unwrap();
    };
    for (statements, trips) in [(Statements::Named, 3), (Statements::Unnamed, 4)] {
        let heard = Overheard::new(&world, statements).await;
        let of_read = heard.of(read).await;
        assert_eq!(of_read.len(), trips, "{statements:?} {of_read:#?}");
    }
}

#[tokio::test]
async fn relay_can_rewrite_statements() {
    let world = World::new(1).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let swap =
        |sql: &str| sql.contains("'before'").then(|| sql.replace("'before'", "'afterwards'"));
    let relay = Relay::rewriting(&world.db.login(), swap).await.unwrap();
    let options = DatabaseOptions::new(relay.through(world.db.login()));
    let database = Database::connect(options).await.unwrap();
    let tenants = database.tenants::<Acme>(StandingPolicy::default());
    let access = tenants.load_access(owner, tenant).await.unwrap();
    let mut tx = tenants.begin(access.authorize::<NotesRead>().unwrap()).await.unwrap();
    let text: String = sqlx::query_scalar("select 'before'::text || $1")
        .bind("!")
        .fetch_one(tx.query::<NotesRead>())
        .await
        .unwrap();
    assert_eq!(text, "afterwards!");
    assert_eq!(relay.take_rewritten(), ["select 'before'::text || $1"]);
}
