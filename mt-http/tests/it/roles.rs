//! Custom roles over HTTP: made, given to members and invites, changed and deleted.

use http::Method;
use serde_json::{Value, json};

use crate::shop::World;

#[tokio::test]
async fn a_custom_role_is_made_given_changed_and_deleted() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let shop = world.shop(&ada).await;
    let roles = format!("{shop}/roles");
    let patch = async |path: &str, body: Value| {
        world.send(Method::PATCH, path, Some(&ada), Some(body)).await
    };
    let new = json!({"name": " Auditor ", "based_on": "guest", "permissions": ["audit.read"]});
    let made = world.post(&roles, &ada, new.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.text("id");
    assert_eq!(made.headers["location"], format!("{roles}/{id}"));
    assert_eq!((made.text("name"), made.text("based_on")), ("Auditor".into(), "guest".into()));
    let taken = world.post(&roles, &ada, new).await;
    assert_eq!((taken.status.as_u16(), taken.text("code")), (409, "conflict".into()));
    let listed = world.get(&roles, &ada).await.json();
    assert_eq!(listed["items"], json!([made.json()]));
    assert_eq!(listed["built_in"][2], json!({"role": "guest", "permissions": []}));

    // An invite and a member show it beside the role that it is based on.
    let body = json!({"email": "bob@example.org", "role_id": id});
    let invite = world.post(&format!("{shop}/invites"), &ada, body).await;
    assert_eq!(invite.json()["custom_role"], json!({"id": id, "name": "Auditor"}), "{invite:?}");
    let bob = world.sign_in("bob@example.org").await;
    let token = json!({"token": invite.text("token")});
    let joined = world.post("/invites/accept", &bob, token).await;
    assert_eq!((joined.text("role"), joined.text("role_id")), ("guest".into(), id.clone()));
    let members = world.get(&format!("{shop}/members"), &ada).await.json();
    assert_eq!(members["items"][0]["custom_role"], json!({"id": id, "name": "Auditor"}));
    assert_eq!(members["items"][1].get("custom_role"), None);

    // Its holder may do what it says, as it is now.
    assert_eq!(world.get(&format!("{shop}/audit"), &bob).await.status, 200);
    let one = format!("{roles}/{id}");
    let changed = patch(&one, json!({"permissions": ["members.read"]})).await;
    assert_eq!(changed.json()["permissions"], json!(["members.read"]));
    assert_eq!(world.get(&format!("{shop}/audit"), &bob).await.status, 403);
    assert_eq!(world.get(&roles, &bob).await.status, 200);

    let refused = world.send(Method::DELETE, &one, Some(&ada), None).await;
    assert_eq!((refused.status.as_u16(), refused.text("code")), (409, "conflict".into()));
    assert_eq!((&refused.json()["members"], &refused.json()["invites"]), (&json!(1), &json!(0)));
    let user = members["items"][0]["user_id"].as_str().unwrap();
    let member = format!("{shop}/members/{user}");
    let clerk = patch(&member, json!({"role": "clerk"})).await.json();
    assert_eq!((&clerk["role"], clerk.get("custom_role")), (&json!("clerk"), None));
    let again = patch(&member, json!({"role_id": id})).await.json();
    assert_eq!(again["custom_role"]["id"], json!(id));
    patch(&member, json!({"role": "guest"})).await;
    assert_eq!(world.send(Method::DELETE, &one, Some(&ada), None).await.status, 204);
    assert_eq!(world.send(Method::DELETE, &one, Some(&ada), None).await.status, 404);
}

#[tokio::test]
async fn bodies_are_checked() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let shop = world.shop(&ada).await;
    let id = "0190a0a0-0000-7000-8000-000000000000";
    let new = |based_on: &str, word: &str| json!({"name": "Auditor", "based_on": based_on, "permissions": [word]});
    let invites = format!("{shop}/invites");
    let (roles, email) = (format!("{shop}/roles"), "bob@example.org");
    for (path, body, status, pointer) in [
        (&roles, new("guest", "audit.burn"), 422, "/permissions/0"),
        (&roles, new("king", "audit.read"), 422, "/based_on"),
        (&roles, new("owner", "audit.read"), 403, ""),
        (&invites, json!({"email": email}), 422, "/role"),
        (&invites, json!({"email": email, "role": "guest", "role_id": id}), 422, "/role_id"),
        (&invites, json!({"email": email, "role_id": "x"}), 422, "/role_id"),
        (&invites, json!({"email": email, "role_id": null}), 422, "/role_id"),
        (&invites, json!({"email": email, "role_id": id}), 404, ""),
    ] {
        let refused = world.post(path, &ada, body.clone()).await;
        assert_eq!(refused.status, status, "{body}: {refused:?}");
        if !pointer.is_empty() {
            assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{body}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn a_role_that_may_not_read_its_tenant_leaves_the_list_of_the_others() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let shop = world.shop(&ada).await;
    let bob = world.member(&shop, &ada, "bob@example.org", "guest").await;
    let of_bob = world.shop(&bob).await;
    let listed = async || {
        let listed = world.get("/shops", &bob).await;
        assert_eq!(listed.status, 200, "{listed:?}");
        let items = listed.json()["items"].as_array().unwrap().clone();
        items.into_iter().map(|shop| (format!("/shops/{}", shop["id"].as_str().unwrap()), shop))
    };
    let paths = async || listed().await.map(|(path, _)| path).collect::<Vec<_>>();
    assert_eq!(paths().await, std::slice::from_ref(&of_bob));

    let new =
        json!({"name": "Reader", "based_on": "guest", "permissions": ["shop.read", "audit.read"]});
    let role = world.post(&format!("{shop}/roles"), &ada, new).await;
    let members = world.get(&format!("{shop}/members"), &ada).await.json();
    let member = members["items"].as_array().unwrap().iter().find(|one| one["role"] == "guest");
    let member = format!("{shop}/members/{}", member.unwrap()["user_id"].as_str().unwrap());
    let given = json!({"role_id": role.text("id")});
    assert_eq!(world.send(Method::PATCH, &member, Some(&ada), Some(given)).await.status, 200);
    assert_eq!(paths().await, [of_bob.clone(), shop.clone()]);

    // What the caller may do is shown, whichever role it comes from.
    let read = json!(["audit.read", "shop.read"]);
    assert_eq!(world.get(&shop, &bob).await.json()["permissions"], read);
    for (path, found) in listed().await {
        let permissions = found["permissions"].as_array().unwrap().len();
        assert_eq!(permissions, if path == shop { 2 } else { 15 }, "{found}");
    }
}
