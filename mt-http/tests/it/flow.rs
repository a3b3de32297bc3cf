//! What users and operators do.

use http::Method;
use serde_json::{Value, json};

use crate::shop::{OPERATOR, World};

#[tokio::test]
async fn a_link_signs_in_once_and_logging_out_ends_the_token() {
    let world = World::new().await;
    let wanted = Some(json!({"email": "ada@example.org"}));
    let link = world.send(Method::POST, "/auth/request-link", None, wanted).await.text("token");
    let redeem = || world.send(Method::POST, "/auth/redeem", None, Some(json!({"token": link})));
    let signed_in = redeem().await;
    assert_eq!(signed_in.json()["token_type"], "bearer");
    let ada = signed_in.text("access_token");
    assert_eq!(redeem().await.text("code"), "magic-link-used");
    let me = world.get("/me", &ada).await.json();
    assert_eq!((&me["email"], &me["memberships"]), (&json!("ada@example.org"), &json!([])));
    assert_eq!(world.send(Method::POST, "/auth/logout", Some(&ada), None).await.status, 204);
    assert_eq!(world.get("/me", &ada).await.status, 401);
}

#[tokio::test]
async fn shops_are_made_listed_renamed_and_deleted() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let shop = world.shop(&ada).await;
    assert!(shop.starts_with("/shops/"), "{shop}");
    let shown = world.get(&shop, &ada).await.json();
    assert_eq!(shown["name"], "Acme");
    assert_eq!(shown["plan"], "basic");
    let usage = json!({"members": {"used": 1, "cap": 3}, "api_keys": {"used": 0, "cap": 3}});
    assert_eq!(shown["usage"], usage);
    let me = world.get("/me", &ada).await.json();
    let id = shop.strip_prefix("/shops/").unwrap();
    let membership = json!({"shop_id": id, "shop_name": "Acme", "role": "owner"});
    assert_eq!(me["memberships"], json!([membership]));
    let renamed =
        world.send(Method::PATCH, &shop, Some(&ada), Some(json!({"name": " Acme & Sons "}))).await;
    assert_eq!(renamed.json()["name"], "Acme & Sons");
    let listed = world.get("/shops?limit=1", &ada).await.json();
    assert_eq!(listed["items"], json!([renamed.json()]));
    assert_eq!(listed["next_cursor"], Value::Null);
    assert_eq!(world.send(Method::DELETE, &shop, Some(&ada), None).await.status, 204);
    assert_eq!(world.get(&shop, &ada).await.status, 404);
}

#[tokio::test]
async fn members_join_by_invite_up_to_the_cap_and_leave() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let shop = world.shop(&ada).await;
    let bob = world.member(&shop, &ada, "bob@example.org", "clerk").await;
    let invites = format!("{shop}/invites");
    let cy = json!({"email": "cy@example.org", "role": "clerk"});
    let open = world.post(&invites, &ada, cy.clone()).await.json();
    let dan = json!({"email": "dan@example.org", "role": "clerk"});
    let full = world.post(&invites, &ada, dan).await;
    assert_eq!((full.status.as_u16(), full.text("code")), (402, "cap-reached".to_owned()));
    let one = format!("{invites}/{}", open["id"].as_str().unwrap());
    assert_eq!(world.send(Method::DELETE, &one, Some(&ada), None).await.status, 204);
    let token = json!({"token": open["token"]});
    let cy = world.sign_in("cy@example.org").await;
    assert_eq!(world.post("/invites/accept", &cy, token).await.text("code"), "invite-invalid");

    let members = world.get(&format!("{shop}/members"), &bob).await.json();
    let emails: Vec<_> =
        members["items"].as_array().unwrap().iter().map(|member| &member["email"]).collect();
    assert_eq!(emails, ["bob@example.org", "ada@example.org"]);
    let member =
        |of: usize| format!("{shop}/members/{}", members["items"][of]["user_id"].as_str().unwrap());
    let last = world.send(Method::DELETE, &member(1), Some(&ada), None).await;
    assert_eq!(last.text("code"), "last-owner");
    let role = Some(json!({"role": "owner"}));
    let promoted = world.send(Method::PATCH, &member(0), Some(&ada), role).await;
    assert_eq!(promoted.json()["role"], "owner");
    assert_eq!(world.send(Method::DELETE, &member(1), Some(&ada), None).await.status, 204);
    assert_eq!(world.get(&shop, &ada).await.status, 404);
}

#[tokio::test]
async fn the_audit_log_speaks_of_shops() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let shop = world.shop(&ada).await;
    let name = Some(json!({"name": "Sons"}));
    assert_eq!(world.send(Method::PATCH, &shop, Some(&ada), name).await.status, 200);
    let log = world.get(&format!("{shop}/audit"), &ada).await.json();
    let actions: Vec<_> =
        log["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["shop.renamed", "shop.created"]);
    assert_eq!(log["items"][0]["target"]["kind"], "shop");
    let created = world.get(&format!("{shop}/audit?action=shop.created"), &ada).await.json();
    assert_eq!(created["items"].as_array().unwrap().len(), 1);
    let unknown = world.get(&format!("{shop}/audit?action=tenant.created"), &ada).await;
    assert_eq!(unknown.text("code"), "invalid-request");
    let ours = world.get(&format!("{shop}/audit?action=till.opened"), &ada).await;
    assert_eq!(ours.json()["items"], json!([]));
}

#[tokio::test]
async fn billing_is_bought_and_shown() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let shop = world.shop(&ada).await;
    let billing = format!("{shop}/billing");
    let state = world.get(&billing, &ada).await.json();
    assert_eq!((&state["plan"], &state["customer_id"]), (&json!("basic"), &Value::Null));
    let customer = world.send(Method::POST, &format!("{billing}/customer"), Some(&ada), None).await;
    assert_eq!(
        world.get(&billing, &ada).await.json()["customer_id"],
        customer.json()["customer_id"]
    );
    let checkout = world.send(Method::POST, &format!("{billing}/checkout"), Some(&ada), None).await;
    assert_eq!(
        (checkout.status.as_u16(), &checkout.headers["location"]),
        (201, &billing.as_str().parse::<http::HeaderValue>().unwrap())
    );
    assert!(checkout.text("url").starts_with("https://shops.example/checkout/"), "{checkout:?}");
    let portal = world.send(Method::POST, &format!("{billing}/portal"), Some(&ada), None).await;
    let id = shop.strip_prefix("/shops/").unwrap();
    assert_eq!(portal.text("url"), format!("https://shops.example/billing?shop={id}"));
}

#[tokio::test]
async fn operators_suspend_by_their_token_alone() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let shop = world.shop(&ada).await;
    let path = format!("/admin{shop}/suspension");
    let mode = |mode: &str| json!({"mode": mode});
    assert_eq!(world.post(&path, &ada, mode("full")).await.status, 401);
    let suspended = world.post(&path, OPERATOR, mode("full")).await;
    let id = shop.strip_prefix("/shops/").unwrap();
    assert_eq!(suspended.json(), json!({"shop_id": id, "mode": "full"}));
    let refused = world.get(&shop, &ada).await;
    assert_eq!(
        (refused.status.as_u16(), refused.text("code")),
        (403, "tenant-suspended".to_owned())
    );
    assert_eq!(world.get("/shops", &ada).await.json()["items"][0]["usage"], Value::Null);
    assert_eq!(world.post(&path, OPERATOR, mode("none")).await.status, 200);
    assert_eq!(world.get(&shop, &ada).await.status, 200);
    assert_eq!(world.get("/admin/webhook-events", OPERATOR).await.json()["items"], json!([]));
    assert_eq!(world.get("/admin/webhook-events", &ada).await.status, 401);
    assert_eq!(world.get("/admin/webhook-events/evt_none", OPERATOR).await.status, 404);
}

#[tokio::test]
async fn pages_hold_no_data_and_run_their_own_script_only() {
    let world = World::new().await;
    for path in ["/auth/magic", "/invites/accept", "/billing"] {
        let page = world.send(Method::GET, path, None, None).await;
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        let html = String::from_utf8(page.body.to_vec()).unwrap();
        assert!(!html.contains("orgs") && !html.contains("NOUN"), "{html}");
    }
}
