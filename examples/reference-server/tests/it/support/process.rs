//! A server process and the lines that it logs.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mt_core::testing::TestDatabase;
use reference_server::schema;
use reqwest::Method;
use serde_json::Value;
use test_support::process::signal;

use crate::support::{Answer, answer};

/// A server process that logs JSON lines. It is killed when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: String,
}

impl ServerProcess {
    /// Starts a server and waits until it listens.
    pub(crate) async fn start(database_url: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_in(&std::env::temp_dir(), database_url, settings).await
    }

    /// Starts a server in a folder whose `.env` it may read.
    pub(crate) async fn start_in(
        folder: &Path,
        database_url: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_mt-server"));
        Self::start_program(program, folder, database_url, settings).await
    }

    /// Starts another build of the server.
    pub(crate) async fn start_program(
        program: &Path,
        folder: &Path,
        database_url: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let redis = std::env::var("MT_TEST_REDIS_URL").expect("`make test` names a Redis");
        let mut child = Command::new(program)
            .arg("serve")
            .env_clear()
            .current_dir(folder)
            .envs([("APP_PORT", "0"), ("APP_ENV", "test"), ("LOG_FORMAT", "json")])
            .envs([("DATABASE_URL", database_url), ("REDIS_URL", &redis)])
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (stderr, heard) = (child.stderr.take().unwrap(), Arc::clone(&lines));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                heard.lock().unwrap().push(line);
            }
        });
        let http = reqwest::Client::new();
        let mut process =
            Self { child, lines, reader: Some(reader), http, base_url: String::new() };
        process.base_url = process.said("listening on http://").await;
        process
    }

    /// Waits for a log line that contains `text`, and returns the URL in it.
    pub(crate) async fn said(&self, text: &str) -> String {
        let looking = async {
            loop {
                let lines = self.lines();
                if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                    let from = &line[line.find("http://").unwrap()..];
                    return from[..from.find([',', '"']).unwrap_or(from.len())].to_owned();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(30), looking).await;
        found.unwrap_or_else(|_| panic!("no `{text}` in {:#?}", self.lines.lock().unwrap()))
    }

    /// Waits until `times` log lines contain `text`.
    pub(crate) async fn logs(&self, text: &str, times: usize) {
        let waiting = async {
            while self.lines.lock().unwrap().iter().filter(|line| line.contains(text)).count()
                < times
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(waited.is_ok(), "no `{text}` in {:#?}", self.lines.lock().unwrap());
    }

    /// Returns the id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the exit status, if the process has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Returns all lines logged so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base_url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request.send().await.unwrap()).await
    }

    /// Stops the process with SIGTERM. Returns its exit status and all log lines.
    pub(crate) fn stop(mut self) -> (ExitStatus, Vec<String>) {
        assert!(signal("TERM", &[self.child.id()]), "TERM to the server");
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        (status, lines)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Parses log lines.
pub(crate) fn parsed(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Creates a test database with the schema of the server.
pub(crate) async fn database() -> Arc<TestDatabase> {
    Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap())
}
