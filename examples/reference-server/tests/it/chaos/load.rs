//! The load: clients that each send requests of one kind and record the results.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::{Client, Failure, Org};
use super::request::{Kind, Request};
use super::writes::Writes;

/// The pause of a client between two requests.
const PACE: Duration = Duration::from_millis(15);
/// The number of customers with events.
pub(super) const CUSTOMERS: usize = 20;

pub(super) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

struct Shared {
    client: Client,
    orgs: Vec<Org>,
    writes: Arc<Writes>,
    log: Mutex<Vec<Request>>,
    under_way: AtomicUsize,
    is_over: AtomicBool,
}

impl Load {
    /// Starts `clients` clients.
    pub(super) fn start(
        base_url: &str,
        orgs: &[Org],
        writes: &Arc<Writes>,
        clients: usize,
    ) -> Self {
        let shared = Arc::new(Shared {
            client: Client::new(base_url),
            orgs: orgs.to_vec(),
            writes: Arc::clone(writes),
            log: Mutex::default(),
            under_way: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let mut running = JoinSet::new();
        for (number, kind) in Kind::MIX.into_iter().cycle().take(clients).enumerate() {
            running.spawn(Arc::clone(&shared).run(kind, number));
        }
        Self { shared, clients: running }
    }

    /// One client for each entry of the mix.
    pub(super) const FULL: usize = Kind::MIX.len();

    /// How many requests are under way at this moment.
    pub(super) fn under_way(&self) -> usize {
        self.shared.under_way.load(Relaxed)
    }

    /// Waits until `count` requests of each kind have succeeded.
    pub(super) async fn runs(&self, count: usize) {
        let enough = |kind: &Kind| {
            let log = self.shared.log.lock().unwrap();
            log.iter().filter(|one| one.kind == *kind && one.outcome.is_ok()).count() >= count
        };
        while !Kind::ALL.iter().all(enough) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Lets every client finish its request, and returns all requests.
    pub(super) async fn stop(mut self) -> Vec<Request> {
        self.shared.is_over.store(true, Relaxed);
        while let Some(done) = self.clients.join_next().await {
            done.unwrap();
        }
        std::mem::take(&mut *self.shared.log.lock().unwrap())
    }
}

impl Shared {
    async fn run(self: Arc<Self>, kind: Kind, number: usize) {
        let mut round = number;
        while !self.is_over.load(Relaxed) {
            round += 1;
            let is_there = match kind {
                Kind::Read => self.read(round).await,
                Kind::Create => self.create(round, number).await,
                Kind::Webhook => self.deliver(round).await,
                Kind::Link | Kind::SignIn => self.sign_in().await,
            };
            if !is_there {
                return;
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Sends a request and records the result.
    async fn noted<T>(
        &self,
        kind: Kind,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        self.under_way.fetch_add(1, Relaxed);
        let result = request.await;
        self.under_way.fetch_sub(1, Relaxed);
        let outcome = result.as_ref().map(drop).map_err(Clone::clone);
        self.log.lock().unwrap().push(Request { kind, began, ended: Instant::now(), outcome });
        result
    }

    /// Repeats a request while the server answers 503. Returns `None` if
    /// the server does not answer, or refuses the request.
    async fn until_it_succeeds<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        kind: Kind,
        request: impl Fn() -> F,
    ) -> Option<T> {
        loop {
            match self.noted(kind, request()).await {
                Ok(done) => return Some(done),
                Err(Failure::Unavailable) => tokio::time::sleep(PACE).await,
                Err(Failure::Broken(_) | Failure::Refused(..)) => return None,
            }
        }
    }

    async fn read(&self, round: usize) -> bool {
        let org = &self.orgs[round % self.orgs.len()];
        let path = match round % 3 {
            0 => "/me".to_owned(),
            1 => org.path.clone(),
            _ => format!("{}?limit=10", org.tasks),
        };
        is_there(&self.noted(Kind::Read, self.client.get(&path, &org.token)).await)
    }

    /// Creates a task. Every other client repeats the request under an idempotency key until it succeeds.
    async fn create(&self, round: usize, number: usize) -> bool {
        let org = &self.orgs[round % self.orgs.len()];
        let title = format!("write {}", self.writes.next());
        let key = (number % 4 == 1).then(|| title.replace(' ', "-"));
        let send = || {
            let body = json!({"title": title});
            self.client.create(&org.tasks, &org.token, body, key.as_deref())
        };
        self.writes.creates().send(&title);
        if key.is_none() {
            let made = self.noted(Kind::Create, send()).await;
            if let Ok(id) = &made {
                self.writes.creates().acknowledge(&title, id);
            }
            return is_there(&made);
        }
        for _ in 0..=usize::from(round.is_multiple_of(4)) {
            let Some(id) = self.until_it_succeeds(Kind::Create, &send).await else { return false };
            self.writes.creates().acknowledge(&title, &id);
        }
        true
    }

    /// Sends an event until it is accepted, as Stripe does, and some events twice.
    async fn deliver(&self, round: usize) -> bool {
        let number = self.writes.next();
        let event = event(number);
        let name = format!("evt_{number}");
        self.writes.events().send(&name);
        for _ in 0..=usize::from(round.is_multiple_of(4)) {
            let deliver = || self.client.deliver(&event);
            if self.until_it_succeeds(Kind::Webhook, deliver).await.is_none() {
                return false;
            }
            self.writes.events().acknowledge(&name, "");
        }
        true
    }

    /// Requests a link for a new user, and redeems it until the server reports it as used.
    async fn sign_in(&self) -> bool {
        let email = format!("guest-{}@example.org", self.writes.next());
        let ask = || self.client.request_link(&email);
        let Some(link) = self.until_it_succeeds(Kind::Link, ask).await else { return false };
        self.writes.sign_ins().send(&email);
        let mut is_unanswered = false;
        loop {
            let redeemed = self.client.redeem(&link);
            let redeemed = async {
                match redeemed.await {
                    // The answer to an earlier attempt was lost.
                    Err(Failure::Refused(400, text)) if is_unanswered && is_used(&text) => Ok(()),
                    answer => answer.map(drop),
                }
            };
            match self.noted(Kind::SignIn, redeemed).await {
                Ok(()) => {
                    self.writes.sign_ins().acknowledge(&email, "");
                    return true;
                }
                Err(Failure::Unavailable) => is_unanswered = true,
                Err(Failure::Broken(_) | Failure::Refused(..)) => return false,
            }
            tokio::time::sleep(PACE).await;
        }
    }
}

fn is_used(problem: &str) -> bool {
    serde_json::from_str::<Value>(problem).is_ok_and(|problem| problem["code"] == "magic-link-used")
}

fn is_there<T>(result: &Result<T, Failure>) -> bool {
    matches!(result, Ok(_) | Err(Failure::Unavailable))
}

fn event(number: usize) -> Value {
    let customer = number % CUSTOMERS;
    json!({
        "id": format!("evt_{number}"), "type": "customer.subscription.updated",
        "created": 1_795_449_600 + number,
        "data": {"object": {
            "id": format!("sub_{customer}"), "object": "subscription",
            "customer": format!("cus_{customer}"), "status": "active",
            "items": {"data": [
                {"price": {"id": "price_pro"}, "current_period_end": 1_800_000_000 + number},
            ]},
        }},
    })
}
