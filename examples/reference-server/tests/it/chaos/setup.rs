//! The dependencies with users, orgs and customers, as every test of this folder starts with them.

use std::sync::Arc;

use super::client::{Client, Org};
use super::dependencies::{Dependencies, Route};
use super::load::CUSTOMERS;
use super::server::Server;
use super::writes::Writes;

pub(super) struct Setup {
    pub(super) dependencies: Dependencies,
    pub(super) route: Route,
    pub(super) orgs: Vec<Org>,
    pub(super) writes: Arc<Writes>,
}

impl Setup {
    /// Two orgs without caps, and customers whose events change something. `None`: see [`Dependencies::start`].
    pub(super) async fn new(route: Route) -> Option<Self> {
        let dependencies = Dependencies::start(route).await?;
        let server = Server::start(&dependencies, &[]).await;
        let client = Client::new(server.base_url());
        let orgs = vec![client.org("one@example.org").await, client.org("two@example.org").await];
        dependencies.run("update mt.tenants set plan = 'pro'").await;
        for customer in 0..CUSTOMERS {
            let tenant = uuid::Uuid::now_v7();
            dependencies
                .run(&format!(
                    "insert into mt.tenants (id, name) values ('{tenant}', 'An org'); \
                     insert into mt.billing_customers (tenant_id, provider, customer_id) \
                         values ('{tenant}', 'stripe', 'cus_{customer}')"
                ))
                .await;
        }
        assert!(server.terminate().await.succeeded, "a server in fair run_fault does not stop");
        Some(Self { dependencies, route, orgs, writes: Arc::default() })
    }
}
