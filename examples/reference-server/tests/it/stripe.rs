//! Something on a socket in Stripe's place: it shows the subscriptions that a test gives it.

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
}

impl Stripe {
    pub(crate) async fn start() -> Self {
        let account = Arc::<Mutex<Account>>::default();
        let acceptor = TcpListener::new("127.0.0.1:0").bind().await;
        let base = format!("http://{}", acceptor.inner().local_addr().unwrap());
        let router = Router::with_path("v1/subscriptions").get(Subscriptions(Arc::clone(&account)));
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
                res.render(Json(json!({"object": "list", "has_more": false, "data": data})))
            }
            None => {
                res.status_code(StatusCode::BAD_REQUEST);
                res.render(Json(json!({"error": {"code": "resource_missing"}})));
            }
        }
    }
}
