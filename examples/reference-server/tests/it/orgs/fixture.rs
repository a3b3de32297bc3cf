//! An org with at least one row of every kind, the command that works on it, and archives as tests read them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::cli::run;
use crate::support::{Person, Server};

/// An org, and who is in it.
pub(super) struct OrgFixture {
    pub(super) org: String,
    pub(super) id: String,
    pub(super) owner: Person,
    pub(super) member: Person,
}

impl OrgFixture {
    /// Names begin with `name`.
    pub(super) async fn new(server: &Server, name: &str) -> Self {
        let [owner, admin, member, former] = [
            server.sign_in(&format!("{name}-owner")).await,
            server.sign_in(&format!("{name}-admin")).await,
            server.sign_in(&format!("{name}-member")).await,
            server.sign_in(&format!("{name}-former")).await,
        ];
        let org = server.org(&owner).await;
        server.join(&org, &owner, &admin, "admin").await;
        server.join(&org, &owner, &member, "member").await;
        server.join(&org, &owner, &former, "admin").await;
        let invites = format!("{org}/invites");
        let projects = format!("{org}/projects");
        let first = server.make(&projects, &admin, json!({"name": "Ä \"project\""})).await;
        let second = server.make(&projects, &former, json!({"name": "Another"})).await;
        let tasks = |project: &str| format!("{projects}/{project}/tasks");
        let full = json!({
            "title": "Ж", "description": format!("two\nlines, \\ and \t {first}"),
            "assigned_to": member.id,
        });
        server.make(&tasks(&first), &former, full).await;
        let task = server.make(&tasks(&first), &owner, json!({"title": "Done"})).await;
        let done = json!({"status": "done"});
        assert_eq!(server.patch(&format!("{org}/tasks/{task}"), &owner, done).await.status, 200);
        server.make(&tasks(&second), &member, json!({"title": "Last"})).await;
        let left = server.delete(&format!("{org}/members/{}", former.id), &former).await;
        assert_eq!(left.status, 204);
        // One that was taken back, and one that waits.
        for name in ["other", "guest"] {
            let invite = json!({"email": format!("{name}@example.org"), "role": "member"});
            let id = server.make(&invites, &owner, invite).await;
            if name == "other" {
                assert_eq!(server.delete(&format!("{invites}/{id}"), &owner).await.status, 204);
            }
        }
        let auditor = json!({
            "name": "Auditor", "based_on": "member", "permissions": ["audit.read", "org.read"],
        });
        server.make(&format!("{org}/roles"), &owner, auditor).await;
        let paid = server.post(&format!("{org}/billing/customer"), &owner, Value::Null).await;
        assert_eq!(paid.status, 200);
        let id = org.rsplit('/').next().unwrap().to_owned();
        Self { org, id, owner, member }
    }

    /// The org, as its owner gets it over HTTP, in a file.
    pub(super) async fn export(&self, server: &Server, folder: &Path) -> PathBuf {
        let url = format!("{}{}/export", server.base_url(), self.org);
        let answer = reqwest::Client::new()
            .request(Method::POST, url)
            .bearer_auth(&self.owner.token)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let headers = answer.headers().clone();
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(headers["content-type"], "application/x-tar");
        assert_eq!(headers["content-length"], bytes.len().to_string());
        let name = format!("attachment; filename=\"org-{}.tar\"", self.id);
        assert_eq!(headers["content-disposition"], name);
        let path = folder.join(format!("{}.tar", self.id));
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Runs `mt-server orgs` beside a running server, on its database.
pub(super) async fn orgs(server: &Server, arguments: &[&str]) -> Output {
    let url = server.db.login_url();
    let settings = [("APP_ENV", "test"), ("USER", "ada"), ("DATABASE_URL", url.as_str())];
    run(&[&["orgs"], arguments].concat(), &settings).await
}

/// Runs a command that succeeds, and returns its JSON output.
pub(super) async fn orgs_json(server: &Server, arguments: &[&str]) -> Value {
    let output = orgs(server, &[arguments, &["--json"]].concat()).await;
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {err}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs a command that fails, and returns its error message.
pub(super) async fn orgs_refused(server: &Server, arguments: &[&str]) -> String {
    let output = orgs(server, arguments).await;
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {err}");
    assert!(output.stdout.is_empty(), "{output:?}");
    err
}

/// The files of an archive, in their order.
pub(super) fn files_of(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, std::fs::File>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

/// The rows of each table.
pub(super) fn rows_of(path: &Path) -> BTreeMap<String, Vec<Value>> {
    let files = files_of(path).into_iter().filter(|(name, _)| name != "manifest.json");
    let rows = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    };
    files.map(|(name, bytes)| (name, rows(bytes))).collect()
}
