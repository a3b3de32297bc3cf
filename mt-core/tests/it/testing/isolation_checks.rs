//! The isolation checks for embedders: each planted fault is found, and a check without evidence fails.

mod application;

use mt_core::testing::isolation::{
    Findings, Harness, Route, TenantFixture, TestRequest, check_tables,
};
use serde_json::json;
use sqlx::Executor as _;

use self::application::{Application, Fault};

fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", "/{tenant}/notes"),
        Route::new("GET", "/{tenant}/notes/{note}"),
        Route::new("POST", "/{tenant}/notes").json(json!({"text": "x"})),
        Route::new("DELETE", "/{tenant}/notes/{note}"),
        Route::new("GET", "/{tenant}/count").silent("a number"),
    ]
}

/// Returns the findings for an application with `fault`, with routes in this order.
async fn findings_about(fault: Fault, routes: Vec<Route>, has_policies: bool) -> Findings {
    let application = Application::new(fault).await;
    let world = Harness::new(
        application.db(),
        async |canary| application.seed(canary).await,
        async |call: TestRequest| application.answer(call).await,
    )
    .ignoring("x-request-id")
    .ignoring("request_id")
    .serving([
        ("GET", "/{shop_id}/notes"),
        ("GET", "/{shop_id}/notes/{note_id}"),
        ("POST", "/{shop_id}/notes"),
        ("DELETE", "/{shop_id}/notes/{note_id}"),
        ("GET", "/{shop_id}/count"),
    ]);
    if has_policies {
        world.check(routes).await
    } else {
        world.without_policies().check(routes).await
    }
}

async fn findings(fault: Fault) -> Findings {
    findings_about(fault, routes(), true).await
}

#[tokio::test]
async fn application_without_a_fault_passes() {
    findings(Fault::None).await.assert_none();
    let without_policies = findings_about(Fault::None, routes(), false).await;
    without_policies.assert_none();
}

/// Fails unless each fault is found, in these words.
async fn are_found(faults: &[(Fault, &str)]) {
    for (fault, words) in faults {
        let findings = findings(*fault).await;
        assert!(findings.to_string().contains(words), "{fault:?}: {findings}");
    }
}

#[tokio::test]
async fn reads_across_tenants_are_found() {
    are_found(&[
        (Fault::ShowsAnyTenant, "the response holds A's canary"),
        (Fault::ShowsInAHeader, "the response holds A's canary"),
        (Fault::ShowsAnId, "'s {note} `"),
        (Fault::ShowsAnonymousCallers, "anonymous of B: GET"),
        (Fault::TellsThereIsSomething, "an id of A and an unknown id get different responses"),
        (Fault::TellsByAHeader, "an id of A and an unknown id get different responses"),
        (Fault::CachesLists, "the response holds"),
        (Fault::CachesByCaller, "the canary of their other tenant"),
        (Fault::TakesTheTenantOfAHeader, "the response holds A's canary"),
    ])
    .await;
}

#[tokio::test]
async fn writes_and_counts_across_tenants_are_found() {
    are_found(&[
        (Fault::DeletesAnyTenants, "the data of A changed"),
        (Fault::DeletesEverything, "the data of A or B changed"),
        (Fault::TakesTheTenantOfTheBody, "the data of A changed"),
        (Fault::CopiesRows, "a row of another tenant holds"),
        (Fault::CountsAllTenants, "activity of other tenants changes the response"),
        (Fault::NumbersAllTenants, "it counts what other tenants did"),
    ])
    .await;
}

#[tokio::test]
async fn broken_application_is_reported() {
    are_found(&[
        (Fault::ShowsNothing, "no member is shown the canary"),
        (Fault::AlwaysFails, "the application fails"),
        (Fault::RefusesMembers, "no member of its own tenant can call it"),
        (Fault::TakesNoBody, "no member of its own tenant can call it"),
        (Fault::ChangesNothing, "succeeds and changes nothing"),
        (Fault::Varies, "two identical requests get different responses"),
    ])
    .await;
}

/// In whichever order routes are named, and with the cached one first or last.
#[tokio::test]
async fn order_of_routes_does_not_change_the_result() {
    for turn in 0..routes().len() {
        let mut routes = routes();
        routes.rotate_left(turn);
        let findings = findings_about(Fault::CachesLists, routes, true).await.to_string();
        assert!(findings.contains("GET /{tenant}/notes"), "{turn}: {findings}");
    }
}

/// Row-level security stands in for a forgotten `where`; without it, the same check finds it.
#[tokio::test]
async fn query_that_relies_on_policies_alone_is_found_without_them() {
    findings(Fault::OmitsTheTenant).await.assert_none();
    let findings = findings_about(Fault::OmitsTheTenant, routes(), false).await.to_string();
    assert!(findings.contains("canary"), "{findings}");
}

#[tokio::test]
async fn policies_are_enabled_again_after_the_check() {
    let application = Application::new(Fault::None).await;
    let world = Harness::new(
        application.db(),
        async |canary| application.seed(canary).await,
        async |call: TestRequest| application.answer(call).await,
    );
    let count = "select count(*) from pg_class where relrowsecurity and relforcerowsecurity";
    let protected = async || -> i64 {
        sqlx::query_scalar(count).fetch_one(application.db().admin()).await.unwrap()
    };
    let before = protected().await;
    world.without_policies().check([]).await.assert_none();
    assert_eq!(protected().await, before);
    // The control of the control: what cannot be read shows nothing.
    let admin = application.db().admin();
    admin.execute("revoke select on public.notes from mt_app").await.unwrap();
    let findings = world.without_policies().check([]).await.to_string();
    assert!(findings.contains("public.notes: mt_app cannot read it"), "{findings}");
    assert!(findings.contains("switching it off proves nothing"), "{findings}");
    assert!(before > 5, "{before}");
}

/// A check that names an unknown table fails.
#[tokio::test]
async fn check_without_evidence_fails() {
    for (route, words) in [
        (Route::new("GET", "/{tenant}/note"), "no member of its own tenant can call it"),
        (Route::new("GET", "/{tenant}/note"), "the application does not have it"),
        (Route::new("POST", "/{tenant}/notes").json(json!({"txt": "x"})), "no member of its own"),
        (Route::new("GET", "/{tenant}/count"), "no member is shown the canary"),
        (Route::new("GET", "/{tenant}/notes").silent("not so"), "declared silent and shows"),
        (Route::new("GET", "/{tenant}/count"), "the check does not name it"),
    ] {
        let name = format!("{route:?}");
        let findings = findings_about(Fault::None, vec![route], true).await.to_string();
        assert!(findings.contains(words), "{name}: {findings}");
    }
    let findings = findings(Fault::SeedsNoCanaries).await.to_string();
    for words in ["has no canary in its name", "has no canary in the address of a member, `owner`"]
    {
        assert!(findings.contains(words), "{findings}");
    }
}

#[tokio::test]
async fn matrix_lists_outcomes_and_writes_per_role() {
    async fn matrix(fault: Fault) -> String {
        let application = Application::new(fault).await;
        let world = Harness::new(
            application.db(),
            async |canary| application.seed(canary).await,
            async |call: TestRequest| application.answer(call).await,
        );
        world.matrix(routes()).await.to_string()
    }
    let good = matrix(Fault::None).await;
    let expected = "\
GET /{tenant}/notes
    owner      200
    viewer     200
    outsider   404
    anonymous  404

GET /{tenant}/notes/{note}
    owner      200
    viewer     200
    outsider   404
    anonymous  404

POST /{tenant}/notes {\"text\":\"x\"}
    owner      201  insert public.notes
    viewer     404
    outsider   404
    anonymous  404

DELETE /{tenant}/notes/{note}
    owner      204  delete public.notes
    viewer     404
    outsider   404
    anonymous  404

GET /{tenant}/count
    owner      200
    viewer     200
    outsider   404
    anonymous  404
";
    assert_eq!(good, expected);
    assert_eq!(matrix(Fault::None).await, good, "the same from run to run");
    assert!(matrix(Fault::LetsViewersDelete).await.contains("viewer     204  delete public.notes"));
    assert!(matrix(Fault::TouchesAnotherTable).await.contains("update mt.tenants"));
}

/// Two tenants with a note each.
async fn two_tenants() -> (Application, [TenantFixture; 2]) {
    let application = Application::new(Fault::None).await;
    let parties = [application.seed("a".to_owned()).await, application.seed("b".to_owned()).await];
    (application, parties)
}

#[tokio::test]
async fn isolated_tables_pass() {
    let (application, [a, b]) = two_tenants().await;
    check_tables(application.db(), a.tenant(), b.tenant()).await.assert_none();
}

#[tokio::test]
async fn each_missing_protection_of_a_table_is_found() {
    for (hole, words) in [
        ("alter table public.notes disable row level security", "B sees 2 of 1"),
        (
            "create policy also on public.notes for select to mt_app using (true)",
            "no tenant sees 2",
        ),
        (
            "create policy also on public.notes for insert to mt_app with check (true)",
            "not because of the policy",
        ),
        ("drop policy mt_isolation on public.notes", "B sees 0 of 1"),
        (
            "drop policy mt_isolation on public.notes; create policy bare on public.notes to mt_app \
             using (tenant_id = current_setting('mt.tenant_id')::uuid)",
            "cannot query",
        ),
        ("delete from public.notes", "need rows"),
    ] {
        let (application, [a, b]) = two_tenants().await;
        application.db().admin().execute(hole).await.unwrap();
        let findings = check_tables(application.db(), a.tenant(), b.tenant()).await;
        assert!(findings.to_string().contains(words), "{hole}: {findings}");
    }
}
