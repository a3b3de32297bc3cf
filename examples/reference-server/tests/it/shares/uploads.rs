//! Slow uploads hold no connection and no seat.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{held, let_go, soon, until_at_rest, until_waiting};
use crate::support::{Person, Server, problem};

const LENGTH: usize = 20_000;

/// A request whose body the server has begun to read.
struct Upload {
    stream: TcpStream,
    sent: usize,
}

impl Upload {
    /// Sends a head, and waits for the server to ask for the body, or for its answer.
    async fn begin(server: &Server, path: &str, who: &Person) -> Result<Self, String> {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {LENGTH}\r\n\
             expect: 100-continue\r\n\r\n",
            who.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = first_head(&mut stream).await;
        if answer.starts_with("HTTP/1.1 100 ") {
            Ok(Self { stream, sent: 0 })
        } else {
            Err(answer.to_ascii_lowercase())
        }
    }

    /// Sends white space, a byte at a time, until it is aborted.
    fn trickle(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            while self.sent < LENGTH - 100 && self.stream.write_all(b" ").await.is_ok() {
                self.sent += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    }

    /// Sends the rest, and returns the head of the answer.
    async fn end(mut self, body: &str) -> String {
        let rest = format!("{body:LENGTH$}");
        self.stream.write_all(rest.as_bytes()).await.unwrap();
        first_head(&mut self.stream).await
    }
}

/// All up to the first empty line.
async fn first_head(stream: &mut TcpStream) -> String {
    let head = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).unwrap()
    };
    tokio::time::timeout(Duration::from_secs(10), head).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_uploads_of_a_member_block_no_others_of_the_org() {
    for uploads in [12, 24] {
        let server = Server::start().await;
        let (owner, hog) = (server.sign_in("owner").await, server.sign_in("hog").await);
        let other = server.sign_in("other").await;
        let org = server.org(&owner).await;
        server.join(&org, &owner, &hog, "member").await;
        server.join(&org, &owner, &other, "member").await;
        let project = server.make(&format!("{org}/projects"), &owner, json!({"name": "P"})).await;
        let tasks = format!("{org}/projects/{project}/tasks");
        let mut begun = Vec::new();
        for _ in 0..uploads {
            begun.push(Upload::begin(&server, &tasks, &hog).await.unwrap());
        }
        let last = begun.pop().unwrap();
        let trickling: Vec<_> = begun.into_iter().map(Upload::trickle).collect();
        until_at_rest(&server).await;

        let made = soon(server.post(&tasks, &other, json!({"title": "Theirs"}))).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(soon(server.get(&org, &owner)).await.status, 200);
        let member = format!("{org}/members/{}", hog.id);
        assert_eq!(soon(server.delete(&member, &owner)).await.status, 204);
        // What was begun before the removal comes to nothing after it.
        let answer = last.end(r#"{"title": "Too late"}"#).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        for upload in trickling {
            upload.abort();
        }
        server.stop().await;
    }
}

/// A caller with as many requests waiting as may wait is refused before the body is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_queue_is_refused_before_the_body() {
    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    assert_eq!(server.get(&org, &owner).await.status, 200);
    let lock = "select 1 from mt.tenants for update";
    let lock = held(&server, lock).await;
    let url = format!("{}{org}/projects", server.base_url());
    let client = reqwest::Client::new();
    let waiting: Vec<_> = (0..4 + 128)
        .map(|_| {
            let request = client.post(&url).bearer_auth(&owner.token);
            tokio::spawn(request.json(&json!({"name": "P"})).send())
        })
        .collect();
    until_waiting(&server, 4).await;
    let refused = async {
        loop {
            match Upload::begin(&server, &format!("{org}/projects"), &owner).await {
                Err(refused) => return refused,
                // Not all of the requests have come to the queue yet.
                Ok(_) => tokio::task::yield_now().await,
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(10), refused).await.unwrap();
    assert!(refused.starts_with("http/1.1 503 "), "{refused}");
    assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    let ready = soon(server.send(reqwest::Method::GET, "/ready", None, None)).await;
    assert_eq!(ready.status, 200);
    let_go(lock).await;
    for request in waiting {
        let status = request.await.unwrap().unwrap().status().as_u16();
        assert!([201, 402, 503].contains(&status), "{status}");
    }
    until_at_rest(&server).await;
    let later = server.get(&org, &owner).await;
    assert_eq!(later.outcome(), problem(200, ""), "{later:?}");
    server.stop().await;
}
