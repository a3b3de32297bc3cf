//! Exports: one per org at a time, within a deadline, independent of the client's pace.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{id_of, soon, until_at_rest};
use crate::support::{Answer, Person, Server, problem};

/// More than sockets and buffers hold.
const ROWS: u32 = 4000;

/// An org with some 32 MB of tasks, and two owners.
async fn large_org(server: &Server) -> (String, Person, Person) {
    let (owner, second) = (server.sign_in("owner").await, server.sign_in("second").await);
    let org = server.org(&owner).await;
    server.join(&org, &owner, &second, "admin").await;
    let promoted = server
        .patch(&format!("{org}/members/{}", second.id), &owner, json!({"role": "owner"}))
        .await;
    assert_eq!(promoted.status, 200);
    let project = server.make(&format!("{org}/projects"), &owner, json!({"name": "P"})).await;
    let task = json!({"title": "One", "description": "x"});
    server.make(&format!("{org}/projects/{project}/tasks"), &owner, task).await;
    let sql = format!(
        "insert into app.tasks \
         select (jsonb_populate_record(t, jsonb_build_object( \
             'id', gen_random_uuid(), 'description', repeat('x', 8000)))).* \
         from app.tasks t, generate_series(1, {ROWS}) where t.tenant_id = '{}'",
        id_of(&org)
    );
    server.sql(&sql).await;
    (org, owner, second)
}

/// An export whose client has read the head and reads no more.
struct Slow {
    stream: TcpStream,
    length: usize,
    read: usize,
}

impl Slow {
    async fn begin(server: &Server, org: &str, who: &Person) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        let head = format!(
            "POST {org}/export HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             authorization: Bearer {}\r\ncontent-length: 0\r\n\r\n",
            who.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        Self { stream, length: length.parse().unwrap(), read: 0 }
    }

    /// Reads what still comes.
    async fn read_on(&mut self) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = self.stream.read(&mut buffer).await {
            self.read += read;
        }
    }
}

async fn export(server: &Server, org: &str, who: &Person) -> (u16, usize, Value) {
    let url = format!("{}{org}/export", server.base_url());
    let request = reqwest::Client::new().post(url).bearer_auth(&who.token);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.unwrap();
    (status, bytes.len(), serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Exports again until the last one's file is closed.
async fn export_in_the_end(server: &Server, org: &str, who: &Person) -> usize {
    let again = async {
        loop {
            match export(server, org, who).await {
                (200, length, _) => return length,
                (409, ..) => tokio::time::sleep(Duration::from_millis(20)).await,
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap()
}

async fn refused(server: &Server, org: &str, who: &Person) -> Answer {
    server.send(Method::POST, &format!("{org}/export"), Some(&who.token), None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reader_of_an_export_holds_no_connection_and_delays_no_org() {
    let server = Server::start_with(&[("DATABASE_MAX_CONNECTIONS", "4")]).await;
    let (org, owner, second) = large_org(&server).await;
    let mut others = Vec::new();
    for name in ["a", "b", "c"] {
        let person = server.sign_in(name).await;
        others.push((server.org(&person).await, person));
    }
    let mut slow = Slow::begin(&server, &org, &owner).await;
    assert!(slow.length > 30_000_000, "{}", slow.length);
    // It could not have been sent, and is read out all the same.
    until_at_rest(&server).await;
    // There is one export of an org, and one of a principal.
    for (org, who) in [(&org, &second), (&org, &owner)] {
        let answer = soon(refused(&server, org, who)).await;
        assert_eq!(answer.outcome(), problem(409, "conflict"));
        assert_eq!(answer.header("retry-after"), "10");
    }
    let elsewhere = server.org(&owner).await;
    assert_eq!(refused(&server, &elsewhere, &owner).await.outcome(), problem(409, "conflict"));
    // Those of others do not wait, nor does anything else in the org.
    for (org, who) in &others {
        let (status, length, _) = export(&server, org, who).await;
        assert_eq!((status, length > 0), (200, true));
    }
    assert_eq!(soon(server.get(&org, &second)).await.status, 200);
    slow.read_on().await;
    assert_eq!(slow.read, slow.length);
    // A client that has all of it may ask for the next one.
    for _ in 0..3 {
        let (status, length, _) = export(&server, &elsewhere, &owner).await;
        assert_eq!((status, length % 512), (200, 0));
    }
    // Or when its client has gone.
    let slow = Slow::begin(&server, &org, &owner).await;
    drop(slow);
    assert!(export_in_the_end(&server, &org, &second).await > 30_000_000);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn export_ends_at_its_deadline_even_if_its_client_reads_nothing() {
    let server = Server::start_with(&[("EXPORT_MAX_SECONDS", "6")]).await;
    let (org, owner, second) = large_org(&server).await;
    let mut slow = Slow::begin(&server, &org, &owner).await;
    assert_eq!(refused(&server, &org, &second).await.outcome(), problem(409, "conflict"));
    // Its client holds the connection, and the archive is gone at the deadline.
    let length = export_in_the_end(&server, &org, &second).await;
    assert_eq!(length / 1_000_000, slow.length / 1_000_000);
    slow.read_on().await;
    assert!(slow.read < slow.length, "{} of {}", slow.read, slow.length);
    server.stop().await;
}

/// Reading the org out does not end in time: its rows are locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn export_that_exceeds_its_deadline_is_refused() {
    let server = Server::start_with(&[("EXPORT_MAX_SECONDS", "1")]).await;
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    let lock = super::held(&server, "lock table app.tasks in access exclusive mode").await;
    let answer = refused(&server, &org, &owner).await;
    assert_eq!(answer.outcome(), problem(503, "unavailable"));
    assert_eq!(answer.header("retry-after"), "10");
    super::let_go(lock).await;
    let (status, ..) = export(&server, &org, &owner).await;
    assert_eq!(status, 200, "nothing is left of the first one");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_space_of_exports_is_bounded() {
    let server = Server::start_with(&[("EXPORT_DISK_MB", "100")]).await;
    let (org, owner, _) = large_org(&server).await;
    let answer = refused(&server, &org, &owner).await;
    assert_eq!(answer.outcome(), problem(409, "conflict"), "a quarter of 100 MiB is too little");
    assert!(answer.text.contains("too large"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), "");
    let small = server.org(&owner).await;
    assert_eq!(export(&server, &small, &owner).await.0, 200);
    server.stop().await;
}
