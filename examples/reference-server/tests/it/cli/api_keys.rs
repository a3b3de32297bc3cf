//! `mt-server api-keys`, and what the settings of secrets mean for keys.

use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::cli::{command, run};
use crate::support::{Person, Server, secret};

/// Issues a key of the org, and returns its id and its text.
async fn issue(server: &Server, org: &str, owner: &Person) -> (String, String) {
    let new = json!({"name": "nightly", "permissions": []});
    let made = server.post(&format!("{org}/api-keys"), owner, new).await.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

/// Feeds `text` to `revoke-leaked`, and returns the exit code, stdout and stderr.
async fn revoke_leaked(server: &Server, text: &str) -> (Option<i32>, String, String) {
    let url = server.db.login_url();
    let mut revoking =
        command(&["api-keys", "revoke-leaked"], &[("APP_ENV", "test"), ("DATABASE_URL", &url)]);
    revoking.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut revoking = tokio::process::Command::from(revoking).spawn().unwrap();
    revoking.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = revoking.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaked_keys_are_found_in_a_text_and_revoked() {
    let server = Server::start().await;
    let ada = server.sign_in("ada").await;
    let org = server.org(&ada).await;
    let (one, key) = issue(&server, &org, &ada).await;
    let (two, other) = issue(&server, &org, &ada).await;
    let dump = format!("AWS=abc\nexport MT_KEY=\"{key}\" # {key}\n- {other}, mt_nothing\u{ff}\n");
    let (code, out, err) = revoke_leaked(&server, &dump).await;
    assert_eq!(code, Some(0), "{err}");
    let (tenant, lines) = (org.rsplit('/').next().unwrap(), out.lines().count());
    assert_eq!(lines, 2, "each once: {out}");
    for id in [&one, &two] {
        assert!(
            out.contains(&format!("revoked {id} `nightly` of {tenant}, of the user ")),
            "{out}"
        );
    }
    for secret in [&key, &other] {
        assert!(!out.contains(secret) && !err.contains(secret), "{out}{err}");
    }
    for text in [&*dump, "", "nothing here"] {
        let (code, _, err) = revoke_leaked(&server, text).await;
        assert!(code == Some(1) && err.contains("no API key that can be used"), "{err}");
    }

    // A text that is not read to its end revokes nothing, and says so.
    let (three, last) = issue(&server, &org, &ada).await;
    let (code, _, err) = revoke_leaked(&server, &format!("{last}{}", " ".repeat(1 << 20))).await;
    assert!(code == Some(1) && err.contains("more than a mebibyte"), "{err}");
    let key = Person { token: last, ..ada.clone() };
    assert_eq!(server.get(&org, &key).await.status, 403, "{three} can be used");

    let url = server.db.login_url();
    let settings = [("APP_ENV", "test"), ("DATABASE_URL", url.as_str())];
    let listed = run(&["api-keys", "list", tenant], &settings).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.starts_with("KEY ") && listed.contains(" nightly "), "{listed}");
    assert_eq!(listed.matches(" nothing ").count(), 3, "the limit: {listed}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_outlive_the_secret_of_tokens_that_they_are_not_hashed_with() {
    let (old, new) = (secret(), secret());
    let server = Server::start_with(&[("JWT_SECRET", &old)]).await;
    let ada = server.sign_in("ada").await;
    let org = server.org(&ada).await;
    let (_, key) = issue(&server, &org, &ada).await;
    let db = std::sync::Arc::clone(&server.db);
    server.stop().await;
    // A key without permissions is told that it may not, one that has ended that it is none.
    for (settings, status) in [
        (&[("JWT_SECRET", &*new), ("API_KEY_SECRET", &*old)][..], 403),
        (&[("JWT_SECRET", &*new)], 401),
    ] {
        let server = Server::start_on(std::sync::Arc::clone(&db), settings).await;
        let key = Person { token: key.clone(), ..ada.clone() };
        assert_eq!(server.get(&org, &key).await.status, status, "{settings:?}");
        server.stop().await;
    }
}
