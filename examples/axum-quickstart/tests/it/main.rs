//! Attacks the quickstart: tenants, roles and the cap.

mod readme;

use axum_quickstart::{Notebook, Notes, SCHEMA, routes};
use mt::axum::testing::TestApp;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_roles_and_the_cap() {
    const NOTE: &str = "insert into notebook.notes (tenant_id, id, text) \
        values ($1, gen_random_uuid(), $2) returning id::text";
    let app = TestApp::new(routes(), &[SCHEMA]).await.seed("note_id", NOTE);
    let app = app.body("POST", "/notes", "a note".into());
    app.assert_isolated().await;
    app.matrix().await.assert_file("tests/it/matrix.txt");
    mt::testing::assert_file("tests/it/policy.txt", &Notebook::policy());
    app.cap_race::<Notes>("/notes", "notebook.notes").await.unwrap();
}
