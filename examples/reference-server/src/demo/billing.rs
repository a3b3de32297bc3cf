//! Stripe's events, and what they change.

use reqwest::Method;
use serde_json::{Value, json};

use super::DemoFailure;
use super::stage::{Stage, text};
use super::team::Cast;

/// From free to pro by a webhook.
pub(super) async fn upgrade(stage: &mut Stage<'_>, cast: &Cast) -> Result<(), DemoFailure> {
    stage.chapter("Upgrading by webhook")?;
    let owner = Some(cast.owner.token.as_str());
    let customer = customer(stage, cast).await?;
    let event = subscription_event(stage, "upgrade", &customer, "active");
    let secret = stage.secret();
    if stage.checks_signatures() {
        stage.deliver(&event, Some("whsec_somebody_elses")).await?.refuses(
            400,
            "invalid-signature",
            "an event that Stripe did not sign is not believed",
        )?;
    }
    stage
        .deliver(&event, secret.as_deref())
        .await?
        .has("/status", &json!("processed"))?
        .has("/duplicate", &json!(false))?
        .shows(200, "a subscription event is stored, then applied")?;
    let billing = format!("/orgs/{}/billing", cast.org);
    let upgraded = stage
        .get(&billing, owner)
        .await?
        .has("/plan", &json!("pro"))?
        .has("/subscription_status", &json!("active"))?;
    let before = upgraded.bytes();
    upgraded.shows(200, "the org is on pro")?;
    stage
        .deliver(&event, secret.as_deref())
        .await?
        .has("/duplicate", &json!(true))?
        .shows(200, "the same event again is acknowledged")?;
    stage.get(&billing, owner).await?.has_the_bytes(&before)?.shows(200, "and changes nothing")?;
    stage
        .post(&format!("/orgs/{}/projects", cast.org), owner, json!({"name": "Fourth"}))
        .await?
        .shows(201, "the fourth project fits now")?;
    Ok(())
}

/// A failed payment stops writes and nothing else; a successful one brings them back.
pub(super) async fn lapse_and_recover(
    stage: &mut Stage<'_>,
    cast: &Cast,
) -> Result<(), DemoFailure> {
    stage.chapter("A payment fails, and is made up for")?;
    let owner = Some(cast.owner.token.as_str());
    let customer = customer(stage, cast).await?;
    let secret = stage.secret();
    let org = format!("/orgs/{}", cast.org);
    let projects = format!("{org}/projects");

    let failed = subscription_event(stage, "past_due", &customer, "past_due");
    stage
        .deliver(&failed, secret.as_deref())
        .await?
        .has("/status", &json!("processed"))?
        .shows(200, "Stripe says that a payment failed")?;
    stage
        .get(&org, owner)
        .await?
        .has("/standing", &json!("lapsed"))?
        .has("/plan", &json!("pro"))?
        .shows(200, "the org has lapsed, and can still be read")?;
    stage.post(&projects, owner, json!({"name": "On credit"})).await?.refuses(
        402,
        "billing-required",
        "but not written to",
    )?;
    stage.post(&projects, Some(&cast.member.token), json!({"name": "On credit"})).await?.refuses(
        403,
        "forbidden",
        "who may not write anyway is not asked to pay",
    )?;

    let membership = format!("{org}/members/{}", cast.member.id);
    stage
        .send(Method::DELETE, &membership, Some(&cast.member.token), None)
        .await?
        .shows(204, "and who wants to leave can: that is never gated")?;

    let stale = json!({
        "created": stage.now().timestamp() - 86_400,
        "id": stage.event_id("stale"),
        "type": "customer.subscription.updated",
        "data": subscription_event(stage, "stale", &customer, "active")["data"],
    });
    stage
        .deliver(&stale, secret.as_deref())
        .await?
        .has("/status", &json!("processed"))?
        .shows(200, "an event of yesterday comes late")?;
    stage
        .get(&org, owner)
        .await?
        .has("/standing", &json!("lapsed"))?
        .shows(200, "and does not overwrite what is newer")?;

    let mut recovered = subscription_event(stage, "recovered", &customer, "active");
    // Stripe's clock has seconds, and this story is faster than that.
    recovered["created"] = json!(stage.now().timestamp() + 2);
    stage
        .deliver(&recovered, secret.as_deref())
        .await?
        .has("/status", &json!("processed"))?
        .shows(200, "the payment is made up for")?;
    let renamed = json!({"name": "Demo Works Ltd"});
    stage
        .send(Method::PATCH, &org, owner, Some(renamed))
        .await?
        .has("/standing", &json!("good"))?
        .shows(200, "and writing works again")?;
    Ok(())
}

/// The org's customer, made once.
async fn customer(stage: &mut Stage<'_>, cast: &Cast) -> Result<String, DemoFailure> {
    let path = format!("/orgs/{}/billing/customer", cast.org);
    let made = stage
        .send(Method::POST, &path, Some(&cast.owner.token), None)
        .await?
        .shows(200, "the org's Stripe customer, made once")?;
    text(&made, "/customer_id")
}

/// A subscription event in the shape of Stripe's present API version.
fn subscription_event(stage: &Stage<'_>, name: &str, customer: &str, status: &str) -> Value {
    let now = stage.now().timestamp();
    // Each later than the one before, within the seconds that Stripe has.
    let created = match name {
        "upgrade" => now - 10,
        _ => now,
    };
    json!({
        "id": stage.event_id(name),
        "object": "event",
        "api_version": "2026-10-28.endive",
        "type": "customer.subscription.updated",
        "created": created,
        "livemode": false,
        "data": {"object": {
            "id": format!("sub_of_{customer}"),
            "object": "subscription",
            "customer": customer,
            "status": status,
            "created": now - 3600,
            "cancel_at_period_end": false,
            "items": {"object": "list", "has_more": false, "data": [{
                "id": "si_demo",
                "object": "subscription_item",
                "price": {"id": "price_pro", "object": "price"},
                "current_period_start": now - 3600,
                "current_period_end": now + 30 * 86_400,
            }]},
        }},
    })
}
