//! The audit log: an entry is written with its change, and never altered.

mod webhook_effects;

use std::time::Duration;

use mt_core::access::Suspension;
use mt_core::auth::Principal;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::pg::audit_log::{Action, Actor, Entry, Filter, in_request, list};
use mt_core::pg::invites::InviteTerms;
use mt_core::pg::{Tenant, Tenants, invites};
use mt_core::testing::Relay;
use mt_core::token::TokenHasher;
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use crate::support::{
    Acme, Leave, Manage, NotesRead, NotesWrite, Role, SETUP, Seats, World, email,
};
use crate::transactions::round_trips::{prepared, spelled_out};

const NOTE_CHANGED: Action = Action::new("note.changed", "note");

/// The log of `tenant` as its owner reads it, oldest first.
async fn log(world: &World, tenant: TenantId, owner: Principal) -> Vec<Entry> {
    let grant = world.grant::<NotesRead>(owner, tenant).await;
    let read = world.tenants.read(grant);
    let mut all = list(read, &Filter::default(), None, 1000).await.unwrap();
    all.reverse();
    all
}

async fn actions(world: &World, tenant: TenantId, owner: Principal) -> Vec<String> {
    log(world, tenant, owner).await.into_iter().map(|line| line.action).collect()
}

/// Changes notes, and says so.
async fn change_notes(
    tenants: &Tenants<Acme>,
    world: &World,
    (tenant, who): (TenantId, Principal),
    sql: &'static str,
) -> mt_core::pg::TenantTx<NotesWrite> {
    let grant = world.grant::<NotesWrite>(who, tenant).await;
    let mut tx = tenants.begin(grant).await.unwrap();
    let changed = tx.execute::<NotesWrite>(NOTE_CHANGED.on(Uuid::nil()));
    sqlx::query(sql).execute(changed).await.unwrap();
    tx
}

const INSERT: &str = "insert into public.notes (text) values ('one')";

#[tokio::test]
async fn library_changes_record_actor_action_and_target() {
    let world = World::new(2).await;
    let [owner, editor, guest] =
        [world.user("owner").await, world.user("editor").await, world.user("guest").await];
    let hasher = TokenHasher::new(b"a secret of the tests, for hashing");
    let system = world.database.system();
    let mut tx = system.begin_for(owner, SETUP).await.unwrap();
    let tenant = Tenant::create::<Acme>(&mut tx, "a tenant", owner.id()).await.unwrap().id;
    tx.commit().await.unwrap();
    world.join(tenant, editor, Role::Viewer).await;

    let grant = async || world.grant::<Manage>(owner, tenant).await;
    let mut invite_ids = Vec::new();
    for role in [Role::Viewer, Role::Editor] {
        let (mut tx, cap) =
            world.tenants.begin(grant().await).exclusive().capped::<Seats>().await.unwrap();
        let terms = InviteTerms { ttl: Duration::from_mins(1), mail_interval: None };
        let made =
            invites::invite(&mut tx, cap, &hasher, &email("guest"), role, terms).await.unwrap();
        tx.commit().await.unwrap();
        invite_ids.push(made.invite.id.as_uuid());
        if role == Role::Editor {
            let mut tx = system.begin_for(guest, SETUP).await.unwrap();
            let standing = mt_core::billing::StandingPolicy::default();
            let token = made.token.reveal();
            invites::accept::<Acme, Seats>(&mut tx, &hasher, &standing, guest, token)
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
    }
    let mut tx = world.tenants.begin(grant().await).exclusive().await.unwrap();
    Tenant::rename(&mut tx, "another").await.unwrap();
    tx.assign_role(editor.id(), Role::Editor).await.unwrap();
    // No change, no entry.
    tx.assign_role(editor.id(), Role::Editor).await.unwrap();
    tx.remove_member(editor.id()).await.unwrap();
    tx.commit().await.unwrap();
    let leave = world.grant::<Leave>(guest, tenant).await;
    let mut tx = world.tenants.begin(leave).exclusive().await.unwrap();
    tx.remove_member(guest.id()).await.unwrap();
    tx.commit().await.unwrap();
    for suspension in [Suspension::Full, Suspension::Full, Suspension::None] {
        let mut tx = system.begin(SETUP).await.unwrap();
        tx.act_as(Actor::operator("operator on duty"));
        Tenant::suspend(&mut tx, tenant, suspension).await.unwrap();
        tx.commit().await.unwrap();
    }

    let told: Vec<_> = log(&world, tenant, owner)
        .await
        .into_iter()
        .map(|line| {
            let who = line.actor_email.or(line.actor_name).unwrap_or("a former member".to_owned());
            (who, line.action, line.target_id.unwrap(), line.detail.to_string())
        })
        .collect();
    let owned = "owner@example.org";
    let gone = "a former member";
    let (tenant_id, owner_id) = (tenant.as_uuid(), owner.id().as_uuid());
    let (editor_id, guest_id) = (editor.id().as_uuid(), guest.id().as_uuid());
    let expected = [
        (owned, "tenant.created", tenant_id, format!(r#"{{"owner":"{owner_id}"}}"#)),
        (owned, "invite.created", invite_ids[0], r#"{"role":"viewer"}"#.to_owned()),
        (owned, "invite.renewed", invite_ids[0], r#"{"role":"editor"}"#.to_owned()),
        (
            gone,
            "member.joined",
            guest_id,
            format!(r#"{{"invite":"{}","role":"editor"}}"#, invite_ids[0]),
        ),
        (owned, "tenant.renamed", tenant_id, "{}".to_owned()),
        (owned, "member.role_changed", editor_id, r#"{"from":"viewer","to":"editor"}"#.to_owned()),
        (owned, "member.removed", editor_id, r#"{"role":"editor"}"#.to_owned()),
        (gone, "member.left", guest_id, r#"{"role":"editor"}"#.to_owned()),
        (
            "operator on duty",
            "tenant.suspension_changed",
            tenant_id,
            r#"{"from":"none","to":"full"}"#.to_owned(),
        ),
        (
            "operator on duty",
            "tenant.suspension_changed",
            tenant_id,
            r#"{"from":"full","to":"none"}"#.to_owned(),
        ),
    ]
    .map(|(who, action, target, detail)| (who.to_owned(), action.to_owned(), target, detail));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn rolled_back_or_empty_change_leaves_no_audit_entry() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let of = (tenant, owner);
    let before = actions(&world, tenant, owner).await;
    change_notes(&world.tenants, &world, of, INSERT).await.rollback().await.unwrap();
    drop(change_notes(&world.tenants, &world, of, INSERT).await);
    world.no_transaction_stays_open().await;
    let nothing = "delete from public.notes where text = 'not there'";
    change_notes(&world.tenants, &world, of, nothing).await.commit().await.unwrap();
    assert_eq!(actions(&world, tenant, owner).await, before);
    // The control.
    change_notes(&world.tenants, &world, of, INSERT).await.commit().await.unwrap();
    assert_eq!(actions(&world, tenant, owner).await.len(), before.len() + 1);
}

#[tokio::test]
async fn nothing_changes_when_the_audit_log_cannot_be_written() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    world.db.admin().execute("revoke insert on mt.audit_log from mt_app").await.unwrap();
    let tx = change_notes(&world.tenants, &world, (tenant, owner), INSERT).await;
    tx.commit().await.unwrap_err();
    assert_eq!(world.count("select count(*) from public.notes").await, 0);
    world.db.admin().execute("grant insert on mt.audit_log to mt_app").await.unwrap();
    let tx = change_notes(&world.tenants, &world, (tenant, owner), INSERT).await;
    tx.commit().await.unwrap();
    assert_eq!(world.count("select count(*) from public.notes").await, 1);
}

#[tokio::test]
async fn audit_entry_costs_no_round_trip_and_names_its_request() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let relay = Relay::start(&world.db.login()).await.unwrap();
    let options = mt_core::pg::DatabaseOptions::new(relay.through(world.db.login()))
        .max_connections(1)
        .statements(mt_core::pg::Statements::Named);
    let database = mt_core::pg::Database::connect(options).await.unwrap();
    let tenants = database.tenants(mt_core::billing::StandingPolicy::default());
    let work = async || {
        let tx = change_notes(&tenants, &world, (tenant, owner), INSERT).await;
        tx.commit().await.unwrap();
    };
    work().await;
    let prepared = prepared(&relay.take_round_trips());
    in_request("request-1", work()).await;
    let trips = relay.take_round_trips();
    assert_eq!(trips.len(), 3, "{trips:#?}");
    let last = spelled_out(&trips[2], &prepared);
    assert!(last.starts_with("insert into mt.audit_log") && last.ends_with("; commit"), "{last}");
    let requests: Vec<_> =
        log(&world, tenant, owner).await.into_iter().map(|line| line.request_id).collect();
    assert_eq!(requests, [None, None, Some("request-1".to_owned())]);
}

/// Runs one statement as a role of transactions, in a transaction of `tenant` that is rolled back.
async fn as_role(
    world: &World,
    role: &str,
    tenant: TenantId,
    sql: &str,
) -> Result<u64, sqlx::Error> {
    let mut conn = world.db.admin().acquire().await?;
    let open = format!("begin; call mt.seal('{tenant}', '', ''); set local role {role}");
    conn.execute(AssertSqlSafe(open)).await?;
    let done = conn.execute(AssertSqlSafe(sql.to_owned())).await;
    conn.execute("rollback").await?;
    done.map(|done| done.rows_affected())
}

#[tokio::test]
async fn transaction_roles_append_to_and_read_the_audit_log_only() {
    let world = World::new(2).await;
    let tenant = world.tenant(world.user("owner").await).await;
    let update = "update mt.audit_log set action = 'nothing.happened'";
    let delete = "delete from mt.audit_log";
    for role in ["mt_app", "mt_system"] {
        for sql in [update, delete, "truncate mt.audit_log"] {
            let done = as_role(&world, role, tenant, sql).await;
            if (role, sql) == ("mt_system", delete) {
                // It deletes old entries only (`database/retention.rs`).
                assert_eq!(done.unwrap(), 0);
                continue;
            }
            let refused = done.unwrap_err();
            let code = refused.as_database_error().and_then(sqlx::error::DatabaseError::code);
            assert_eq!(code.as_deref(), Some("42501"), "{role}: {sql}");
        }
        let add = format!(
            "insert into mt.audit_log (tenant_id, id, actor_kind, actor_name, action, target_kind) \
             values ('{tenant}', gen_random_uuid(), 'system', 's', 'a', 't')"
        );
        assert_eq!(as_role(&world, role, tenant, &add).await.unwrap(), 1, "{role}");
    }
    // The control: with the right, it could.
    world.db.admin().execute("grant update, delete on mt.audit_log to mt_app").await.unwrap();
    for sql in [update, delete] {
        assert_eq!(as_role(&world, "mt_app", tenant, sql).await.unwrap(), 1, "{sql}");
    }
}

#[tokio::test]
async fn tenant_reads_and_appends_to_its_own_audit_log_only() {
    let world = World::new(2).await;
    let (a, b) = (world.user("a").await, world.user("b").await);
    let (of_a, of_b) = (world.tenant(a).await, world.tenant(b).await);
    assert_eq!(log(&world, of_a, a).await.len(), 1);
    let all = "select * from mt.audit_log";
    assert_eq!(as_role(&world, "mt_app", of_b, all).await.unwrap(), 1);
    assert_eq!(as_role(&world, "mt_system", of_b, all).await.unwrap(), 2);
    let plant = format!(
        "insert into mt.audit_log (tenant_id, id, actor_kind, actor_name, action, target_kind) \
         values ('{of_a}', gen_random_uuid(), 'system', 's', 'a', 't')"
    );
    assert!(as_role(&world, "mt_app", of_b, &plant).await.is_err());
}

#[tokio::test]
async fn audit_log_is_filtered_and_paginated() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    for _ in 0..3 {
        let tx = change_notes(&world.tenants, &world, (tenant, owner), INSERT).await;
        tx.commit().await.unwrap();
    }
    let grant = world.grant::<NotesRead>(owner, tenant).await;
    let list = async |filter: &Filter<'_>, before, limit| {
        list(world.tenants.read(grant), filter, before, limit).await.unwrap()
    };
    let of = async |filter: Filter<'_>| list(&filter, None, 100).await.len();
    let user = mt_core::pg::audit_log::ActorKind::User;
    let system = mt_core::pg::audit_log::ActorKind::System;
    let filter = Filter::default();
    assert_eq!(of(Filter { action: Some("note.changed"), ..filter }).await, 3);
    assert_eq!(of(Filter { action: Some("note.chang"), ..filter }).await, 0);
    assert_eq!(of(Filter { actor_kind: Some(user), ..filter }).await, 3);
    assert_eq!(of(Filter { actor_kind: Some(system), ..filter }).await, 1);
    assert_eq!(of(Filter { actor: Some(owner.id()), ..filter }).await, 3);
    assert_eq!(of(Filter { actor: Some(PrincipalId::generate()), ..filter }).await, 0);
    let first = list(&filter, None, 2).await;
    let rest = list(&filter, Some(first[1].id), 100).await;
    let ids: Vec<_> = first.iter().chain(&rest).map(|line| line.id).collect();
    assert!(ids.len() == 4 && ids.is_sorted_by(|a, b| a > b), "{ids:?}");
}
