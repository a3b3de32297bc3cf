//! Billing without a client: simulated, or not at all.

use mt_core::access::AccessRequest;
use mt_core::pg::BeginError;
use mt_core::pg::ledger::{EventStatus, Received};
use mt_stripe::billing::{BillingConfig, BillingError};
use mt_stripe::signature::Verifier;

use super::{MoneyManage, MoneyRead, Service, config, now, simulation};

/// With and without a webhook secret, a simulated payment brings the paid plan, once.
#[tokio::test]
async fn payment_is_simulated_without_a_client() {
    for verifier in [None, Some(Verifier::new(["whsec_new", "whsec_old"]).unwrap())] {
        let service = Service::new().await;
        let simulation = Some(simulation());
        let billing = service.billing(BillingConfig { verifier, simulation, ..config() });
        let customer = format!("cus_dev_{}", service.tenant.as_uuid().simple());
        assert_eq!(service.customer(&billing).await.unwrap(), customer);
        assert_eq!(service.portal(&billing).await.unwrap(), service.page());
        let (session, url) = service.checkout(&billing).await.unwrap();
        assert!(session.starts_with("cs_dev_"), "{session}");
        assert_eq!(url, format!("http://localhost/pay/{session}"));
        let again = service.checkout(&billing).await.unwrap();
        assert_eq!(again, (session.clone(), url), "the open page is returned again");
        assert_eq!(service.links().await, [customer]);

        for is_repeated in [false, true] {
            let delivered = billing.simulate_payment(&session, now()).await.unwrap().unwrap();
            let name = session.trim_start_matches("cs_dev_");
            let ids = [1, 2, 3].map(|number| format!("evt_dev_{name}_{number}"));
            assert_eq!(delivered.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), ids);
            for (_, Received { status, duplicate, .. }) in delivered {
                assert_eq!((status, duplicate), (EventStatus::Processed, is_repeated));
            }
            let (plan, status, ..) = service.world.paid_for(service.tenant.as_uuid()).await;
            assert_eq!((plan.as_str(), status.as_str()), ("plus", "active"));
        }
        let refused = service.checkout(&billing).await.unwrap_err();
        assert!(
            matches!(refused, BillingError::AlreadySubscribed(tenant) if tenant == service.tenant),
            "{refused:?}"
        );
        assert_eq!(service.portal(&billing).await.unwrap(), service.page());
    }
}

#[tokio::test]
async fn payment_on_an_unknown_page_delivers_nothing() {
    let service = Service::new().await;
    let simulated = BillingConfig { simulation: Some(simulation()), ..config() };
    let billing = service.billing(simulated);
    for session in ["cs_dev_0123456789abcdef", "cs_made_elsewhere", ""] {
        assert!(billing.simulate_payment(session, now()).await.unwrap().is_none(), "{session}");
    }
    // The control: a page of this service is known. Without a simulation it is not paid on either.
    let (session, _) = service.checkout(&billing).await.unwrap();
    let production = service.billing(config());
    assert!(production.simulate_payment(&session, now()).await.unwrap().is_none());
    assert!(billing.simulate_payment(&session, now()).await.unwrap().is_some());
}

/// Production without a key makes up no customer. The permission is checked first.
#[tokio::test]
async fn calls_without_a_client_and_a_simulation_fail() {
    let service = Service::new().await;
    let billing = service.billing(config());
    for failed in [
        service.customer(&billing).await.map(drop),
        service.checkout(&billing).await.map(drop),
        service.portal(&billing).await.map(drop),
    ] {
        assert!(matches!(failed, Err(BillingError::NoKey)), "{failed:?}");
    }
    assert!(service.links().await.is_empty());
    assert!(billing.reconciler().is_none());
    let (stranger, _) = Service::owned(&service.world, "stranger@a.example").await;
    let request = AccessRequest::<MoneyManage>::new(stranger, service.tenant);
    let refused = billing.portal::<MoneyRead, _>(&service.tenants, request).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, BillingError::Begin(BeginError::NotAMember)), "{refused:?}");
}
