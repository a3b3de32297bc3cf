//! A server in a process of its own, and everything that it logs.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, answer};

/// A process that writes JSON lines.
pub(crate) struct Logged {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: String,
}

impl Logged {
    /// Starts a server and waits until it listens.
    pub(crate) async fn start(database_url: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_in(&std::env::temp_dir(), database_url, settings).await
    }

    /// The same in a folder, of which a server may read the `.env`.
    pub(crate) async fn start_in(
        folder: &Path,
        database_url: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_mt-server"));
        Self::start_program(program, folder, database_url, settings).await
    }

    /// The same with another build of the server.
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

    /// The URL in a line of the log that holds `text`, once there is one.
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

    /// Waits until so many lines of the log hold `text`.
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

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the process ended, once it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Everything that it has logged until now.
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

    /// Stops it by a signal, and returns how it ended and all that it said.
    pub(crate) fn stop(mut self) -> (ExitStatus, Vec<String>) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        (status, lines)
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
