//! Policies that mention the setting without isolating tenants, and policies for other roles.

use mt_core::pg::audit::Rule;

use super::{Damage, OF_A, Tampering, each_is_named_and_does_damage};

const TAMPERINGS: [Tampering; 11] = [
    // What any statement of a tenant can set.
    (
        "",
        "alter policy mt_isolation on public.notes \
             using (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))",
        Rule::PolicyIgnoresTenant,
        "public.notes",
        Damage::FindsInjected(OF_A),
    ),
    (
        "",
        "create policy more on public.notes for select to mt_app \
             using ((select current_setting('mt.tenant_id', true)) is not null)",
        Rule::PolicyIgnoresTenant,
        "public.notes",
        Damage::Finds(OF_A),
    ),
    (
        "",
        "alter policy mt_isolation on public.notes using (text like 'canary%' \
             or tenant_id = (select mt.sealed_tenant_id()))",
        Rule::PolicyIgnoresTenant,
        "public.notes",
        Damage::Finds(OF_A),
    ),
    (
        "",
        "alter policy mt_isolation on public.notes with check \
             ((select nullif(current_setting('mt.tenant_id', true), '')::uuid) is not null)",
        Rule::PolicyIgnoresTenant,
        "public.notes",
        Damage::Tables,
    ),
    (
        "",
        "alter policy mt_isolation on public.notes using (id is not null and tenant_id \
             <> (select nullif(current_setting('mt.tenant_id', true), '')::uuid))",
        Rule::PolicyIgnoresTenant,
        "public.notes",
        Damage::Finds(OF_A),
    ),
    // The operator is another one, which the search path of the querying role finds first.
    (
        "create function public.any_uuid(uuid, uuid) returns boolean language sql immutable as 'select true'; \
         create operator public.= (leftarg = uuid, rightarg = uuid, function = public.any_uuid)",
        "alter policy mt_isolation on public.notes using (tenant_id operator(public.=) \
             (select mt.sealed_tenant_id())); \
         alter database {database} set search_path = public, pg_catalog",
        Rule::PolicyIgnoresTenant,
        "public.notes",
        Damage::Finds(OF_A),
    ),
    (
        "",
        "grant select on public.notes to mt_system; \
         create policy all_of_them on public.notes for select to mt_system using (true)",
        Rule::PolicyForSystem,
        "public.notes",
        Damage::SystemFinds(OF_A),
    ),
    (
        "",
        "grant select on public.notes to {login}; \
         create policy reports on public.notes for select to {login} using (true)",
        Rule::PolicyForUnknownRole,
        "public.notes",
        Damage::LoginFinds("", OF_A),
    ),
    (
        "",
        "create policy more on mt.users for select to mt_app using (true)",
        Rule::PolicyDiffers,
        "mt.users",
        Damage::Finds("select count(*) from mt.users where email = 'a@example.org'"),
    ),
    (
        "",
        "alter policy tenant on mt.tenants using (plan = 'free' \
             or id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))",
        Rule::PolicyDiffers,
        "mt.tenants",
        Damage::Finds("select count(*) - 1 from mt.tenants"),
    ),
    (
        "",
        "alter policy tenant on mt.memberships to public using (is_owner)",
        Rule::PolicyDiffers,
        "mt.memberships",
        Damage::Finds("select count(*) - 1 from mt.memberships"),
    ),
];

#[tokio::test]
async fn tampering_with_policies() {
    each_is_named_and_does_damage(&TAMPERINGS).await;
}

/// More conditions beside the tenant's are fine, and so is the library's own function.
#[tokio::test]
async fn policies_stricter_than_the_tenant_condition_are_accepted() {
    use sqlx::Executor as _;

    let world = crate::support::World::new(1).await;
    for condition in [
        "text <> 'hidden' and (id is not null \
             and tenant_id = (select mt.sealed_tenant_id()))",
        "(select mt.sealed_tenant_id()) = tenant_id and (text = 'a or b' or text like '(%')",
    ] {
        let sql = format!("alter policy mt_isolation on public.notes using ({condition})");
        world.db.admin().execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        let report = crate::audit::report(&world).await;
        assert!(report.is_clean(), "{condition}: {report}");
    }
}
