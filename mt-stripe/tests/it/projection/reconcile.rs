//! Reconciliation with Stripe corrects tenants, and does not overwrite newer state.

use std::sync::Arc;
use std::time::Duration;

use mt_core::id::TenantId;
use mt_stripe::reconcile::{ReconcileError, Reconciled, Reconciler};
use mt_stripe::refetch::Refetcher;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::subscriptions::refetch::shown;
use crate::support::stripe_api::{ApiRequest, EARLY, LATE, StripeApi};
use crate::support::{World, deliver, subscription};

struct Night {
    world: World,
    stripe: StripeApi,
    reconciler: Reconciler,
}

impl Night {
    async fn begin() -> Self {
        let (world, stripe) = (World::new().await, StripeApi::start().await);
        let fetcher = Arc::new(stripe.client());
        let refetcher = Refetcher::new(world.database.system(), fetcher, World::config().prices);
        Self { world, stripe, reconciler: Reconciler::new(refetcher) }
    }

    /// One run, while `answer` stands in for Stripe.
    async fn run(
        &mut self,
        answer: impl AsyncFnOnce(&mut StripeApi),
    ) -> (Vec<Reconciled>, Result<(), ReconcileError>) {
        let mut seen = Vec::new();
        let run = self.reconciler.run(None, |reconciled| seen.push(reconciled.clone()));
        let (outcome, ()) = tokio::join!(run, answer(&mut self.stripe));
        assert!(self.stripe.is_silent(), "nothing else is asked");
        (seen, outcome)
    }
}

fn list(question: ApiRequest, date: &str, data: &[Value]) {
    question.show(date, &json!({"object": "list", "has_more": false, "data": data}));
}

fn asks_for(question: &ApiRequest, customer: &str) {
    let path = format!("/v1/subscriptions?customer={customer}&status=all&limit=100");
    assert_eq!(question.path(), path);
}

#[tokio::test]
async fn reconciliation_corrects_what_no_event_reported() {
    let mut night = Night::begin().await;
    let lost = night.world.payer("cus_1").await;
    let right = night.world.payer("cus_2").await;
    deliver(&night.world.processor(), &subscription("evt_1", "cus_2", "active", 1)).await;
    let mut second = subscription("evt", "cus_2", "active", 1)["data"]["object"].take();
    second["livemode"] = json!(false);

    let (seen, outcome) = night
        .run(async |stripe| {
            let question = stripe.question().await;
            asks_for(&question, "cus_1");
            list(question, EARLY, &[shown("active")]);
            let question = stripe.question().await;
            asks_for(&question, "cus_2");
            list(question, EARLY, &[second]);
        })
        .await;
    outcome.unwrap();
    let corrected: Vec<_> = seen.iter().filter(|one| one.is_corrected()).collect();
    assert_eq!(corrected.len(), 1, "{seen:?}");
    assert_eq!((corrected[0].tenant.as_uuid(), corrected[0].subscriptions), (lost, 1));
    assert_eq!(corrected[0].before.subscription_status, "none");
    assert_eq!(corrected[0].after.plan, "pro");
    for tenant in [lost, right] {
        assert_eq!(night.world.paid_for(tenant).await.1, "active");
    }
}

#[tokio::test]
async fn dry_run_reports_the_same_and_writes_nothing() {
    let mut night = Night::begin().await;
    let tenant = night.world.payer("cus_1").await;
    night.reconciler = night.reconciler.clone().dry();
    let (seen, outcome) =
        night.run(async |stripe| list(stripe.question().await, EARLY, &[shown("active")])).await;
    outcome.unwrap();
    assert_eq!(seen[0].after.subscription_status, "active");
    assert!(seen[0].is_corrected());
    assert_eq!(night.world.paid_for(tenant).await.1, "none");
}

/// A fetch takes its number before the request, so that the answer does not overwrite an event that came meanwhile.
#[tokio::test]
async fn event_received_during_a_fetch_is_not_overwritten() {
    let mut night = Night::begin().await;
    let tenant = night.world.payer("cus_1").await;
    let processor = night.world.processor();
    deliver(&processor, &subscription("evt_1", "cus_1", "active", 1)).await;
    let (_, outcome) = night
        .run(async |stripe| {
            let question = stripe.question().await;
            // Later than the answer, by Stripe's own clock.
            deliver(&processor, &subscription("evt_2", "cus_1", "canceled", 4000)).await;
            list(question, LATE, &[shown("active")]);
        })
        .await;
    outcome.unwrap();
    assert_eq!(night.world.paid_for(tenant).await.1, "canceled");
}

/// A known, active subscription that no list contains is fetched by id.
#[tokio::test]
async fn unlisted_subscription_is_fetched_and_flagged() {
    let mut night = Night::begin().await;
    let tenant = night.world.payer("cus_1").await;
    deliver(&night.world.processor(), &subscription("evt_1", "cus_1", "active", 1)).await;
    let (seen, outcome) = night
        .run(async |stripe| {
            // The customer is gone: 400, because a parameter names it.
            stripe.question().await.refuse(400, "", "resource_missing");
            let question = stripe.question().await;
            assert_eq!(question.path(), "/v1/subscriptions/sub_cus_1");
            question.refuse(404, "", "resource_missing");
        })
        .await;
    outcome.unwrap();
    assert_eq!((seen[0].subscriptions, &*seen[0].missing), (0, &["sub_cus_1".to_owned()][..]));
    assert_eq!(night.world.paid_for(tenant).await.1, "active", "it stays, for a person to look at");
    let flags: Vec<String> =
        sqlx::query_scalar("select flags from mt.billing_customers where tenant_id = $1")
            .bind(tenant)
            .fetch_one(night.world.db.admin())
            .await
            .unwrap();
    assert_eq!(flags, ["missing_at_provider"]);
}

#[tokio::test]
async fn rate_limited_run_reports_where_and_when_to_resume() {
    let mut night = Night::begin().await;
    let first = night.world.payer("cus_1").await;
    let second = night.world.payer("cus_2").await;
    let (seen, outcome) = night
        .run(async |stripe| {
            list(stripe.question().await, EARLY, &[shown("active")]);
            stripe.question().await.refuse(429, "retry-after: 7\r\n", "rate_limit");
        })
        .await;
    let error = outcome.unwrap_err();
    assert_eq!(error.done.map(TenantId::as_uuid), Some(first));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(seen.len(), 1);

    let mut rest: Vec<Uuid> = Vec::new();
    let run = night.reconciler.run(error.done, |one| rest.push(one.tenant.as_uuid()));
    let (outcome, ()) = tokio::join!(run, async {
        list(night.stripe.question().await, EARLY, &[]);
    });
    outcome.unwrap();
    assert_eq!(rest, [second]);

    // Waiting does not help against a wrong key.
    let (_, outcome) =
        night.run(async |stripe| stripe.question().await.refuse(401, "", "invalid_key")).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.done, error.retry_after()), (None, None));
}

/// For one customer Stripe will not answer, each night: the others are compared all the same.
#[tokio::test]
async fn refused_customer_does_not_stop_the_reconciliation() {
    let mut night = Night::begin().await;
    let (hidden, lost) = (night.world.payer("cus_2").await, night.world.payer("cus_1").await);
    let (seen, outcome) = night
        .run(async |stripe| {
            stripe.question().await.refuse(403, "", "account_invalid");
            list(stripe.question().await, EARLY, &[shown("active")]);
        })
        .await;
    outcome.unwrap();
    assert_eq!(seen[0].refused.as_deref(), Some("stripe answered 403 (account_invalid)"));
    assert!(!seen[0].is_corrected());
    assert_eq!((seen[1].tenant.as_uuid(), seen[1].refused.as_deref()), (lost, None));
    assert_eq!(night.world.paid_for(lost).await.1, "active");
    assert_eq!(night.world.paid_for(hidden).await.1, "none");
}

#[tokio::test]
async fn lists_of_several_pages_are_read_completely() {
    let mut night = Night::begin().await;
    let tenant = night.world.payer("cus_1").await;
    let mut ended = shown("canceled");
    ended["id"] = json!("sub_old");
    let (seen, outcome) = night
        .run(async |stripe| {
            let page = json!({"object": "list", "has_more": true, "data": [ended]});
            stripe.question().await.show(EARLY, &page);
            let question = stripe.question().await;
            assert!(
                question.path().ends_with("&limit=100&starting_after=sub_old"),
                "{}",
                question.head
            );
            list(question, EARLY, &[shown("active")]);
        })
        .await;
    outcome.unwrap();
    assert_eq!(seen[0].subscriptions, 2);
    assert_eq!(night.world.paid_for(tenant).await.1, "active");
}
