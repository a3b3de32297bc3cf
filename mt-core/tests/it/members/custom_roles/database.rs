//! What the database itself holds about custom roles, also against consoles and servers of the previous release.

use mt_core::pg::Tenant;
use sqlx::Executor as _;

use super::{Fixture, Role, set};

#[tokio::test]
async fn a_statement_that_does_not_know_custom_roles_takes_them_away() {
    let fixture = Fixture::new().await;
    let (owner, clerk) = (fixture.owner, fixture.clerk);
    let lead = fixture.make(owner, "Lead", Role::Clerk, &["log.read"]).await.unwrap().id;
    let demote = "update mt.memberships set role = 'guest' where role_id is not null";
    let admin = fixture.world.db.admin();
    fixture.assign(owner, clerk, lead).await.unwrap();
    admin.execute(demote).await.unwrap();
    let access = fixture.access(clerk).await;
    assert_eq!((access.role(), access.permissions()), (Role::Guest, set(&[])));

    // The control: without the trigger, the foreign key refuses.
    fixture.assign(owner, clerk, lead).await.unwrap();
    admin
        .execute("alter table mt.memberships disable trigger memberships_leave_custom_role")
        .await
        .unwrap();
    let refused = admin.execute(demote).await.unwrap_err();
    let constraint = refused.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("memberships_role_fkey"));
}

#[tokio::test]
async fn no_owner_has_a_custom_role_and_no_role_in_use_goes() {
    let fixture = Fixture::new().await;
    let (owner, clerk) = (fixture.owner, fixture.clerk);
    let lead = fixture.make(owner, "Lead", Role::Clerk, &["log.read"]).await.unwrap().id;
    fixture.assign(owner, clerk, lead).await.unwrap();
    fixture.invite(owner, "ada", lead).await.unwrap();
    for (sql, constraint) in [
        ("update mt.memberships set is_owner = true", "memberships_owner_check"),
        ("delete from mt.roles", "memberships_role_fkey"),
        ("update mt.roles set based_on = 'guest'", "memberships_role_fkey"),
        ("update mt.roles set permissions = array[null]", "roles_permissions_check"),
        ("update mt.roles set name = ''", "roles_name_check"),
    ] {
        let refused = fixture.world.db.admin().execute(sql).await.unwrap_err();
        let found = refused.as_database_error().and_then(|error| error.constraint());
        assert_eq!(found, Some(constraint), "{sql}");
    }
}

/// The foreign keys of members and invites do not say `cascade`, and a tenant goes with its roles all the same.
#[tokio::test]
async fn a_tenant_goes_with_its_roles() {
    let fixture = Fixture::new().await;
    let (owner, clerk) = (fixture.owner, fixture.clerk);
    let lead = fixture.make(owner, "Lead", Role::Clerk, &["log.read"]).await.unwrap().id;
    fixture.assign(owner, clerk, lead).await.unwrap();
    fixture.invite(owner, "ada", lead).await.unwrap();
    let request = fixture.request::<super::TeamManage>(owner);
    let mut tx = fixture.tenants.begin(request).exclusive().await.unwrap();
    Tenant::delete(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(fixture.world.count("select count(*) from mt.roles").await, 0);
}
