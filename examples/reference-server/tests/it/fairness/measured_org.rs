//! The org that must be served during an attack: its requests, and how long each takes.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

/// The pause between two requests of one client.
const PACE: Duration = Duration::from_millis(20);
/// Longer than any request may take: the server gives up before.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The number of clients, each with one request at a time.
const CLIENTS: usize = 3;

/// An org with a project, and its owner's token.
#[derive(Clone, Debug)]
pub(super) struct Org {
    pub(super) path: String,
    pub(super) tasks: String,
    pub(super) token: String,
}

/// The response times and failures of the measured org.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    times: Vec<Duration>,
    /// Responses other than success.
    pub(super) failures: Vec<String>,
}

impl Measurement {
    /// Reads and writes as the owner of `org` until `over` is ready.
    pub(super) async fn of(base_url: &str, org: &Org, over: impl Future<Output = ()>) -> Self {
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let mut clients = tokio::task::JoinSet::new();
        for number in 0..CLIENTS {
            let (base_url, org, stopping) = (base_url.to_owned(), org.clone(), stopping.clone());
            clients.spawn(async move { client(&base_url, &org, number, &stopping).await });
        }
        over.await;
        stop.send_replace(true);
        let mut all = Self::default();
        while let Some(one) = clients.join_next().await {
            let Self { times, failures } = one.unwrap();
            all.times.extend(times);
            all.failures.extend(failures);
        }
        all.times.sort_unstable();
        all
    }

    pub(super) fn count(&self) -> usize {
        self.times.len()
    }

    /// The 99th percentile of the response times.
    pub(super) fn p99(&self) -> Duration {
        let place = (self.times.len() * 99).div_ceil(100);
        self.times.get(place.saturating_sub(1)).copied().unwrap_or(TIMEOUT)
    }
}

async fn client(
    base_url: &str,
    org: &Org,
    number: usize,
    stopping: &tokio::sync::watch::Receiver<bool>,
) -> Measurement {
    let http = reqwest::Client::builder().timeout(TIMEOUT).build().unwrap();
    let mut measurement = Measurement::default();
    let mut round = number;
    while !*stopping.borrow() {
        round += 1;
        let request = match round % 3 {
            0 => http
                .request(Method::POST, format!("{base_url}{}", org.tasks))
                .json(&json!({"title": "A task"})),
            1 => http.request(Method::GET, format!("{base_url}{}?limit=10", org.tasks)),
            _ => http.request(Method::GET, format!("{base_url}{}", org.path)),
        };
        let began = Instant::now();
        let answer = request.bearer_auth(&org.token).send().await;
        measurement.times.push(began.elapsed());
        match answer {
            Ok(answer) if answer.status().is_success() => drop(answer.bytes().await),
            Ok(answer) => measurement.failures.push(answer.status().to_string()),
            Err(error) => measurement.failures.push(format!("{error:?}")),
        }
        tokio::time::sleep(PACE).await;
    }
    measurement
}
