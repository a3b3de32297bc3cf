//! Two servers on one database: what one is told counts for the other at once.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Server, answer};

const JWT_SECRET: &str = "one secret for both, of 32 bytes or more";

/// A server in a process of its own.
pub(crate) struct Process {
    child: Child,
    base_url: String,
    http: reqwest::Client,
}

impl Process {
    pub(crate) fn start(database_url: &str, settings: &[(&str, &str)]) -> Self {
        let redis = std::env::var("MT_TEST_REDIS_URL").expect("`make test` names a Redis");
        let child = Command::new(env!("CARGO_BIN_EXE_mt-server"))
            .arg("serve")
            .env_clear()
            .env("HOME", std::env::temp_dir())
            .envs([("APP_PORT", "0"), ("APP_ENV", "test"), ("LOG_FORMAT", "json")])
            .envs([("DATABASE_URL", database_url), ("REDIS_URL", &redis)])
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut process = Self { child, base_url: String::new(), http: reqwest::Client::new() };
        let child = &mut process.child;
        // On either, so that the test does not rest on which.
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (said, heard) = std::sync::mpsc::channel();
        for stream in [Box::new(stdout) as Box<dyn std::io::Read + Send>, Box::new(stderr)] {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    // Read on after that, or the process would wait for a reader of its log.
                    let _ = said.send(line);
                }
            });
        }
        drop(said);
        let mut log = Vec::new();
        for line in heard {
            if let Some(at) = line.find("listening on http://") {
                let url = line[at..].trim_start_matches("listening on ");
                let end = url.find([',', '"']).unwrap_or(url.len());
                url[..end].clone_into(&mut process.base_url);
                return process;
            }
            log.push(line);
        }
        panic!("the process never listened: {log:#?}");
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    async fn send(&self, method: Method, path: &str, who: &Person, body: Option<Value>) -> Answer {
        let url = format!("{}{path}", self.base_url);
        let mut request = self.http.request(method, url).bearer_auth(&who.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request.send().await.unwrap()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn what_one_server_is_told_holds_on_the_other_at_the_next_request() {
    for cache in ["0", "600"] {
        let settings = [("JWT_SECRET", JWT_SECRET), ("ACCESS_CACHE_SECONDS", cache)];
        let here = Server::start_with(&settings).await;
        let there = Process::start(&here.db.login_url(), &settings);
        let owner = here.sign_in("owner").await;
        let org = here.org(&owner).await;
        let projects = format!("{org}/projects");
        let get =
            async |path: &str, who: &Person| there.send(Method::GET, path, who, None).await.status;
        let create = async |who: &Person, name: &str| {
            let body = Some(json!({"name": name}));
            there.send(Method::POST, &projects, who, body).await.status
        };
        for round in 0..5 {
            let who = here.sign_in(&format!("fellow-{round}")).await;
            here.join(&org, &owner, &who, "admin").await;
            let membership = format!("{org}/members/{}", who.id);
            // Often enough to be remembered there.
            for _ in 0..3 {
                assert_eq!(get(&projects, &who).await, 200, "cache {cache}");
            }
            let demoted = here.patch(&membership, &owner, json!({"role": "member"})).await;
            assert_eq!(demoted.status, 200, "{demoted:?}");
            assert_eq!(create(&who, "never").await, 403, "cache {cache}, round {round}");
            assert_eq!(get(&projects, &who).await, 200, "cache {cache}");
            let removed = here.delete(&membership, &owner).await;
            assert_eq!(removed.status, 204, "{removed:?}");
            // Their token is as good as ever, and opens nothing here any more.
            assert_eq!(get(&projects, &who).await, 404, "cache {cache}, round {round}");
            assert_eq!(get(&org, &who).await, 404, "cache {cache}, round {round}");
            assert_eq!(get("/me", &who).await, 200);
        }
        // And the other way round.
        let who = here.sign_in("last").await;
        here.join(&org, &owner, &who, "admin").await;
        for _ in 0..3 {
            assert_eq!(here.get(&projects, &who).await.status, 200);
        }
        let membership = format!("{org}/members/{}", who.id);
        let removed = there.send(Method::DELETE, &membership, &owner, None).await;
        assert_eq!(removed.status, 204, "{removed:?}");
        assert_eq!(here.get(&projects, &who).await.status, 404, "cache {cache}");
        drop(there);
        here.stop().await;
    }
}
