//! The OpenAPI document of the endpoints.

use std::collections::BTreeSet;

use http::Method;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::shop::{OPERATOR, Reply, World, endpoints};

#[test]
fn each_endpoint_is_described_in_the_words_of_the_service() {
    let document = endpoints().openapi();
    let described: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let served: BTreeSet<_> = endpoints()
        .routes()
        .into_iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(described, served);
    let text = document["paths"].to_string();
    for word in ["\"tenant_id\"", "tenant.", "/tenants", "/orgs", "org_id"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn each_reference_leads_to_a_schema() {
    let document = endpoints().openapi();
    let text = document.to_string();
    let references = text.split("\"#/components/schemas/").skip(1);
    let mut count = 0;
    for reference in references {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
        count += 1;
    }
    assert!(count > 30, "{count}");
}

/// Returns the schema of a JSON response.
fn schema(document: &Value, method: &str, path: &str, status: u16) -> Value {
    let response = &document["paths"][path][method]["responses"][status.to_string()];
    let mut schema = response["content"]["application/json"]["schema"].clone();
    assert!(schema.is_object(), "{method} {path} {status}: {response}");
    schema["components"] = document["components"].clone();
    schema
}

fn conforms(schema: &Value, reply: &Reply) -> bool {
    let validator: Validator = jsonschema::draft202012::new(schema).unwrap();
    validator.is_valid(&reply.json())
}

#[tokio::test]
async fn responses_conform_to_their_schemas() {
    let world = World::new().await;
    let document = endpoints().openapi();
    let ada = world.sign_in("ada@example.org").await;
    let shop = world.shop(&ada).await;
    world.member(&shop, &ada, "bob@example.org", "clerk").await;
    let body = json!({"email": "cy@example.org", "role": "clerk"});
    let invite = world.post(&format!("{shop}/invites"), &ada, body).await;
    let created = schema(&document, "post", "/shops/{shop_id}/invites", 201);
    assert!(conforms(&created, &invite), "{invite:?}");
    let mut checked = 0;
    for (path, token) in [
        ("/me", ada.as_str()),
        ("/shops", &ada),
        ("/shops/{shop_id}", &ada),
        ("/shops/{shop_id}/members", &ada),
        ("/shops/{shop_id}/invites", &ada),
        ("/shops/{shop_id}/audit", &ada),
        ("/shops/{shop_id}/billing", &ada),
        ("/admin/webhook-events", OPERATOR),
    ] {
        let reply = world.get(&path.replace("/shops/{shop_id}", &shop), token).await;
        let mut schema = schema(&document, "get", path, 200);
        assert!(conforms(&schema, &reply), "{path}: {reply:?}");
        // The control: a member more is asked for.
        let name = schema["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let required = &mut schema["components"]["schemas"][name.as_str()]["required"];
        required.as_array_mut().unwrap().push(json!("no_such_member"));
        assert!(!conforms(&schema, &reply), "{path}");
        checked += 1;
    }
    assert_eq!(checked, 8);
    let absent = world.send(Method::GET, "/shops", None, None).await;
    let problem =
        json!({"$ref": "#/components/schemas/Problem", "components": document["components"]});
    assert!(conforms(&problem, &absent), "{absent:?}");
}
