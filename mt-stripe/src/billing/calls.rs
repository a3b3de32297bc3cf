//! Calls to Stripe on behalf of a tenant: the customer that pays for it, and the pages that are made for it.
//!
//! No lock waits for Stripe: it is called between two transactions. The first one commits the call's idempotency
//! key and the second one keeps what was made, so that neither a failure sticks nor anything is made twice
//! ([`mt_core::pg::billing::call`]).

use std::marker::PhantomData;
use std::time::Duration;

use mt_core::access::{AccessModel, AccessRequest, Implies, Permission, Writes};
use mt_core::id::TenantId;
use mt_core::pg::billing::call::{self, Call};
use mt_core::pg::billing::checkout::{self, Session};
use mt_core::pg::billing::{self, customer_of, link, wake};
use mt_core::pg::{PgError, SystemReason, TenantTx, Tenants};
use serde::de::DeserializeOwned;

use super::customers::{self, MadeCustomer, ShownCustomer};
use super::pages::{CheckoutPage, Pages, PortalPage};
use super::{BillingError, Service, StripeBilling};
use crate::PROVIDER;
use crate::client::{StripeClient, StripeError, StripeRequest};

const WAKE: SystemReason = SystemReason::new("wake the events of a customer that was linked");
const FORGET: SystemReason = SystemReason::new("forget a customer that Stripe knows no more");

/// How long a call that is under way under the same key is waited for: doubled each time.
const UNDER_WAY: Duration = Duration::from_millis(250);
const TRIES: u32 = 4;

/// The three calls take the request of a caller who manages the tenant's billing with permission `P`; each transaction
/// decides on it. They read under permission `R`, which `P` implies.
impl StripeBilling {
    /// Returns the customer that pays for the tenant: the one that is linked, or one that is made and linked now.
    ///
    /// # Errors
    ///
    /// [`BillingError`], but not [`AlreadySubscribed`](BillingError::AlreadySubscribed).
    pub async fn customer<R, P>(
        &self,
        tenants: &Tenants<P::Model>,
        request: AccessRequest<P>,
    ) -> Result<String, BillingError>
    where
        R: Permission,
        P: Permission<Effect = Writes> + Implies<R>,
    {
        let payer = Manager::<R, P>::new(self, tenants, request).payer(Purpose::Managing).await?;
        Ok(payer.customer)
    }

    /// Opens a checkout page on which the tenant buys a subscription. A page that was opened within the last minute and
    /// is not completed is returned again.
    ///
    /// # Errors
    ///
    /// [`BillingError`]; [`AlreadySubscribed`](BillingError::AlreadySubscribed) if the tenant is on another plan than
    /// [`INITIAL_PLAN`](AccessModel::INITIAL_PLAN).
    pub async fn checkout<R, P>(
        &self,
        tenants: &Tenants<P::Model>,
        request: AccessRequest<P>,
    ) -> Result<Session, BillingError>
    where
        R: Permission,
        P: Permission<Effect = Writes> + Implies<R>,
    {
        Manager::<R, P>::new(self, tenants, request).checkout().await
    }

    /// Opens the customer portal, where the tenant's subscription is changed, paid or ended, and returns its address.
    ///
    /// # Errors
    ///
    /// [`BillingError`], but not [`AlreadySubscribed`](BillingError::AlreadySubscribed).
    pub async fn portal<R, P>(
        &self,
        tenants: &Tenants<P::Model>,
        request: AccessRequest<P>,
    ) -> Result<String, BillingError>
    where
        R: Permission,
        P: Permission<Effect = Writes> + Implies<R>,
    {
        Manager::<R, P>::new(self, tenants, request).portal().await
    }
}

/// A caller who manages the billing of a tenant.
struct Manager<'b, R, P: Permission> {
    billing: &'b StripeBilling,
    tenants: &'b Tenants<P::Model>,
    request: AccessRequest<P>,
    reads: PhantomData<fn() -> R>,
}

/// The customer that pays for a tenant.
struct Payer {
    /// The customer that is linked to it.
    customer: String,
    /// Whether the tenant's plan costs something.
    is_paid: bool,
}

/// The purpose of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    /// To buy a plan, which a tenant that has bought one may not do again.
    Buying,
    /// Anything else.
    Managing,
}

/// A page that Stripe has made for a tenant.
struct Opened<T> {
    /// The page.
    page: T,
    /// The customer that it was made for.
    customer: String,
    /// To be ended in the transaction that keeps the page.
    call: Call,
}

impl<'b, R: Permission, P: Permission<Effect = Writes> + Implies<R>> Manager<'b, R, P> {
    const fn new(
        billing: &'b StripeBilling,
        tenants: &'b Tenants<P::Model>,
        request: AccessRequest<P>,
    ) -> Self {
        Self { billing, tenants, request, reads: PhantomData }
    }

    async fn checkout(&self) -> Result<Session, BillingError> {
        let payer = self.payer(Purpose::Buying).await?;
        // Exclusive, so that of several requests at once the first one makes the session for all.
        let mut tx = self.tenants.begin(self.request).exclusive().await?;
        let recent = checkout::recent::<R, _, _>(&mut tx, PROVIDER, &payer.customer).await?;
        match (recent, self.billing.service()?) {
            (Some(session), _) => {
                tx.rollback().await?;
                Ok(session)
            }
            (None, Service::Simulated(simulation)) => {
                let session = simulation.checkout();
                checkout::record(&mut tx, PROVIDER, &payer.customer, &session).await?;
                tx.commit().await?;
                Ok(session)
            }
            (None, Service::Stripe(client)) => {
                tx.rollback().await?;
                let Opened { page: CheckoutPage { id, url }, customer, call } =
                    self.open(client, payer, Pages::checkout_request).await?;
                let session = Session { id, url };
                // Recorded before a buyer is sent there.
                let mut tx = self.tenants.begin(self.request).await?;
                checkout::record(&mut tx, PROVIDER, &customer, &session).await?;
                call::end(&mut tx, &call).await?;
                tx.commit().await?;
                Ok(session)
            }
        }
    }

    async fn portal(&self) -> Result<String, BillingError> {
        let payer = self.payer(Purpose::Managing).await?;
        let Service::Stripe(client) = self.billing.service()? else {
            return Ok(self.billing.parts.pages.of(self.request.tenant()));
        };
        let Opened { page: PortalPage { url }, call, customer: _ } =
            self.open(client, payer, Pages::portal_request).await?;
        let mut tx = self.tenants.begin(self.request).await?;
        call::end(&mut tx, &call).await?;
        tx.commit().await?;
        Ok(url)
    }

    /// The customer that pays for the tenant: the one that is linked, or one that is made and linked now.
    async fn payer(&self, purpose: Purpose) -> Result<Payer, BillingError> {
        let mut tx = self.tenants.begin(self.request).await?;
        let service = self.billing.service()?;
        let tenant = tx.tenant();
        let is_paid = tx.access().plan() != <P::Model as AccessModel>::INITIAL_PLAN;
        if purpose == Purpose::Buying && is_paid {
            tx.rollback().await?;
            return Err(BillingError::AlreadySubscribed(tenant));
        }
        let mut known = customer_of::<R, _, _>(&mut tx, PROVIDER).await?;
        let mut to_make = None;
        if let (None, Service::Stripe(client)) = (&known, service) {
            let request = customers::request(tenant, &self.billing.parts.customer_key);
            let call = begin(&mut tx, &request).await?;
            // Another process may have linked one, and ended its call, since the first look. If it has not ended
            // its call, this one has the same key.
            known = customer_of::<R, _, _>(&mut tx, PROVIDER).await?;
            match known {
                Some(_) => call::end(&mut tx, &call).await?,
                None => to_make = Some((client, request, call)),
            }
        }
        tx.commit().await?;
        let customer = match (known, to_make) {
            (Some(customer), _) => customer,
            (None, None) => self.link_to(&customers::simulated(tenant), None).await?,
            (None, Some((client, request, call))) => {
                let answer = self.send::<MadeCustomer>(client, &request, &call).await?;
                let made = answer.map_err(BillingError::of_call)?;
                self.link_to(&made.id, Some(&call)).await?
            }
        };
        // Also for a link that was there: the process that made it may have been killed before this.
        let mut tx = self.billing.system().begin(WAKE).await?;
        wake(&mut tx, PROVIDER, &customer).await?;
        tx.commit().await?;
        self.billing.ledger().wake_workers();
        Ok(Payer { customer, is_paid })
    }

    async fn link_to(&self, made: &str, call: Option<&Call>) -> Result<String, BillingError> {
        let mut tx = self.tenants.begin(self.request).exclusive().await?;
        let linked = link(&mut tx, PROVIDER, made).await?;
        if let Some(call) = call {
            call::end(&mut tx, call).await?;
        }
        tx.commit().await?;
        Ok(linked)
    }

    /// Has Stripe make a page for `payer`. Where Stripe knows the customer no more, that one is forgotten, and the page
    /// is made for a new one.
    async fn open<T: DeserializeOwned>(
        &self,
        client: &StripeClient,
        payer: Payer,
        request: fn(&Pages, TenantId, &str) -> StripeRequest,
    ) -> Result<Opened<T>, BillingError> {
        let (mut payer, mut is_first) = (payer, true);
        loop {
            let Payer { customer, is_paid } = payer;
            let request = request(&self.billing.parts.pages, self.request.tenant(), &customer);
            let mut tx = self.tenants.begin(self.request).await?;
            let call = begin(&mut tx, &request).await?;
            tx.commit().await?;
            match self.send(client, &request, &call).await? {
                Ok(page) => return Ok(Opened { page, customer, call }),
                Err(error) if is_first && error.is_missing(Some("customer")) => {
                    is_first = false;
                    self.billing.forget(client, &customer, is_paid).await?;
                    payer = self.payer(Purpose::Managing).await?;
                }
                Err(error) => return Err(BillingError::of_call(error)),
            }
        }
    }

    /// Makes a call whose key is committed. An answer with an error status ends it.
    async fn send<T: DeserializeOwned>(
        &self,
        client: &StripeClient,
        request: &StripeRequest,
        call: &Call,
    ) -> Result<Result<T, StripeError>, BillingError> {
        let mut answer = client.post(request, call.key()).await;
        for tried in 1..TRIES {
            if !answer.as_ref().is_err_and(StripeError::is_under_way) {
                break;
            }
            tokio::time::sleep(UNDER_WAY * 2_u32.pow(tried - 1)).await;
            answer = client.post(request, call.key()).await;
        }
        if answer.as_ref().is_err_and(StripeError::is_answer) {
            let mut tx = self.tenants.begin(self.request).await?;
            call::end(&mut tx, call).await?;
            tx.commit().await?;
        }
        Ok(answer)
    }
}

async fn begin<P: Permission>(
    tx: &mut TenantTx<P>,
    request: &StripeRequest,
) -> Result<Call, PgError> {
    call::begin(tx, PROVIDER, request.operation(), &request.text()).await
}

impl StripeBilling {
    /// Unlinks a customer that Stripe does not know. A tenant with a plan that costs something loses it by that, so then
    /// Stripe has to say that the customer was deleted: a key of another account knows no customer at all.
    async fn forget(
        &self,
        client: &StripeClient,
        customer: &str,
        is_paid: bool,
    ) -> Result<(), BillingError> {
        if is_paid {
            let shown: ShownCustomer =
                client.get(&["customers", customer]).await.map_err(BillingError::of_call)?;
            if !shown.deleted {
                return Err(BillingError::CustomerRefused(customer.to_owned()));
            }
        }
        tracing::warn!(customer, "stripe knows the customer of an org no more: it is unlinked");
        let mut tx = self.system().begin(FORGET).await?;
        billing::forget(&mut tx, PROVIDER, customer, self.prices()).await?;
        Ok(tx.commit().await?)
    }
}
