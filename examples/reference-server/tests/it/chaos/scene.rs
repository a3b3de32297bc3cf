//! The world with its users: what every part of the storm begins with.

use std::sync::Arc;

use super::books::Books;
use super::client::{Client, Org};
use super::load::CUSTOMERS;
use super::server::Server;
use super::world::{Way, World};

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) way: Way,
    pub(super) orgs: Vec<Org>,
    pub(super) books: Arc<Books>,
}

impl Scene {
    /// Two orgs without caps, and customers whose events change something. `None`: see [`World::start`].
    pub(super) async fn set(way: Way) -> Option<Self> {
        let world = World::start(way).await?;
        let server = Server::start(&world, &[]).await;
        let client = Client::new(server.base_url());
        let orgs = vec![client.org("one@example.org").await, client.org("two@example.org").await];
        world.run("update mt.tenants set plan = 'pro'").await;
        for customer in 0..CUSTOMERS {
            let tenant = uuid::Uuid::now_v7();
            world
                .run(&format!(
                    "insert into mt.tenants (id, name) values ('{tenant}', 'An org'); \
                     insert into mt.billing_customers (tenant_id, provider, customer_id) \
                         values ('{tenant}', 'stripe', 'cus_{customer}')"
                ))
                .await;
        }
        assert!(server.terminate().await.succeeded, "a server in fair weather does not stop");
        Some(Self { world, way, orgs, books: Arc::default() })
    }
}
