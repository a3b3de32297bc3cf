//! Fetching a subscription from Stripe when events are ambiguous.

use std::sync::Arc;
use std::time::Duration;

use mt_core::pg::ledger::{EventStatus, Ledger, RetryPolicy};
use mt_stripe::fetch::SubscriptionName;
use mt_stripe::refetch::{Refetched, Refetcher};
use mt_stripe::{Stripe, StripeConfig};
use serde_json::{Value, json};

use crate::support::stripe_api::{EARLY, LATE, StripeApi};
use crate::support::{START, World, deliver, subscription};

pub(crate) const SUB: SubscriptionName<'_> =
    SubscriptionName { account: "", livemode: false, id: "sub_cus_1" };

/// The subscription of `cus_1`, as the API shows it.
pub(crate) fn shown(status: &str) -> Value {
    let mut object = subscription("evt", "cus_1", status, 0)["data"]["object"].take();
    object["livemode"] = json!(false);
    object
}

/// Two events of one second that disagree.
fn unclear() -> [Value; 2] {
    [subscription("evt_a", "cus_1", "active", 5), subscription("evt_b", "cus_1", "past_due", 5)]
}

fn thin(id: &str, twin: Option<&str>) -> Value {
    json!({
        "id": id, "object": "v2.core.event", "type": "v1.customer.subscription.updated",
        "created": "2026-11-23T16:00:05Z", "livemode": false, "snapshot_event": twin,
        "related_object": {"id": "sub_cus_1", "type": "subscription", "url": "/v1/subscriptions/x"},
    })
}

struct Story {
    world: World,
    stripe: StripeApi,
    processor: Ledger<Stripe>,
    tenant: uuid::Uuid,
}

impl Story {
    async fn begin() -> Self {
        let world = World::new().await;
        let tenant = world.payer("cus_1").await;
        let stripe = StripeApi::start().await;
        let retry = RetryPolicy { backoff: Duration::from_mins(1), ..RetryPolicy::default() };
        let processor = world.processor_with(StripeConfig {
            fetcher: Some(Arc::new(stripe.client())),
            policy: retry.into(),
            ..World::config()
        });
        Self { world, stripe, processor, tenant }
    }

    async fn status(&self) -> String {
        self.world.paid_for(self.tenant).await.1
    }

    async fn reason(&self, id: &str) -> (String, Option<String>) {
        let (status, reason, ..) = self.world.event(id).await;
        (status, reason)
    }

    /// Seconds until the event is due again.
    async fn wait(&self, id: &str) -> f64 {
        sqlx::query_scalar(
            "select extract(epoch from next_attempt_at - now())::float8 \
             from mt.webhook_events where event_id = $1",
        )
        .bind(id)
        .fetch_one(self.world.db.admin())
        .await
        .unwrap()
    }

    async fn flags(&self) -> Vec<String> {
        sqlx::query_scalar("select flags from mt.billing_customers where tenant_id = $1")
            .bind(self.tenant)
            .fetch_one(self.world.db.admin())
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn unambiguous_events_need_no_fetch() {
    let story = Story::begin().await;
    for event in [
        subscription("evt_1", "cus_1", "trialing", 0),
        subscription("evt_2", "cus_1", "active", 9),
        subscription("evt_0", "cus_1", "past_due", 3),
    ] {
        deliver(&story.processor, &event).await;
    }
    assert_eq!(story.status().await, "active");
    assert!(story.stripe.is_silent());
}

#[tokio::test]
async fn ambiguous_event_is_resolved_by_a_fetch() {
    let mut story = Story::begin().await;
    let [first, second] = unclear();
    deliver(&story.processor, &first).await;
    let (receipt, ()) = tokio::join!(deliver(&story.processor, &second), async {
        let question = story.stripe.question().await;
        assert_eq!(question.path(), "/v1/subscriptions/sub_cus_1");
        assert!(question.head.contains("authorization: bearer rk_test_0123456789"));
        assert!(question.head.contains("stripe-version: 2026-10-28.endive"));
        assert!(!question.head.contains("stripe-account"));
        question.show(EARLY, &shown("active"));
    });
    assert_eq!(receipt.status, EventStatus::Processed);
    assert_eq!(story.status().await, "active");
    assert_eq!(story.flags().await, Vec::<String>::new());
    // The negative control: without anybody to ask, the other one is believed, and flagged.
    let world = World::new().await;
    let tenant = world.payer("cus_1").await;
    for event in unclear() {
        deliver(&world.processor(), &event).await;
    }
    assert_eq!(world.paid_for(tenant).await.1, "past_due");
    let flagged: bool = sqlx::query_scalar("select needs_refetch from mt.subscriptions")
        .fetch_one(world.db.admin())
        .await
        .unwrap();
    assert!(flagged);
}

/// Neither sees the other when it is looked at, and one of the two has to ask.
#[tokio::test]
async fn two_concurrent_events_leave_no_ambiguity() {
    let story = Story::begin().await;
    let Story { world, mut stripe, processor, .. } = story;
    let answering = tokio::spawn(async move {
        loop {
            stripe.question().await.show(EARLY, &shown("active"));
        }
    });
    for second in 1..30 {
        let [mut first, mut other] = unclear();
        for event in [&mut first, &mut other] {
            event["id"] = json!(format!("{}_{second}", event["id"]));
            event["created"] = json!(START + second);
        }
        tokio::join!(deliver(&processor, &first), deliver(&processor, &other));
        let flagged: i64 =
            sqlx::query_scalar("select count(*) from mt.subscriptions where needs_refetch")
                .fetch_one(world.db.admin())
                .await
                .unwrap();
        assert_eq!(flagged, 0, "second {second}");
    }
    answering.abort();
}

#[tokio::test]
async fn failed_fetch_retries_after_the_delay_that_stripe_asks_for() {
    let mut story = Story::begin().await;
    let [first, second] = unclear();
    deliver(&story.processor, &first).await;

    let (receipt, ()) = tokio::join!(deliver(&story.processor, &second), async {
        story.stripe.question().await.refuse(429, "retry-after: 900\r\n", "rate_limit");
    });
    assert_eq!(receipt.status, EventStatus::Failed);
    let rate_limited = ("failed".to_owned(), Some("stripe_rate_limited".to_owned()));
    assert_eq!(story.reason("evt_b").await, rate_limited);
    let wait = story.wait("evt_b").await;
    assert!((895.0..=1600.0).contains(&wait), "{wait}");
    assert!(!story.processor.apply_next_due().await.unwrap(), "not before then");

    for (answer, reason) in [(503, "stripe_unavailable"), (0, "stripe_unavailable")] {
        story.world.sql("update mt.webhook_events set next_attempt_at = now()").await;
        let (applied, ()) = tokio::join!(story.processor.apply_next_due(), async {
            let question = story.stripe.question().await;
            match answer {
                0 => question.hang_up(),
                status => question.refuse(status, "", "api_error"),
            }
        });
        assert!(applied.unwrap());
        assert_eq!(story.reason("evt_b").await, ("failed".to_owned(), Some(reason.to_owned())));
        assert!(story.wait("evt_b").await > 40.0, "its own backoff");
    }

    story.world.sql("update mt.webhook_events set next_attempt_at = now()").await;
    let (applied, ()) = tokio::join!(story.processor.apply_next_due(), async {
        story.stripe.question().await.show(EARLY, &shown("active"));
    });
    assert!(applied.unwrap());
    assert_eq!(story.reason("evt_b").await, ("processed".to_owned(), None));
    assert_eq!(story.status().await, "active");
}

#[tokio::test]
async fn long_outage_keeps_events_and_a_wrong_key_makes_them_dead() {
    let mut story = Story::begin().await;
    let [first, second] = unclear();
    deliver(&story.processor, &first).await;
    let (_, ()) = tokio::join!(deliver(&story.processor, &second), async {
        story.stripe.question().await.refuse(500, "", "api_error");
    });
    story
        .world
        .sql("update mt.webhook_events set attempts = 999, failures = 9, next_attempt_at = now()")
        .await;
    let (_, ()) = tokio::join!(story.processor.apply_next_due(), async {
        story.stripe.question().await.refuse(500, "", "api_error");
    });
    assert_eq!(story.reason("evt_b").await.0, "failed");

    story.world.sql("update mt.webhook_events set next_attempt_at = now()").await;
    let (_, ()) = tokio::join!(story.processor.apply_next_due(), async {
        story.stripe.question().await.refuse(401, "", "api_key_expired");
    });
    let refused = ("dead".to_owned(), Some("stripe_refused".to_owned()));
    assert_eq!(story.reason("evt_b").await, refused);
}

#[tokio::test]
async fn subscription_unknown_to_stripe_is_kept_and_flagged() {
    let mut story = Story::begin().await;
    let [first, second] = unclear();
    deliver(&story.processor, &first).await;
    let (receipt, ()) = tokio::join!(deliver(&story.processor, &second), async {
        story.stripe.question().await.refuse(404, "", "resource_missing");
    });
    assert_eq!(receipt.status, EventStatus::Processed);
    assert_eq!(story.status().await, "past_due");
    assert_eq!(story.flags().await, ["missing_at_provider"]);
}

#[tokio::test]
async fn thin_event_is_resolved_by_a_fetch() {
    let mut story = Story::begin().await;
    let hint = thin("evt_t", None);
    let (receipt, ()) = tokio::join!(deliver(&story.processor, &hint), async {
        story.stripe.question().await.show(EARLY, &shown("trialing"));
    });
    assert_eq!(receipt.status, EventStatus::Processed);
    assert_eq!(story.status().await, "trialing");

    // Without anybody to ask it is ignored, and says so.
    let world = World::new().await;
    world.payer("cus_1").await;
    let receipt = deliver(&world.processor(), &thin("evt_t", None)).await;
    assert_eq!(receipt.status, EventStatus::Ignored);
    assert_eq!(world.event("evt_t").await.1.as_deref(), Some("thin_event"));
}

#[tokio::test]
async fn snapshot_event_wins_over_thin_event_in_either_order() {
    let mut story = Story::begin().await;
    // The snapshot first: its twin has nothing to add.
    deliver(&story.processor, &subscription("evt_1", "cus_1", "trialing", 1)).await;
    let receipt = deliver(&story.processor, &thin("evt_t1", Some("evt_1"))).await;
    assert_eq!(receipt.status, EventStatus::Ignored);
    assert_eq!(story.reason("evt_t1").await.1.as_deref(), Some("snapshot_known"));
    assert!(story.stripe.is_silent());

    // The twin first: a hint, and the snapshot is not taken for a repetition of it.
    let twin = thin("evt_t2", Some("evt_2"));
    let (_, ()) = tokio::join!(deliver(&story.processor, &twin), async {
        story.stripe.question().await.show(EARLY, &shown("active"));
    });
    assert_eq!(story.status().await, "active");
    let snapshot = subscription("evt_2", "cus_1", "past_due", 120);
    let receipt = deliver(&story.processor, &snapshot).await;
    assert_eq!((receipt.status, receipt.duplicate), (EventStatus::Processed, false));
    assert_eq!(story.status().await, "past_due");
}

/// A burst of hints is one question, if that was asked after they had come.
#[tokio::test]
async fn fetch_started_after_an_event_resolves_it() {
    let mut story = Story::begin().await;
    let [early, late, last] = ["evt_t1", "evt_t2", "evt_t3"].map(|id| thin(id, None));
    let (_, ()) = tokio::join!(deliver(&story.processor, &early), async {
        story.stripe.question().await.refuse(503, "", "api_error");
    });
    let (_, ()) = tokio::join!(deliver(&story.processor, &late), async {
        story.stripe.question().await.show(EARLY, &shown("trialing"));
    });
    story
        .world
        .sql("update mt.webhook_events set next_attempt_at = now() where status = 'failed'")
        .await;
    assert!(story.processor.apply_next_due().await.unwrap());
    assert_eq!(story.reason("evt_t1").await.0, "processed");
    assert!(story.stripe.is_silent());
    // One that came since is a question of its own.
    let (_, ()) = tokio::join!(deliver(&story.processor, &last), async {
        story.stripe.question().await.show(EARLY, &shown("active"));
    });
    assert_eq!(story.status().await, "active");
}

#[tokio::test]
async fn thin_event_of_an_unlinked_customer_waits_for_the_link() {
    let mut story = Story::begin().await;
    let mut object = shown("active");
    object["customer"] = json!("cus_2");
    let hint = thin("evt_t", None);
    let (receipt, ()) = tokio::join!(deliver(&story.processor, &hint), async {
        story.stripe.question().await.show(EARLY, &object);
    });
    assert_eq!(receipt.status, EventStatus::Failed);
    assert_eq!(story.reason("evt_t").await.1.as_deref(), Some("unlinked_customer"));
    let tenant = story.world.payer("cus_2").await;
    story.world.sql("update mt.webhook_events set next_attempt_at = now()").await;
    let (_, ()) = tokio::join!(story.processor.apply_next_due(), async {
        story.stripe.question().await.show(EARLY, &object);
    });
    assert_eq!(story.world.paid_for(tenant).await.1, "active");
    assert_eq!(story.status().await, "none", "the other tenant has nothing to do with it");
}

/// Two ask at once, and the answers come in the other order.
#[tokio::test]
async fn slow_old_response_does_not_overwrite_a_newer_one() {
    let mut story = Story::begin().await;
    let processor = story.world.processor();
    for event in unclear() {
        deliver(&processor, &event).await;
    }
    let refetcher = refetcher(&story);
    // The first fetch took its number before its request. The second takes a later one, and is answered first.
    let slow = tokio::spawn({
        let refetcher = refetcher.clone();
        async move { refetcher.refetch(&SUB).await.unwrap() }
    });
    let slow_question = story.stripe.question().await;
    let (quick, ()) = tokio::join!(refetcher.refetch(&SUB), async {
        story.stripe.question().await.show(EARLY, &shown("active"));
    });
    assert_eq!(quick.unwrap(), Refetched::Applied);
    assert_eq!(story.status().await, "active");
    slow_question.show(LATE, &shown("trialing"));
    assert_eq!(slow.await.unwrap(), Refetched::Overtaken);
    assert_eq!(story.status().await, "active");
}

#[tokio::test]
async fn sweep_resolves_previously_flagged_subscriptions() {
    let mut story = Story::begin().await;
    let processor = story.world.processor();
    for event in unclear() {
        deliver(&processor, &event).await;
    }
    assert_eq!(story.flags().await, ["needs_refetch"]);
    let refetcher = refetcher(&story);
    let (settled, ()) = tokio::join!(refetcher.refetch_flagged(10), async {
        story.stripe.question().await.show(EARLY, &shown("unpaid"));
    });
    assert_eq!(settled.unwrap(), 1);
    assert_eq!((story.status().await, story.flags().await), ("unpaid".to_owned(), vec![]));
    assert_eq!(refetcher.refetch_flagged(10).await.unwrap(), 0);
}

fn refetcher(story: &Story) -> Refetcher {
    let fetcher = Arc::new(story.stripe.client());
    Refetcher::new(story.world.database.system(), fetcher, World::config().prices)
}
