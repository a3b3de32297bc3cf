//! Guards in a tuple.

use mt_tower::layer::GuardLayer;
use mt_tower::problem::Problem;
use mt_tower::{Guard, RequestContext};

use crate::support::{Closed, Counter, Open, request, send};

/// Passes, counts, and says so in the answer.
struct Step(Counter);

impl Guard for Step {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        self.0.add();
        let name = http::HeaderName::from_static("x-step");
        request.response_headers.append(name, self.0.value().into());
        request.extensions.insert(self.0.value());
        Ok(())
    }
}

#[tokio::test]
async fn guards_in_a_tuple_run_in_order() {
    let counter = Counter::default();
    let step = || Step(counter.clone());
    let outcome =
        send(&GuardLayer::new((step(), step(), (step(), Open))), request("/", |_| {})).await;
    assert_eq!(outcome.header("x-step"), ["1", "2", "3"]);
    assert_eq!(outcome.left::<u32>(), 3);
}

#[tokio::test]
async fn first_refusal_ends_the_tuple_and_earlier_headers_are_kept() {
    let counter = Counter::default();
    let step = || Step(counter.clone());
    let layer = GuardLayer::new((step(), Closed(Problem::FORBIDDEN), step()));
    let outcome = send(&layer, request("/", |_| {})).await;
    assert_eq!(outcome.refused(), "forbidden");
    assert_eq!(outcome.header("x-step"), ["1"]);
    assert_eq!(counter.value(), 1);
}
