//! One query in many tenants of a principal, in one round trip.

use mt_core::access::{Denied, Suspension};
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::{
    BeginError, Database, DatabaseOptions, Query, Statements, Tenant, TenantRows, query_scalar,
};
use mt_core::testing::Relay;

use crate::support::{ALL_NOTES, Acme, NotesRead, NotesWrite, Role, SETUP, World, write_note};

/// Reads all visible notes. It has no tenant condition on purpose.
fn all_notes(_: TenantId) -> Query<String> {
    query_scalar(ALL_NOTES)
}

#[tokio::test]
async fn read_in_many_tenants_takes_one_round_trip() {
    let world = World::new(2).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let mut tenants = Vec::new();
    for number in 0..6 {
        let tenant = world.tenant(bob).await;
        let grant = world.grant::<NotesWrite>(bob, tenant).await;
        let mut tx = world.tenants.begin(grant).await.unwrap();
        for copy in 0..number {
            write_note(&mut tx, &format!("{number}.{copy}")).await;
        }
        tx.commit().await.unwrap();
        tenants.push(tenant);
    }
    // Ada is a member of all but the second.
    for tenant in [0, 2, 3, 4, 5] {
        world.join(tenants[tenant], ada, Role::Viewer).await;
    }
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    Tenant::suspend(&mut tx, tenants[3], Suspension::Full).await.unwrap();
    tx.commit().await.unwrap();
    let asked = [5, 3, 1, 0, 2].map(|place| tenants[place]);

    for (statements, trips) in [(Statements::Named, 1), (Statements::Unnamed, 20)] {
        let relay = Relay::start(&world.db.login()).await.unwrap();
        let login = relay.through(world.db.login());
        let options = DatabaseOptions::new(login).max_connections(1).statements(statements);
        let database = Database::connect(options).await.unwrap();
        let pool = database.tenants::<Acme>(StandingPolicy::default());
        // Statements are prepared the first time.
        pool.read_each::<NotesRead, _>(ada, &asked, all_notes).await.unwrap();
        drop(relay.take_round_trips());
        let answers = pool.read_each::<NotesRead, _>(ada, &asked, all_notes).await.unwrap();
        let heard = relay.take_round_trips();
        assert!(heard.len() <= trips, "{statements:?}: {heard:#?}");

        let seen: Vec<_> = answers
            .into_iter()
            .map(|TenantRows { access, rows }| (access.tenant(), rows))
            .collect();
        let notes = |texts: &[&str]| Ok(texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(
            seen,
            [
                (tenants[5], notes(&["5.0", "5.1", "5.2", "5.3", "5.4"])),
                (tenants[3], Err(Denied::Suspended)),
                (tenants[0], notes(&[])),
                (tenants[2], notes(&["2.0", "2.1"])),
            ],
            "{statements:?}"
        );

        // A credential that is bound to one tenant is a stranger's in the others.
        let bound = ada.bound_to(tenants[2]);
        let of_bound = pool.read_each::<NotesRead, _>(bound, &asked, all_notes).await.unwrap();
        let of_bound: Vec<_> = of_bound.iter().map(|rows| rows.access.tenant()).collect();
        assert_eq!(of_bound, [tenants[2]]);
        assert!(pool.read_each::<NotesRead, _>(ada, &[], all_notes).await.unwrap().is_empty());
        database.close().await;
    }

    world.sign_out(ada).await;
    let refused =
        world.tenants.read_each::<NotesRead, _>(ada, &asked, all_notes).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
}
