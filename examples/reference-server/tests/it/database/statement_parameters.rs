//! User-supplied values in the text of statements, compared with the list in SECURITY.md.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use mt_core::testing::{Relay, TestDatabase};
use reference_server::schema;
use reqwest::Method;
use serde_json::json;

use crate::support::Server;

/// The list in [`SECURITY.md`](../../../../../SECURITY.md).
const IN_TEXT: [&str; 4] = ["projectname", "requestid", "taskdescription", "tasktitle"];

/// A text of the user's, which names its field.
fn said(field: &str) -> String {
    format!("canary{field}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_text_in_statements_matches_the_documented_list() {
    let db = Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap());
    let texts: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&texts);
    let login = db.login();
    let relay = Relay::rewriting(&login, move |text| {
        heard.lock().unwrap().push(text.to_owned());
        None
    });
    let relay = relay.await.unwrap();
    let through = relay.url_through(login.clone());
    let server = Server::start_on(Arc::clone(&db), &[("DATABASE_URL", &through)]).await;
    let owner = server.sign_in(&said("email")).await;
    let named = |field: &str| json!({"name": said(field)});
    let request_id = said("requestid");
    let id = [("x-request-id", &*request_id)];
    let key = [("idempotency-key", "canarykey")];
    let send = async |method, path: &str, headers: &[(&str, &str)], body| {
        let answer = server.send_with((method, path), &owner, headers, Some(body)).await;
        assert!(answer.status < 300, "{path}: {answer:?}");
        answer.json()["id"].as_str().unwrap_or_default().to_owned()
    };
    let org = format!("/orgs/{}", send(Method::POST, "/orgs", &[], named("orgname")).await);
    send(Method::PATCH, &org, &[], named("orgrenamed")).await;
    let projects = format!("{org}/projects");
    // The first time, an insert goes by itself, with parameters.
    send(Method::POST, &projects, &[], named("firstproject")).await;
    let project = send(Method::POST, &projects, &id, named("projectname")).await;
    let project = format!("{projects}/{project}");
    send(Method::POST, &projects, &key, named("projectwithakey")).await;
    send(Method::PATCH, &project, &[], named("projectrenamed")).await;
    let first = json!({"title": said("firsttitle"), "description": said("firstdescription")});
    send(Method::POST, &format!("{project}/tasks"), &[], first).await;
    let task = json!({"title": said("tasktitle"), "description": said("taskdescription")});
    let task = send(Method::POST, &format!("{project}/tasks"), &[], task).await;
    let task = format!("{org}/tasks/{task}");
    let changed = json!({"title": said("taskretitled"), "description": said("taskredescribed")});
    send(Method::PATCH, &task, &[], changed).await;
    let invite = json!({"email": format!("{}@example.org", said("guest")), "role": "member"});
    send(Method::POST, &format!("{org}/invites"), &[], invite).await;
    let path = format!("{org}/audit?action=canaryaction");
    server.get(&path, &owner).await;
    let path = format!("{project}/tasks?status=todo&unknown=canaryquery");
    assert_eq!(server.get(&path, &owner).await.status, 200);
    let event = json!({"id": "evt_canaryevent", "type": "canarytype", "said": said("body")});
    crate::support::webhooks::deliver(&server, &event).await;
    server.stop().await;

    let texts = std::mem::take(&mut *texts.lock().unwrap());
    assert!(texts.len() > 30, "the relay has heard {}", texts.len());
    let mut found = BTreeSet::new();
    for text in &texts {
        // A text of other than plain characters is written as hex digits.
        assert!(!text.contains(&hex::encode("canary")), "{text}");
        for rest in text.split("canary").skip(1) {
            let field: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            found.insert(field);
        }
    }
    assert_eq!(found.iter().collect::<Vec<_>>(), IN_TEXT);
}
