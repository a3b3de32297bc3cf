//! Functions, triggers and owners in the library's own schema.

use mt_core::pg::audit::Rule;
use sqlx::Executor as _;

use super::{Damage, OF_A, Tampering, each_is_named_and_does_damage};
use crate::audit::report;
use crate::support::World;

const TAMPERINGS: [Tampering; 3] = [
    // A tenant without an owner.
    (
        "",
        "alter table mt.memberships disable trigger memberships_keep_an_owner",
        Rule::LibraryDiffers,
        "mt.memberships",
        Damage::Succeeds("delete from mt.memberships; set constraints all immediate"),
    ),
    // The same tenant for all.
    (
        "",
        "do $do$ begin execute format('create or replace function mt.required_tenant_id() returns uuid \
             language sql stable security definer set search_path = pg_catalog, pg_temp as %L', \
             (select format('select %L::uuid', tenant_id) from public.notes where text = 'canary of a')); end $do$",
        Rule::LibraryDiffers,
        "mt.required_tenant_id()",
        Damage::Finds(OF_A),
    ),
    (
        "grant usage on schema mt to {login}",
        "alter table mt.users owner to {login}",
        Rule::LibraryDiffers,
        "mt.users",
        Damage::LoginFinds(
            "alter table mt.users disable row level security",
            "select count(*) from mt.users where email = 'a@example.org'",
        ),
    ),
];

#[tokio::test]
async fn tampering_with_the_library() {
    each_is_named_and_does_damage(&TAMPERINGS).await;
}

/// While a deployment rolls out, the old server looks at the new one's schema.
#[tokio::test]
async fn schema_of_a_newer_version_is_not_compared_and_a_note_says_so() {
    let world = World::new(1).await;
    world
        .db
        .admin()
        .execute(
            "grant update (plan) on mt.tenants to mt_system; \
             create policy newer on mt.users for update to mt_system using (false); \
             create unique index names_key on mt.tenants (name); \
             create table mt.newer (tenant_id uuid, id uuid primary key); \
             alter table mt.newer enable row level security, force row level security; \
             create table mt.newest (id uuid primary key); \
             alter table mt.newest enable row level security, force row level security; \
             create policy system on mt.newest to mt_system using (true); \
             create policy system on mt.newer to mt_system using (true); \
             create index on mt.newer (tenant_id); \
             grant select on mt.newer, mt.newest to mt_system",
        )
        .await
        .unwrap();
    let older = report(&world).await;
    assert!(older.names(Rule::PolicyDiffers, "mt.users"), "{older}");
    for (rule, object) in [
        (Rule::UniqueOmitsTenant, "mt.tenants"),
        (Rule::TenantNullable, "mt.newer"),
        (Rule::TenantMissing, "mt.newest"),
    ] {
        assert!(older.names(rule, object), "{older}");
    }
    assert!(!older.names(Rule::SchemaNewer, "mt"), "{older}");
    world
        .db
        .admin()
        .execute(
            "insert into mt.schema_migrations (version, description, success, checksum, execution_time) \
             values (9999, 'of a newer version', true, '', 0)",
        )
        .await
        .unwrap();
    let newer = report(&world).await;
    assert!(newer.is_clean(), "{newer}");
    assert!(newer.names(Rule::SchemaNewer, "mt"), "{:?}", newer.notes);
}
