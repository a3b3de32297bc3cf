//! Guards in a tuple, and guards that promise not to wait.

use std::future::pending;

use mt_tower::layer::GuardLayer;
use mt_tower::problem::Problem;
use mt_tower::{Guard, View};

use crate::support::{Closed, Counter, Open, request, send};

/// Passes, counts, and says so in the answer.
struct Step(Counter);

impl Guard for Step {
    const NEVER_WAITS: bool = true;

    async fn check<'a>(&'a self, view: View<'a>) -> Result<(), Problem> {
        self.0.add();
        let name = http::HeaderName::from_static("x-step");
        view.answer.add(name, self.0.value().into());
        view.extensions.insert(self.0.value());
        Ok(())
    }
}

#[tokio::test]
async fn guards_in_a_tuple_are_asked_in_order() {
    let counter = Counter::default();
    let step = || Step(counter.clone());
    let outcome =
        send(&GuardLayer::new((step(), step(), (step(), Open))), request("/", |_| {})).await;
    assert_eq!(outcome.header("x-step"), ["1", "2", "3"]);
    assert_eq!(outcome.left::<u32>(), 3);
}

#[tokio::test]
async fn the_first_that_refuses_ends_it_and_what_was_said_is_in_the_answer() {
    let counter = Counter::default();
    let step = || Step(counter.clone());
    let layer = GuardLayer::new((step(), Closed(Problem::FORBIDDEN), step()));
    let outcome = send(&layer, request("/", |_| {})).await;
    assert_eq!(outcome.refused(), "forbidden");
    assert_eq!(outcome.header("x-step"), ["1"]);
    assert_eq!(counter.value(), 1);
}

/// Says that it never waits, and waits.
struct Liar;

impl Guard for Liar {
    const NEVER_WAITS: bool = true;

    async fn check<'a>(&'a self, _: View<'a>) -> Result<(), Problem> {
        pending().await
    }
}

#[tokio::test]
async fn a_promise_that_is_not_kept_is_no_pass() {
    assert_eq!(send(&GuardLayer::new(Liar), request("/", |_| {})).await.refused(), "internal");
    let layer = GuardLayer::new((Step(Counter::default()), Liar));
    assert_eq!(send(&layer, request("/", |_| {})).await.refused(), "internal");
}

#[test]
fn a_tuple_waits_where_one_of_its_guards_does() {
    const { assert!(<(Step, Step) as Guard>::NEVER_WAITS) }
    const { assert!(!<(Step, Open) as Guard>::NEVER_WAITS) }
}
