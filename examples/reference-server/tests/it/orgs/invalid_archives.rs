//! Import refuses invalid archives and creates nothing.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fixture::{OrgFixture, files_of, orgs_json, orgs_refused};
use crate::support::Server;

type Files = Vec<(String, Vec<u8>)>;

fn write(path: &Path, files: &Files) {
    let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(u64::try_from(bytes.len()).unwrap());
        header.set_mode(0o600);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    archive.finish().unwrap();
}

fn file<'f>(files: &'f mut Files, name: &str) -> &'f mut Vec<u8> {
    &mut files.iter_mut().find(|(found, _)| found == name).unwrap().1
}

/// Changes the text of a file.
fn replace(files: &mut Files, name: &str, from: &str, to: &str) {
    let text = String::from_utf8(file(files, name).clone()).unwrap();
    let changed = text.replacen(from, to, 1);
    assert_ne!(text, changed, "`{from}` is not in {name}");
    *file(files, name) = changed.into_bytes();
}

/// Makes the manifest true of the files again.
fn seal(files: &mut Files) {
    let mut manifest: Value = serde_json::from_slice(file(files, "manifest.json")).unwrap();
    for table in manifest["tables"].as_array_mut().unwrap() {
        let name = format!("{}.jsonl", table["name"].as_str().unwrap());
        let bytes = file(files, &name);
        table["bytes"] = json!(bytes.len());
        table["rows"] = json!(bytes.split(|byte| *byte == b'\n').count() - 1);
        table["sha256"] = json!(hex::encode(Sha256::digest(&bytes)));
    }
    *file(files, "manifest.json") = serde_json::to_vec(&manifest).unwrap();
}

/// A change to an archive, whether its manifest is updated afterwards, and the expected error.
type Tampering = (fn(&mut Files), bool, &'static str);

const TASKS: &str = "app.tasks.jsonl";
const MEMBERS: &str = "mt.memberships.jsonl";
const MANIFEST: &str = "manifest.json";

const TAMPERINGS: [Tampering; 22] = [
    (
        |files| replace(files, TASKS, "Last", "Lost"),
        false,
        "`app.tasks.jsonl` does not match the manifest",
    ),
    (|files| file(files, TASKS).clear(), false, "`app.tasks.jsonl` does not match the manifest"),
    (|files| files.retain(|(name, _)| name != TASKS), false, "lacks `app.tasks.jsonl`"),
    (|files| files.retain(|(name, _)| name != MANIFEST), false, "has no `manifest.json`"),
    (
        |files| files.push(("more.jsonl".to_owned(), Vec::new())),
        false,
        "not in the manifest, a duplicate or not a plain file",
    ),
    (
        |files| files.push(files[0].clone()),
        false,
        "not in the manifest, a duplicate or not a plain file",
    ),
    (|files| *file(files, MANIFEST) = b"{}".to_vec(), false, "does not have the expected format"),
    (|files| replace(files, MANIFEST, "mt-tenant", "mt-other"), false, "the archive's format is"),
    (|files| replace(files, MANIFEST, "\"mt\": ", "\"mt\": 99"), false, "migrate first"),
    (|files| replace(files, MANIFEST, "\"app\": ", "\"apq\": "), false, "schema `apq`"),
    (
        |files| replace(files, MANIFEST, "\"title\"", "\"tytle\""),
        false,
        "a column `app.tasks.tytle`",
    ),
    (|files| replace(files, MANIFEST, "\"title\",", ""), false, "no column `app.tasks.title`"),
    (|files| replace(files, TASKS, "\"title\"", "\"tytle\""), true, "does not have the columns"),
    (|files| replace(files, TASKS, "\"todo\"", "\"soon\""), true, "tasks_status_check"),
    // A task of a project that is not there.
    (|files| file(files, "app.projects.jsonl").clear(), true, "tasks_project_id_fkey"),
    (
        |files| replace(files, MEMBERS, "\"admin\"", "\"root\""),
        true,
        "role that does not exist here",
    ),
    (
        |files| replace(files, "mt.roles.jsonl", "audit.read", "audit.burn"),
        true,
        "a permission that does not exist here",
    ),
    (
        |files| replace(files, "mt.roles.jsonl", "\"member\"", "\"owner\""),
        true,
        "based on a role that does not exist here",
    ),
    // A member who is said to be an owner, and is none.
    (|files| replace(files, MEMBERS, "false", "true"), true, "who is an owner"),
    // Addresses that mail cannot be sent to.
    (
        |files| replace(files, "mt.users.jsonl", "@", "\u{200b}@"),
        true,
        "an e-mail address must not hold invisible characters",
    ),
    (
        |files| replace(files, "mt.invites.jsonl", ".org\"", ".org;\""),
        true,
        "an e-mail address must have a domain name after the `@`",
    ),
    (
        |files| {
            let text = String::from_utf8(file(files, MEMBERS).clone()).unwrap();
            let others = text.lines().filter(|line| !line.contains("\"owner\""));
            *file(files, MEMBERS) =
                others.fold(String::new(), |text, line| text + line + "\n").into();
            // Whatever refers to them goes.
            file(files, TASKS).clear();
        },
        true,
        "no owner",
    ),
];

/// Everything that an import could leave: orgs, people, and the rows of both.
async fn left(server: &Server) -> String {
    sqlx::query_scalar(
        "select md5(string_agg(line, '' order by line)) from ( \
             select t::text as line from mt.tenants t union all select u::text from mt.users u \
             union all select m::text from mt.memberships m union all select p::text from app.projects p \
             union all select l::text from mt.audit_log l) all_rows",
    )
    .fetch_one(server.db.admin())
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_archive_is_refused_and_creates_nothing() {
    let server = Server::start().await;
    let fixture = OrgFixture::new(&server, "a").await;
    let folder = tempfile::tempdir().unwrap();
    let sound = files_of(&fixture.export(&server, folder.path()).await);
    let path: PathBuf = folder.path().join("tampered.tar");
    let import = ["import", path.to_str().unwrap()];
    let before = left(&server).await;
    for (number, (tamper, sealed, says)) in TAMPERINGS.into_iter().enumerate() {
        let mut files = sound.clone();
        tamper(&mut files);
        if sealed {
            seal(&mut files);
        }
        write(&path, &files);
        let refused = orgs_refused(&server, &import).await;
        assert!(refused.contains(says), "{number}: `{refused}` does not say `{says}`");
        assert_eq!(left(&server).await, before, "{number}: {refused}");
    }
    for (bytes, says) in [
        (&b""[..], "manifest.json"),
        (b"no archive at all, but a text that is long enough to be looked at", "could not be read"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let refused = orgs_refused(&server, &import).await;
        assert!(refused.contains(says), "{refused}");
    }
    // Cut short in the middle.
    write(&path, &sound);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    orgs_refused(&server, &import).await;
    assert_eq!(left(&server).await, before);

    // The controls: as it was, and sealed anew.
    let mut files = sound.clone();
    seal(&mut files);
    for files in [sound, files] {
        write(&path, &files);
        orgs_json(&server, &import).await;
    }
    assert_ne!(left(&server).await, before);
    server.stop().await;
}
