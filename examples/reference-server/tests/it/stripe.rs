//! Something on a socket in Stripe's place: it shows the subscriptions that a test gives it, makes customers
//! and pages, and remembers what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use salvo::prelude::*;
use serde_json::{Value, json};

/// A stand-in; it ends with the test.
pub(crate) struct Stripe {
    pub(crate) base: String,
    account: Arc<Mutex<Account>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Account {
    subscriptions: HashMap<String, Vec<Value>>,
    /// How many requests are refused before one is answered.
    refusals: usize,
    /// What was to be made: path and form.
    asked: Vec<(String, String)>,
}

impl Stripe {
    pub(crate) async fn start() -> Self {
        let account = Arc::<Mutex<Account>>::default();
        let acceptor = TcpListener::new("127.0.0.1:0").bind().await;
        let base = format!("http://{}", acceptor.inner().local_addr().unwrap());
        let made = |id, url| Make { id, url, account: Arc::clone(&account) };
        let router = Router::with_path("v1")
            .push(Router::with_path("subscriptions").get(Subscriptions(Arc::clone(&account))))
            .push(Router::with_path("customers").post(made("cus_made", None)))
            .push(
                Router::with_path("checkout/sessions")
                    .post(made("cs_made", Some("https://pay.example/cs_made"))),
            )
            .push(
                Router::with_path("billing_portal/sessions")
                    .post(made("bps_made", Some("https://pay.example/portal"))),
            );
        let task = tokio::spawn(Server::new(acceptor).serve(router));
        Self { base, account, task }
    }

    /// `customer` has these, and nothing else.
    pub(crate) fn shows(&self, customer: &str, subscriptions: Vec<Value>) {
        self.account.lock().unwrap().subscriptions.insert(customer.to_owned(), subscriptions);
    }

    /// The next `count` requests are too many.
    pub(crate) fn refuses(&self, count: usize) {
        self.account.lock().unwrap().refusals = count;
    }

    /// What was to be made so far: path and form.
    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        self.account.lock().unwrap().asked.clone()
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Subscriptions(Arc<Mutex<Account>>);

#[async_trait]
impl Handler for Subscriptions {
    async fn handle(&self, req: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        let mut account = self.0.lock().unwrap();
        if account.refusals > 0 {
            account.refusals -= 1;
            res.status_code(StatusCode::TOO_MANY_REQUESTS);
            res.render(Json(json!({"error": {"code": "rate_limit"}})));
            return;
        }
        let customer: String = req.query("customer").unwrap_or_default();
        match account.subscriptions.get(&customer) {
            Some(data) => {
                res.render(Json(json!({"object": "list", "has_more": false, "data": data})));
            }
            None => {
                res.status_code(StatusCode::BAD_REQUEST);
                res.render(Json(json!({"error": {"code": "resource_missing"}})));
            }
        }
    }
}

/// Makes one thing, always the same.
struct Make {
    id: &'static str,
    url: Option<&'static str>,
    account: Arc<Mutex<Account>>,
}

#[async_trait]
impl Handler for Make {
    async fn handle(&self, req: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        let form = req.payload().await.map(|body| String::from_utf8_lossy(body).into_owned());
        let asked = (req.uri().path().to_owned(), form.unwrap_or_default());
        self.account.lock().unwrap().asked.push(asked);
        res.render(Json(json!({"id": self.id, "url": self.url})));
    }
}
