//! Stored events, as operators look at them.

use mt_core::pg::ledger::{EventStatus, Filter};
use mt_stripe::operations;

use super::{Service, config};
use crate::support::{deliver, subscription};

#[tokio::test]
async fn events_are_listed_in_pages_and_shown_with_body_and_history() {
    let service = Service::new().await;
    let billing = service.billing(config());
    service.world.link(service.tenant.as_uuid(), "cus_1").await;
    let events = [1, 2, 3].map(|n| subscription(&format!("evt_{n}"), "cus_1", "active", n));
    for event in &events {
        deliver(billing.ledger(), event).await;
    }
    deliver(billing.ledger(), &subscription("evt_4", "cus_unknown", "active", 4)).await;

    let system = service.world.database.system();
    let (all, mut last, mut ids) = (Filter::default(), None, Vec::new());
    loop {
        let page = operations::list(&system, &all, last, 3).await.unwrap();
        assert!(page.len() <= 3, "{page:?}");
        let Some(event) = page.last() else { break };
        last = Some(event.id);
        ids.extend(page.into_iter().map(|event| event.event_id));
    }
    assert_eq!(ids, ["evt_4", "evt_3", "evt_2", "evt_1"], "newest first, each once");
    let failed = Filter { status: Some(EventStatus::Failed), ..Filter::default() };
    let page = operations::list(&system, &failed, None, 3).await.unwrap();
    assert_eq!(page.iter().map(|event| event.event_id.as_str()).collect::<Vec<_>>(), ["evt_4"]);

    let found = operations::find(&system, "evt_2").await.unwrap().unwrap();
    assert_eq!(found.event.event_id, "evt_2");
    assert_eq!(found.body.unwrap(), events[1].to_string().into_bytes());
    let outcomes: Vec<&str> = found.history.iter().map(|entry| entry.outcome.as_str()).collect();
    assert_eq!(outcomes, ["processed"]);
    assert!(operations::find(&system, "evt_5").await.unwrap().is_none());
}

#[test]
fn each_filter_has_a_scope_of_its_own() {
    let status = Filter { status: Some(EventStatus::Dead), ..Filter::default() };
    let kind = Filter { kind: Some("dead".to_owned()), ..Filter::default() };
    let customer = Filter { customer_id: Some("dead".to_owned()), ..Filter::default() };
    let scopes = [Filter::default(), status, kind, customer].map(|f| operations::scope(&f));
    let expected = [
        "webhook-events:::",
        "webhook-events:dead::",
        "webhook-events::dead:",
        "webhook-events:::dead",
    ];
    assert_eq!(scopes, expected);
}
