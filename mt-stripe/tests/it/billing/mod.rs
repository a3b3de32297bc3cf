//! Billing as a service's routes and jobs use it, for an access model whose words are not those of the example server.

mod calls;
mod deliveries;
mod departures;
mod operations;
mod simulation;

use chrono::{DateTime, Utc};
use mt_core::access::AccessRequest;
use mt_core::auth::Principal;
use mt_core::billing::{PriceTable, StandingPolicy};
use mt_core::email::EmailAddress;
use mt_core::id::TenantId;
use mt_core::pg::{Tenant, Tenants, User};
use mt_stripe::StripeConfig;
use mt_stripe::billing::{BillingConfig, BillingError, Simulation, StripeBilling};

use crate::support::{SETUP, START, World};

mt_core::model! {
    /// A helpdesk. Each of its changes needs an audit entry.
    pub(crate) Helpdesk: audited;

    roles Role {
        Owner = "owner" (owner),
        Agent = "agent",
    }
    plans Plan {
        Basic = "basic" (initial),
        Plus = "plus",
    }
    permissions Action {
        //                            Owner Agent  Basic Plus
        MoneyRead = "money.read"     [yes   yes]  [yes   yes] exempt read;
        MoneyManage = "money.manage" [yes   no]   [yes   yes] exempt write + MoneyRead;
    }
}

pub(crate) const PAGE: &str = "https://help.example/t/{tenant}/money";

/// A tenant with an owner.
pub(crate) struct Service {
    pub(crate) world: World,
    pub(crate) tenants: Tenants<Helpdesk>,
    pub(crate) owner: Principal,
    pub(crate) tenant: TenantId,
}

pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(START, 0).unwrap()
}

pub(crate) fn config() -> BillingConfig {
    let prices = PriceTable::new("basic").plan("plus", ["price_plus"]);
    BillingConfig::new(StripeConfig::new(prices), "price_plus", PAGE)
}

pub(crate) fn simulation() -> Simulation {
    Simulation { checkout_page: "http://localhost/pay/{session}".to_owned() }
}

impl Service {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let tenants = world.database.tenants(StandingPolicy::default());
        let (owner, tenant) = Self::owned(&world, "owner@a.example").await;
        Self { world, tenants, owner, tenant }
    }

    /// Creates a user with a tenant.
    pub(crate) async fn owned(world: &World, email: &str) -> (Principal, TenantId) {
        let email = EmailAddress::parse(email).unwrap();
        let mut tx = world.database.system().begin(SETUP).await.unwrap();
        let user = User::find_or_create(&mut tx, &email).await.unwrap();
        let tenant = Tenant::create::<Helpdesk>(&mut tx, "a tenant", user.id).await.unwrap();
        tx.commit().await.unwrap();
        (Principal::in_generation(user.id, user.generation), tenant.id)
    }

    pub(crate) fn billing(&self, config: BillingConfig) -> StripeBilling {
        StripeBilling::new(self.world.database.system(), config)
    }

    pub(crate) fn request(&self) -> AccessRequest<MoneyManage> {
        AccessRequest::new(self.owner, self.tenant)
    }

    pub(crate) async fn customer(&self, billing: &StripeBilling) -> Result<String, BillingError> {
        billing.customer::<MoneyRead, _>(&self.tenants, self.request()).await
    }

    /// Opens a checkout page. Returns the session's id and the page's address.
    pub(crate) async fn checkout(
        &self,
        billing: &StripeBilling,
    ) -> Result<(String, String), BillingError> {
        let session = billing.checkout::<MoneyRead, _>(&self.tenants, self.request()).await?;
        Ok((session.id, session.url))
    }

    pub(crate) async fn portal(&self, billing: &StripeBilling) -> Result<String, BillingError> {
        billing.portal::<MoneyRead, _>(&self.tenants, self.request()).await
    }

    /// Returns the linked customers.
    pub(crate) async fn links(&self) -> Vec<String> {
        sqlx::query_scalar("select customer_id from mt.billing_customers order by customer_id")
            .fetch_all(self.world.db.admin())
            .await
            .unwrap()
    }

    pub(crate) fn page(&self) -> String {
        format!("https://help.example/t/{}/money", self.tenant)
    }
}
