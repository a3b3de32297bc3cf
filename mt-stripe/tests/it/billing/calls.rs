//! Calls to Stripe on behalf of a tenant: what is asked in which order, and what a failure leaves.

use mt_core::access::AccessRequest;
use mt_core::pg::BeginError;
use mt_core::pg::billing::LinkError;
use mt_stripe::billing::{BillingConfig, BillingError, StripeBilling};
use serde_json::json;

use super::{MoneyManage, MoneyRead, Service, config};
use crate::support::stripe_api::{ApiRequest, EARLY, StripeApi};

/// Starts a stand-in for Stripe, and billing that calls it.
async fn with_stripe(service: &Service) -> (StripeApi, StripeBilling) {
    let stripe = StripeApi::start().await;
    let client = Some(stripe.client());
    let customer_key = "desk".to_owned();
    let billing = service.billing(BillingConfig { client, customer_key, ..config() });
    (stripe, billing)
}

async fn calls_under_way(service: &Service) -> i64 {
    sqlx::query_scalar("select count(*) from mt.provider_calls")
        .fetch_one(service.world.db.admin())
        .await
        .unwrap()
}

fn key(question: &ApiRequest) -> String {
    question.header("idempotency-key").unwrap().to_owned()
}

/// Answers that the parameter `customer` names no customer.
fn knows_no_customer(question: ApiRequest) {
    let error = json!({"error": {
        "type": "invalid_request_error", "code": "resource_missing", "param": "customer",
    }});
    question.answer(400, EARLY, "", &error.to_string());
}

#[tokio::test]
async fn customer_is_made_and_linked_before_the_page() {
    let service = Service::new().await;
    let (mut stripe, billing) = with_stripe(&service).await;
    let (opened, ()) = tokio::join!(service.checkout(&billing), async {
        let question = stripe.question().await;
        assert_eq!(question.path(), "/v1/customers");
        assert_eq!(question.body, format!("metadata%5Bdesk%5D={}", service.tenant));
        assert!(key(&question).starts_with("mt-customer-"), "{}", question.head);
        question.show(EARLY, &json!({"id": "cus_1"}));
        let question = stripe.question().await;
        assert_eq!(question.path(), "/v1/checkout/sessions");
        assert!(key(&question).starts_with("mt-checkout-"), "{}", question.head);
        for field in ["customer=cus_1", "price%5D=price_plus", "%2Fmoney%3Fcheckout%3Ddone"] {
            assert!(question.body.contains(field), "{field} in {}", question.body);
        }
        assert_eq!(service.links().await, ["cus_1"], "linked before the page is made");
        question.show(EARLY, &json!({"id": "cs_1", "url": "https://pay.example/1"}));
    });
    let page = ("cs_1".to_owned(), "https://pay.example/1".to_owned());
    assert_eq!(opened.unwrap(), page);
    assert_eq!(calls_under_way(&service).await, 0);
    // The open page is returned again, and Stripe is not asked.
    assert_eq!(service.checkout(&billing).await.unwrap(), page);
    assert_eq!(service.customer(&billing).await.unwrap(), "cus_1");
    assert!(stripe.is_silent());

    let (opened, ()) = tokio::join!(service.portal(&billing), async {
        let question = stripe.question().await;
        assert_eq!(question.path(), "/v1/billing_portal/sessions");
        assert!(question.body.starts_with("customer=cus_1&return_url="), "{}", question.body);
        question.show(EARLY, &json!({"id": "bps_1", "url": "https://pay.example/portal"}));
    });
    assert_eq!(opened.unwrap(), "https://pay.example/portal");
    assert_eq!(calls_under_way(&service).await, 0);
}

/// A call that was answered, with whatever error, is over; one that lost its answer is repeated under its key.
#[tokio::test]
async fn failures_are_told_apart() {
    let service = Service::new().await;
    let (mut stripe, billing) = with_stripe(&service).await;
    let mut keys = Vec::new();
    let (failed, ()) = tokio::join!(service.customer(&billing), async {
        let question = stripe.question().await;
        keys.push(key(&question));
        question.refuse(401, "request-id: req_1\r\n", "api_key_expired");
    });
    let Err(BillingError::Refused(refusal)) = failed else { panic!("{failed:?}") };
    assert_eq!((refusal.status, refusal.word()), (401, "api_key_expired"));
    assert_eq!(refusal.request_id.as_deref(), Some("req_1"));
    assert_eq!(calls_under_way(&service).await, 0);
    let (failed, ()) = tokio::join!(service.customer(&billing), async {
        let question = stripe.question().await;
        keys.push(key(&question));
        question.refuse(429, "", "rate_limit");
    });
    assert!(matches!(failed, Err(BillingError::Unavailable(_))), "{failed:?}");
    assert_eq!(calls_under_way(&service).await, 0);
    let (failed, ()) = tokio::join!(service.customer(&billing), async {
        let question = stripe.question().await;
        keys.push(key(&question));
        question.hang_up();
    });
    assert!(matches!(failed, Err(BillingError::Unavailable(_))), "{failed:?}");
    assert_eq!(calls_under_way(&service).await, 1, "its answer is not known");
    assert!(service.links().await.is_empty());
    let (made, ()) = tokio::join!(service.customer(&billing), async {
        let question = stripe.question().await;
        keys.push(key(&question));
        question.show(EARLY, &json!({"id": "cus_1"}));
    });
    assert_eq!(made.unwrap(), "cus_1");
    assert_eq!(keys[2], keys[3], "the call is the same");
    assert!(keys[0] != keys[1] && keys[1] != keys[2], "{keys:?}");
}

#[tokio::test]
async fn customer_of_another_tenant_is_not_linked() {
    let service = Service::new().await;
    service.world.payer("cus_1").await;
    let (mut stripe, billing) = with_stripe(&service).await;
    let (failed, ()) = tokio::join!(service.customer(&billing), async {
        stripe.question().await.show(EARLY, &json!({"id": "cus_1"}));
    });
    assert!(matches!(failed, Err(BillingError::Link(LinkError::Taken))), "{failed:?}");
}

#[tokio::test]
async fn customer_that_stripe_does_not_know_is_replaced() {
    let service = Service::new().await;
    service.world.link(service.tenant.as_uuid(), "cus_1").await;
    let (mut stripe, billing) = with_stripe(&service).await;
    let (opened, ()) = tokio::join!(service.portal(&billing), async {
        let question = stripe.question().await;
        assert!(question.body.contains("customer=cus_1&"), "{}", question.body);
        knows_no_customer(question);
        let question = stripe.question().await;
        assert_eq!(question.path(), "/v1/customers");
        question.show(EARLY, &json!({"id": "cus_2"}));
        let question = stripe.question().await;
        assert!(question.body.contains("customer=cus_2&"), "{}", question.body);
        question.show(EARLY, &json!({"url": "https://pay.example/portal"}));
    });
    assert_eq!(opened.unwrap(), "https://pay.example/portal");
    assert_eq!(service.links().await, ["cus_2"]);
}

/// A paying tenant loses its customer only if Stripe says that it was deleted. The tenant's plan decides, by the model.
#[tokio::test]
async fn customer_of_a_paying_tenant_is_kept_unless_it_was_deleted() {
    for is_deleted in [false, true] {
        let service = Service::new().await;
        service.world.link(service.tenant.as_uuid(), "cus_1").await;
        service.world.sql("update mt.tenants set plan = 'plus'").await;
        let (mut stripe, billing) = with_stripe(&service).await;
        let (opened, ()) = tokio::join!(service.portal(&billing), async {
            knows_no_customer(stripe.question().await);
            let question = stripe.question().await;
            assert_eq!(question.path(), "/v1/customers/cus_1");
            question.show(EARLY, &json!({"id": "cus_1", "deleted": is_deleted}));
            if is_deleted {
                stripe.question().await.show(EARLY, &json!({"id": "cus_2"}));
                let page = json!({"url": "https://pay.example/portal"});
                stripe.question().await.show(EARLY, &page);
            }
        });
        if is_deleted {
            assert_eq!(opened.unwrap(), "https://pay.example/portal");
            assert_eq!(service.links().await, ["cus_2"]);
        } else {
            let kept = matches!(&opened, Err(BillingError::CustomerRefused(id)) if id == "cus_1");
            assert!(kept, "{opened:?}");
            assert_eq!(service.links().await, ["cus_1"]);
        }
    }
}

/// Without the permission Stripe is not called.
#[tokio::test]
async fn caller_without_the_permission_is_refused_first() {
    let service = Service::new().await;
    let (stripe, billing) = with_stripe(&service).await;
    let (agent, _) = Service::owned(&service.world, "agent@a.example").await;
    sqlx::query(
        "insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
         values ($1, $2, 'agent', false)",
    )
    .bind(service.tenant.as_uuid())
    .bind(agent.id().as_uuid())
    .execute(service.world.db.admin())
    .await
    .unwrap();
    let request = AccessRequest::<MoneyManage>::new(agent, service.tenant);
    for refused in [
        billing.customer::<MoneyRead, _>(&service.tenants, request).await.map(drop),
        billing.checkout::<MoneyRead, _>(&service.tenants, request).await.map(drop),
        billing.portal::<MoneyRead, _>(&service.tenants, request).await.map(drop),
    ] {
        let denied = matches!(refused, Err(BillingError::Begin(BeginError::Denied(_))));
        assert!(denied, "{refused:?}");
    }
    assert!(stripe.is_silent());
    assert_eq!(calls_under_way(&service).await, 0);
    assert!(service.links().await.is_empty());
}
