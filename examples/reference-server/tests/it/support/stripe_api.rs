//! A stand-in for the Stripe API on a socket: subscriptions, prices, customers and sessions. It stores the
//! answer to an idempotency key, errors included, as Stripe does, and can fail or lose its answers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use salvo::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A stand-in for the Stripe API. It stops with the test.
pub(crate) struct Stripe {
    pub(crate) base: String,
    account: Arc<Mutex<Account>>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

/// A response: status and body.
type Reply = (u16, Value);

#[derive(Default)]
struct Account {
    subscriptions: HashMap<String, Vec<Value>>,
    prices: HashMap<String, Value>,
    /// How many requests for subscriptions are refused before the next is answered.
    refusals: usize,
    /// Answers to the next POST requests, instead of the normal ones.
    failures: VecDeque<Reply>,
    /// Stored answers by idempotency key.
    kept: HashMap<String, Reply>,
    /// How many answers are lost.
    losses: usize,
    /// The POST requests: path and form.
    asked: Vec<(String, String)>,
    /// The idempotency keys of these requests.
    keys: Vec<String>,
    /// How many objects were created, by path.
    made: BTreeMap<String, usize>,
    rejects_keys: bool,
    /// The deleted customers.
    deleted: Vec<String>,
    canceled: Vec<String>,
}

impl Stripe {
    pub(crate) async fn start() -> Self {
        let account = Arc::<Mutex<Account>>::default();
        let acceptor = TcpListener::new("127.0.0.1:0").bind().await;
        let behind = acceptor.inner().local_addr().unwrap();
        let router = Router::with_path("v1/{**path}").goal(Api(Arc::clone(&account)));
        let serving = tokio::spawn(Server::new(acceptor).serve(router));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let losing = Arc::clone(&account);
        let relaying = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, behind, Arc::clone(&losing)));
            }
        });
        Self { base, account, tasks: [serving, relaying] }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    /// Sets the subscriptions of `customer`.
    pub(crate) fn shows(&self, customer: &str, subscriptions: Vec<Value>) {
        self.account().subscriptions.insert(customer.to_owned(), subscriptions);
    }

    /// Adds a price.
    pub(crate) fn sells(&self, price: &str, object: Value) {
        self.account().prices.insert(price.to_owned(), object);
    }

    /// Refuses the next `count` requests for subscriptions with 429.
    pub(crate) fn refuses(&self, count: usize) {
        self.account().refusals = count;
    }

    /// Answers the next POST with a new key, and each repetition of that key, with this response.
    pub(crate) fn fails(&self, status: u16, error: Value) {
        let body = Value::Object([("error".to_owned(), error)].into_iter().collect());
        self.account().failures.push_back((status, body));
    }

    /// Loses the next `count` answers.
    pub(crate) fn loses(&self, count: usize) {
        self.account().losses = count;
    }

    /// Refuses all API keys from now on.
    pub(crate) fn rejects_keys(&self) {
        self.account().rejects_keys = true;
    }

    /// Deletes a customer, as an operator does in Stripe's dashboard.
    pub(crate) fn deletes(&self, customer: &str) {
        self.account().deleted.push(customer.to_owned());
    }

    /// Returns the POST requests so far: path and form.
    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        self.account().asked.clone()
    }

    /// Returns the idempotency keys of these requests.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.account().keys.clone()
    }

    /// Returns how many objects were created at `path`.
    pub(crate) fn made(&self, path: &str) -> usize {
        self.account().made.get(path).copied().unwrap_or_default()
    }

    /// Returns the canceled subscriptions.
    pub(crate) fn canceled(&self) -> Vec<String> {
        self.account().canceled.clone()
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Forwards one connection, and drops an answer if told to; the request has arrived then.
async fn relay(mut client: TcpStream, to: std::net::SocketAddr, account: Arc<Mutex<Account>>) {
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    let (mut request, mut answer) = ([0; 16_384], [0; 16_384]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => match read {
                Ok(length) if length > 0 => {
                    if server.write_all(&request[..length]).await.is_err() { return }
                }
                _ => return,
            },
            read = server.read(&mut answer) => match read {
                Ok(length) if length > 0 => {
                    let is_lost = {
                        let mut account = account.lock().unwrap();
                        let is_lost = account.losses > 0;
                        account.losses = account.losses.saturating_sub(1);
                        is_lost
                    };
                    if is_lost || client.write_all(&answer[..length]).await.is_err() { return }
                }
                _ => return,
            },
        }
    }
}

struct Api(Arc<Mutex<Account>>);

#[async_trait]
impl Handler for Api {
    async fn handle(&self, req: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        let form = req.payload().await.map(|body| String::from_utf8_lossy(body).into_owned());
        let form = form.unwrap_or_default();
        let path = req.uri().path().to_owned();
        let customer: String = req.query("customer").unwrap_or_default();
        let key = req.header::<String>("idempotency-key").unwrap_or_default();
        let mut account = self.0.lock().unwrap();
        let (method, parts) = (req.method().as_str(), path.split('/').skip(2).collect::<Vec<_>>());
        let (status, body) = match (method, &parts[..]) {
            _ if account.rejects_keys => {
                let message = "Invalid API Key provided: sk_test_*****tors";
                (401, json!({"error": {"type": "invalid_request_error", "message": message}}))
            }
            ("GET", ["subscriptions"]) => account.list(&customer),
            ("GET", ["customers", id]) => {
                let deleted = account.deleted.iter().any(|deleted| deleted == id);
                (200, json!({"id": id, "object": "customer", "deleted": deleted}))
            }
            ("GET", ["prices", id]) => match account.prices.get(*id) {
                Some(price) => (200, price.clone()),
                None => missing("price"),
            },
            ("DELETE", ["subscriptions", id]) => account.cancel(id),
            ("POST", _) => account.post(&path, &form, key),
            _ => (404, json!({"error": {"type": "invalid_request_error"}})),
        };
        res.status_code(StatusCode::from_u16(status).unwrap());
        res.add_header("request-id", "req_of_the_stand_in", true).unwrap();
        res.render(Json(body));
    }
}

fn missing(param: &str) -> Reply {
    let error =
        json!({"type": "invalid_request_error", "code": "resource_missing", "param": param});
    (404, json!({"error": error}))
}

impl Account {
    fn list(&mut self, customer: &str) -> Reply {
        if self.refusals > 0 {
            self.refusals -= 1;
            return (429, json!({"error": {"code": "rate_limit"}}));
        }
        match self.subscriptions.get(customer) {
            Some(data) => (200, json!({"object": "list", "has_more": false, "data": data})),
            None => (400, json!({"error": {"code": "resource_missing"}})),
        }
    }

    fn cancel(&mut self, id: &str) -> Reply {
        if let Some((status, body)) = self.failures.pop_front() {
            return (status, body);
        }
        let mut all = self.subscriptions.values_mut().flatten();
        let Some(found) = all.find(|subscription| subscription["id"] == id) else {
            return missing("id");
        };
        found["status"] = json!("canceled");
        self.canceled.push(id.to_owned());
        (200, found.clone())
    }

    /// Returns the stored answer of a key, or creates it.
    fn post(&mut self, path: &str, form: &str, key: String) -> Reply {
        self.asked.push((path.to_owned(), form.to_owned()));
        self.keys.push(key.clone());
        if let Some(kept) = self.kept.get(&key) {
            return kept.clone();
        }
        let said = self.failures.pop_front().unwrap_or_else(|| self.make(path, form));
        self.kept.insert(key, said.clone());
        said
    }

    fn make(&mut self, path: &str, form: &str) -> Reply {
        if self.deleted.iter().any(|gone| form.split('&').any(|f| f == format!("customer={gone}")))
        {
            let (_, body) = missing("customer");
            return (400, body);
        }
        let count = self.made.entry(path.to_owned()).or_default();
        *count += 1;
        let number = if *count == 1 { String::new() } else { format!("_{count}") };
        let (id, url) = match path {
            "/v1/customers" => (format!("cus_made{number}"), Value::Null),
            "/v1/checkout/sessions" => {
                (format!("cs_made{number}"), json!(format!("https://pay.example/cs_made{number}")))
            }
            _ => (format!("bps_made{number}"), json!("https://pay.example/portal")),
        };
        (200, json!({"id": id, "url": url}))
    }
}
