//! Attacks the helpdesk: tenants, roles and the cap.

use helpdesk::{Helpdesk, SCHEMA, Tickets, routes};
use mt::axum::testing::TestApp;
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
