//! Stripe's events, and what they change.

use reqwest::Method;
use serde_json::{Value, json};

use super::DemoFailure;
use super::runner::{Runner, text};
use super::team::Users;

/// From free to pro by a webhook.
pub(super) async fn upgrade(runner: &mut Runner<'_>, users: &Users) -> Result<(), DemoFailure> {
    runner.section("Upgrading by webhook")?;
    let owner = Some(users.owner.token.as_str());
    let customer = customer(runner, users).await?;
    let event = subscription_event(runner, "upgrade", &customer, "active");
    let secret = runner.secret();
    if runner.checks_signatures() {
        runner.deliver(&event, Some("whsec_of_another_account")).await?.refuses(
            400,
            "invalid-signature",
            "an event without a valid signature is refused",
        )?;
    }
    runner
        .deliver(&event, secret.as_deref())
        .await?
        .has("/status", &json!("processed"))?
        .has("/duplicate", &json!(false))?
        .shows(200, "a subscription event is stored, then applied")?;
    let billing = format!("/orgs/{}/billing", users.org);
    let upgraded = runner
        .get(&billing, owner)
        .await?
        .has("/plan", &json!("pro"))?
        .has("/subscription_status", &json!("active"))?;
    let before = upgraded.bytes();
    upgraded.shows(200, "the org is on pro")?;
    runner
        .deliver(&event, secret.as_deref())
        .await?
        .has("/duplicate", &json!(true))?
        .shows(200, "the same event again is acknowledged")?;
    runner.get(&billing, owner).await?.has_the_bytes(&before)?.shows(200, "and changes nothing")?;
    runner
        .post(&format!("/orgs/{}/projects", users.org), owner, json!({"name": "Fourth"}))
        .await?
        .shows(201, "the fourth project fits now")?;
    Ok(())
}

/// A failed payment stops writes and nothing else; a successful one brings them back.
pub(super) async fn lapse_and_recover(
    runner: &mut Runner<'_>,
    users: &Users,
) -> Result<(), DemoFailure> {
    runner.section("A payment fails and succeeds later")?;
    let owner = Some(users.owner.token.as_str());
    let customer = customer(runner, users).await?;
    let secret = runner.secret();
    let org = format!("/orgs/{}", users.org);
    let projects = format!("{org}/projects");

    let failed = subscription_event(runner, "past_due", &customer, "past_due");
    runner
        .deliver(&failed, secret.as_deref())
        .await?
        .has("/status", &json!("processed"))?
        .shows(200, "Stripe says that a payment failed")?;
    runner
        .get(&org, owner)
        .await?
        .has("/standing", &json!("lapsed"))?
        .has("/plan", &json!("pro"))?
        .shows(200, "the org has lapsed, and can still be read")?;
    runner.post(&projects, owner, json!({"name": "On credit"})).await?.refuses(
        402,
        "billing-required",
        "but not written to",
    )?;
    runner
        .post(&projects, Some(&users.member.token), json!({"name": "On credit"}))
        .await?
        .refuses(403, "forbidden", "a member who may not write gets 403, not 402")?;

    let membership = format!("{org}/members/{}", users.member.id);
    runner
        .send(Method::DELETE, &membership, Some(&users.member.token), None)
        .await?
        .shows(204, "and who wants to leave can: that is never gated")?;

    let stale = json!({
        "created": runner.now().timestamp() - 86_400,
        "id": runner.event_id("stale"),
        "type": "customer.subscription.updated",
        "data": subscription_event(runner, "stale", &customer, "active")["data"],
    });
    runner
        .deliver(&stale, secret.as_deref())
        .await?
        .has("/status", &json!("processed"))?
        .shows(200, "an older event arrives late")?;
    runner
        .get(&org, owner)
        .await?
        .has("/standing", &json!("lapsed"))?
        .shows(200, "and does not overwrite what is newer")?;

    let mut recovered = subscription_event(runner, "recovered", &customer, "active");
    // Stripe's clock has seconds, and this story is faster than that.
    recovered["created"] = json!(runner.now().timestamp() + 2);
    runner
        .deliver(&recovered, secret.as_deref())
        .await?
        .has("/status", &json!("processed"))?
        .shows(200, "the payment is made up for")?;
    let renamed = json!({"name": "Demo Works Ltd"});
    runner
        .send(Method::PATCH, &org, owner, Some(renamed))
        .await?
        .has("/standing", &json!("good"))?
        .shows(200, "and writing works again")?;
    Ok(())
}

/// The org's customer, made once.
async fn customer(runner: &mut Runner<'_>, users: &Users) -> Result<String, DemoFailure> {
    let path = format!("/orgs/{}/billing/customer", users.org);
    let made = runner
        .send(Method::POST, &path, Some(&users.owner.token), None)
        .await?
        .shows(200, "the org's Stripe customer, made once")?;
    text(&made, "/customer_id")
}

/// A subscription event in the shape of Stripe's present API version.
fn subscription_event(runner: &Runner<'_>, name: &str, customer: &str, status: &str) -> Value {
    let now = runner.now().timestamp();
    // Each later than the one before, within the seconds that Stripe has.
    let created = match name {
        "upgrade" => now - 10,
        _ => now,
    };
    json!({
        "id": runner.event_id(name),
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
