//! The decisions that observers receive.

use std::sync::{Arc, Mutex};

use mt_core::access::Access;
use mt_tower::layer::GuardLayer;
use mt_tower::observe::{CheckOutcome, ObservedGuard};
use mt_tower::problem::Problem;
use mt_tower::require::Require;

use crate::support::{Acme, Closed, EDITOR, Open, Role, TasksWrite, access, having, request, send};

/// Guard, code of the problem, and whether a member was behind it.
type Told = Arc<Mutex<Vec<(&'static str, Option<&'static str>, bool)>>>;

fn observer(told: &Told) -> impl Fn(&CheckOutcome<'_>) + Send + Sync + 'static {
    let told = Arc::clone(told);
    move |outcome| {
        let code = outcome.problem.map(Problem::code);
        let member = outcome.extensions.get::<Access<Acme>>().is_some();
        told.lock().unwrap().push((outcome.guard, code, member));
    }
}

#[tokio::test]
async fn every_decision_is_observed_once() {
    let told = Told::default();
    let layer = GuardLayer::new((
        ObservedGuard::new("open", Open, observer(&told)),
        ObservedGuard::new("require", Require::<TasksWrite>::new(), observer(&told)),
    ));
    let viewer = mt_core::access::Facts { role: Role::Viewer, ..EDITOR };
    assert_eq!(send(&layer, request("/", having(access(EDITOR)))).await.status(), 200);
    assert_eq!(send(&layer, request("/", having(access(viewer)))).await.refused(), "forbidden");
    assert_eq!(
        *told.lock().unwrap(),
        [
            ("open", None, true),
            ("require", None, true),
            ("open", None, true),
            ("require", Some("forbidden"), true),
        ]
    );
}

#[tokio::test]
async fn guards_that_are_not_reached_observe_nothing() {
    let told = Told::default();
    let layer = GuardLayer::new((
        ObservedGuard::new("closed", Closed(Problem::NOT_FOUND), observer(&told)),
        ObservedGuard::new("open", Open, observer(&told)),
    ));
    assert_eq!(send(&layer, request("/", |_| {})).await.refused(), "not-found");
    assert_eq!(*told.lock().unwrap(), [("closed", Some("not-found"), false)]);
}
