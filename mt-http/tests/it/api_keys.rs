//! Service accounts and API keys over HTTP: made, used, changed and ended.

use http::Method;
use mt_core::pg::SystemReason;
use serde_json::{Value, json};

use crate::shop::{Reply, World};

const LOOK: SystemReason = SystemReason::new("look at stored answers");

struct Scene {
    world: World,
    /// The owner's access token.
    ada: String,
    shop: String,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let ada = world.sign_in("ada@example.org").await;
        let shop = world.shop(&ada).await;
        Self { world, ada, shop }
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.world.post(&format!("{}/{path}", self.shop), &self.ada, body).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        self.world.send(method, &format!("{}/{path}", self.shop), Some(&self.ada), body).await
    }

    /// The statuses of reading the members and of renaming the shop with a key.
    async fn statuses(&self, key: &str) -> (u16, u16) {
        let members = self.world.get(&format!("{}/members", self.shop), key).await;
        let renamed = Some(json!({"name": "Another"}));
        let renamed = self.world.send(Method::PATCH, &self.shop, Some(key), renamed).await;
        (members.status.as_u16(), renamed.status.as_u16())
    }
}

#[tokio::test]
async fn key_is_made_used_narrowed_rotated_and_revoked() {
    let scene = Scene::new().await;
    let new = json!({"name": "nightly", "permissions": ["members.read", "shop.update"], "expires_in_days": 30});
    let made = scene.post("api-keys", new).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (id, key) = (made.text("id"), made.text("key"));
    assert_eq!(made.headers["location"], format!("{}/api-keys/{id}", scene.shop));
    assert!(key.starts_with(&made.text("hint")) && key.starts_with("shop_"));
    assert_eq!(scene.statuses(&key).await, (200, 200));

    // A list shows everything but the key.
    let listed = scene.send(Method::GET, "api-keys", None).await.json();
    let mut expected = made.json();
    expected.as_object_mut().unwrap().remove("key");
    expected["last_used_at"] = listed["items"][0]["last_used_at"].clone();
    assert_eq!(listed["items"], json!([expected]));

    let one = format!("api-keys/{id}");
    let narrowed = json!({"permissions": ["members.read"]});
    assert_eq!(scene.send(Method::PATCH, &one, Some(narrowed)).await.status, 204);
    assert_eq!(scene.statuses(&key).await, (200, 403));

    let rotate = format!("{one}/rotate");
    let rotated = scene.post(&rotate, json!({"overlap_hours": 1})).await;
    assert_eq!(rotated.status, 201, "{rotated:?}");
    assert_eq!(scene.statuses(&rotated.text("key")).await, (200, 403));
    let again = scene.post(&rotate, json!({"overlap_hours": 1})).await;
    assert_eq!((again.status.as_u16(), again.text("code")), (409, "conflict".into()));

    assert_eq!(scene.send(Method::DELETE, &one, None).await.status, 204);
    assert_eq!(scene.statuses(&key).await, (401, 401));
    assert_eq!(scene.statuses(&rotated.text("key")).await, (200, 403));
    assert_eq!(scene.send(Method::DELETE, &one, None).await.status, 404);
}

#[tokio::test]
async fn agent_acts_on_behalf_of_a_member_and_the_audit_log_names_the_chain() {
    let scene = Scene::new().await;
    let made = scene.post("service-accounts", json!({"name": "agent", "role": "clerk"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let account = made.text("id");
    let taken = scene.post("service-accounts", json!({"name": "agent", "role": "clerk"})).await;
    assert_eq!((taken.status.as_u16(), taken.text("code")), (409, "conflict".into()));
    let new = json!({"name": "a key", "service_account_id": account, "on_behalf_of_me": true});
    let key = scene.post("api-keys", new).await;
    assert_eq!(key.status, 201, "{key:?}");
    // What an owner and a clerk both may.
    assert_eq!(scene.statuses(&key.text("key")).await, (200, 403));
    // A key issues no keys, and its calls are in the log with every link.
    let path = format!("{}/api-keys", scene.shop);
    let refused = scene.world.post(&path, &key.text("key"), json!({"name": "x"})).await;
    assert_eq!((refused.status.as_u16(), refused.text("code")), (403, "forbidden".into()));
    let revoke = format!("{path}/{}", key.text("id"));
    let revoked = scene.world.send(Method::DELETE, &revoke, Some(&key.text("key")), None).await;
    assert_eq!(revoked.status, 204, "its own key");
    let log = scene.send(Method::GET, "audit?action=api_key.revoked", None).await.json();
    let actor = &log["items"][0]["actor"];
    assert_eq!((&actor["kind"], &actor["email"]), (&json!("user"), &json!("ada@example.org")));
    let via = json!([
        {"kind": "service_account", "id": account},
        {"kind": "api_key", "id": key.text("id")},
    ]);
    assert_eq!(actor["via"], via);

    let one = format!("service-accounts/{account}");
    let changed = scene.send(Method::PATCH, &one, Some(json!({"role": "guest"}))).await;
    assert_eq!(changed.text("role"), "guest");
    assert_eq!(scene.send(Method::DELETE, &one, None).await.status, 204);
    let listed = scene.send(Method::GET, "service-accounts", None).await.json();
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn key_of_a_service_account_acts_in_its_name() {
    let scene = Scene::new().await;
    let made = scene.post("service-accounts", json!({"name": "till", "role": "clerk"})).await;
    let new = json!({"name": "a key", "service_account_id": made.text("id")});
    let key = scene.post("api-keys", new).await.text("key");
    assert_eq!(scene.statuses(&key).await, (200, 403));
    let made = scene.world.get("/shops", &key).await;
    assert_eq!(made.status, 200, "{made:?}");
    let me = scene.world.get("/me", &key).await;
    assert_eq!((me.status.as_u16(), me.text("code")), (403, "forbidden".into()), "not a user");
    let joined = scene.world.post("/shops", &key, json!({"name": "Another"})).await;
    assert_eq!(joined.status, 403, "a key makes no tenants: {joined:?}");
}

#[tokio::test]
async fn bodies_are_checked_and_answers_with_keys_are_not_stored() {
    let scene = Scene::new().await;
    for (path, body, status, pointer) in [
        ("api-keys", json!({"name": ""}), 422, "/name"),
        ("api-keys", json!({"name": "x".repeat(101)}), 422, "/name"),
        ("api-keys", json!({"name": "x", "permissions": ["audit.burn"]}), 422, "/permissions/0"),
        ("api-keys", json!({"name": "x", "permissions": null}), 422, "/permissions"),
        ("api-keys", json!({"name": "x", "on_behalf_of_me": true}), 422, "/on_behalf_of_me"),
        ("api-keys", json!({"name": "x", "expires_in_days": 0}), 422, "/expires_in_days"),
        ("api-keys", json!({"name": "x", "expires_in_days": 4000}), 422, "/expires_in_days"),
        ("service-accounts", json!({"name": "x", "role": "king"}), 422, "/role"),
        ("service-accounts", json!({"name": "x", "role": "owner"}), 403, ""),
    ] {
        let refused = scene.post(path, body.clone()).await;
        assert_eq!(refused.status, status, "{body}: {refused:?}");
        if !pointer.is_empty() {
            assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{body}: {refused:?}");
        }
    }
    let path = format!("{}/api-keys", scene.shop);
    let request = http::Request::post(&path)
        .header("authorization", format!("Bearer {}", scene.ada))
        .header("content-type", "application/json")
        .header("idempotency-key", "once");
    let body = http_body_util::Full::new(bytes::Bytes::from_static(br#"{"name":"x"}"#));
    let made = scene.world.send_raw(request.body(body).unwrap()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let mut tx = scene.world.database.system().begin(LOOK).await.unwrap();
    let stored: i64 = sqlx::query_scalar("select count(*) from mt.idempotency_keys")
        .fetch_one(tx.conn())
        .await
        .unwrap();
    assert_eq!(stored, 0);
}
