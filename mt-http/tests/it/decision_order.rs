//! A caller without access gets 401, 404 or 403 whatever else is wrong with the request.

use http::{Method, Request, StatusCode};
use http_body_util::Full;

use crate::shop::{World, endpoints};

/// Sends a request that is malformed in each place where it can be: body, ids, query.
async fn malformed(
    world: &World,
    method: &Method,
    path: &str,
    token: Option<&str>,
) -> (StatusCode, String) {
    let uri = format!("{path}?limit=x&cursor=%21&action=none&actor=none&status=none");
    let mut request = Request::builder().method(method.clone()).uri(&uri);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let reply = world.send_raw(request.body(Full::new("no JSON".into())).unwrap()).await;
    (reply.status, format!("{method} {uri}: {reply:?}"))
}

/// The paths of all endpoints in a shop, with ids that are none.
fn in_shop(shop: &str) -> Vec<(Method, String)> {
    let all = endpoints().routes().into_iter().filter(|route| route.path.starts_with("/shops/{"));
    let paths = all.map(|route| {
        let path = route.path.replace("/shops/{shop_id}", shop);
        (route.method, path.replace("{user_id}", "x").replace("{invite_id}", "x"))
    });
    paths.collect()
}

#[tokio::test]
async fn access_is_decided_before_anything_else_is_refused() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let shop = world.shop(&ada).await;
    // A guest has no permission at all, a stranger no membership.
    let guest = world.member(&shop, &ada, "guest@example.org", "guest").await;
    let stranger = world.sign_in("eve@example.org").await;
    let signed_out = world.sign_in("bob@example.org").await;
    assert_eq!(world.send(Method::POST, "/auth/logout", Some(&signed_out), None).await.status, 204);
    let all = in_shop(&shop);
    assert!(all.len() >= 13, "{all:?}");
    let mut refused_for_the_owner = 0;
    for (method, path) in &all {
        for (caller, expected) in
            [(None, 401), (Some(&signed_out), 401), (Some(&stranger), 404), (Some(&guest), 403)]
        {
            let (status, text) = malformed(&world, method, path, caller.map(String::as_str)).await;
            assert_eq!(status, expected, "{text}");
        }
        let no_id = path.replace(&shop, "/shops/no-id");
        for (caller, expected) in [(&signed_out, 401), (&ada, 404)] {
            let (status, text) = malformed(&world, method, &no_id, Some(caller)).await;
            assert_eq!(status, expected, "{text}");
        }
        // The control: the same request of one who may is refused for what is wrong with it.
        if *method != Method::DELETE || path != &shop {
            let (status, _) = malformed(&world, method, path, Some(&ada)).await;
            refused_for_the_owner += usize::from([400, 404, 415].contains(&status.as_u16()));
        }
    }
    assert!(refused_for_the_owner >= 8, "{refused_for_the_owner} requests were malformed");
}

#[tokio::test]
async fn a_signed_out_caller_gets_401_outside_of_shops_too() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    assert_eq!(world.send(Method::POST, "/auth/logout", Some(&ada), None).await.status, 204);
    for (method, path) in [
        (Method::GET, "/me"),
        (Method::GET, "/shops"),
        (Method::POST, "/shops"),
        (Method::POST, "/invites/accept"),
    ] {
        let (status, text) = malformed(&world, &method, path, Some(&ada)).await;
        assert_eq!(status, 401, "{text}");
    }
    // The control: one who is signed in is told what is wrong with the body.
    let bob = world.sign_in("bob@example.org").await;
    assert_eq!(malformed(&world, &Method::POST, "/shops", Some(&bob)).await.0, 415);
}
