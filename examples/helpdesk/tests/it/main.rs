//! Attacks the helpdesk: tenants, roles and the cap; and runs its job.

mod start;

use helpdesk::{Helpdesk, SCHEMA, Tickets, TicketsDelete, jobs, purge_closed, purge_later, routes};
use mt::access::AccessRequest;
use mt::auth::Principal;
use mt::axum::testing::TestApp;
use mt::billing::StandingPolicy;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_roles_and_the_cap() {
    const TICKET: &str = "insert into helpdesk.tickets (tenant_id, id, subject) \
        values ($1, gen_random_uuid(), $2) returning id::text";
    const COMMENT: &str = "insert into helpdesk.comments (tenant_id, id, ticket_id, text) \
        select $1, gen_random_uuid(), id, $2 from helpdesk.tickets where tenant_id = $1 \
        returning id::text";
    let app = TestApp::new(routes(), &[SCHEMA]).await;
    let app = app.seed("ticket_id", TICKET).seed("comment_id", COMMENT);
    let app = app
        .body("POST", "/tickets", json!({"subject": "a ticket"}))
        .body("PATCH", "/tickets/{ticket_id}", json!({"status": "closed"}))
        .body("POST", "/comments", json!("a comment"));
    app.assert_isolated().await;
    app.matrix().await.assert_file("tests/it/matrix.txt");
    mt::testing::assert_file("tests/it/policy.txt", &Helpdesk::policy());
    app.cap_race::<Tickets>("/tickets", "helpdesk.tickets").await.unwrap();
}

#[tokio::test]
async fn closed_tickets_are_purged_in_every_shop() {
    let app = TestApp::new(routes(), &[SCHEMA]).await;
    let tickets = "insert into helpdesk.tickets (tenant_id, id, subject, status) \
        select $1, gen_random_uuid(), 'a ticket', status from unnest(array['open', 'closed', 'closed']) status";
    for _ in 0..3 {
        let (shop, _) = app.tenant_and_owner().await;
        let admin = app.database().admin();
        sqlx::query(tickets).bind(shop.as_uuid()).execute(admin).await.unwrap();
    }
    let database = app.database().connect(4).await.unwrap();
    let report = purge_closed(&database.tenants(StandingPolicy::default())).await.unwrap();
    assert_eq!((report.visited, report.failed.len()), (3, 0));
    let left = "select array_agg(distinct status), count(*) from helpdesk.tickets";
    let left: (Vec<String>, i64) =
        sqlx::query_as(left).fetch_one(app.database().admin()).await.unwrap();
    assert_eq!(left, (vec!["open".to_owned()], 3));
    let told = "select count(*) from mt.audit_log where actor_kind = 'service' and actor_name = 'ticket-purger'";
    let told: i64 = sqlx::query_scalar(told).fetch_one(app.database().admin()).await.unwrap();
    assert_eq!(told, 3);
}

#[tokio::test]
async fn closed_tickets_are_purged_by_a_job() {
    let app = TestApp::new(routes(), &[SCHEMA]).await;
    let (shop, owner) = app.tenant_and_owner().await;
    let admin = app.database().admin();
    let tickets = "insert into helpdesk.tickets (tenant_id, id, subject, status) \
        select $1, gen_random_uuid(), 'a ticket', status from unnest(array['open', 'closed']) status";
    sqlx::query(tickets).bind(shop.as_uuid()).execute(admin).await.unwrap();
    let database = app.database().connect(4).await.unwrap();
    let shops = database.tenants(StandingPolicy::default());
    let jobs = jobs(&shops).unwrap();
    for _ in 0..2 {
        let request = AccessRequest::<TicketsDelete>::new(Principal::new(owner), shop);
        let mut tx = shops.begin(request).await.unwrap();
        purge_later(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert!(!jobs.run_next().await.unwrap(), "it waits for an hour");
    let now = "update mt.jobs set run_at = now()";
    assert_eq!(sqlx::query(now).execute(admin).await.unwrap().rows_affected(), 1, "it is unique");
    assert!(jobs.run_next().await.unwrap());
    let left: Vec<String> =
        sqlx::query_scalar("select status from helpdesk.tickets").fetch_all(admin).await.unwrap();
    assert_eq!(left, ["open"]);
}
