//! Attacks the service: tenants, roles and the cap.

use notebook::{Notebook, Notes, SCHEMA, routes};
use mt::axum::testing::TestApp;

async fn app() -> TestApp<Notebook> {
    const NOTE: &str = "insert into notebook.notes (tenant_id, id, text) \
        values ($1, gen_random_uuid(), $2) returning id::text";
    let app = TestApp::new(routes(), &[SCHEMA]).await;
    app.seed("note_id", NOTE).body("POST", "/notes", "a note".into())
}

#[tokio::test]
async fn tenants_are_isolated() {
    let app = app().await;
    app.isolation().await.assert_none();
    app.isolation_without_policies().await.assert_none();
    app.tables().await.assert_none();
    assert!(app.audit().await.is_clean());
}

#[tokio::test]
async fn roles() {
    app().await.matrix().await.assert_file("tests/it/matrix.txt");
    mt::testing::assert_file("tests/it/policy.txt", &Notebook::policy());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_five_notes_on_the_free_plan() {
    app().await.cap_race::<Notes>("/notes", "notebook.notes").await.unwrap();
}
