//! Which deliveries are accepted, by settings.

use chrono::TimeDelta;
use mt_stripe::VerifiedEvent;
use mt_stripe::billing::{BillingConfig, StripeBilling};
use mt_stripe::signature::{SignatureError, Verifier, VerifyError, sign};

use super::{Service, config, now, simulation};

const BODY: &[u8] = br#"{"id": "evt_1", "type": "customer.created"}"#;

fn verify(billing: &StripeBilling, header: &str) -> Result<VerifiedEvent, VerifyError> {
    billing.verify(&[header.as_bytes()], BODY.to_vec(), now())
}

fn is_refused(verified: &Result<VerifiedEvent, VerifyError>, reason: SignatureError) -> bool {
    matches!(verified, Err(VerifyError::Signature(why)) if *why == reason)
}

#[tokio::test]
async fn signed_deliveries_are_accepted() {
    let service = Service::new().await;
    let verifier = Some(Verifier::new(["whsec_1"]).unwrap());
    // A simulation does not switch the check off.
    for simulation in [None, Some(simulation())] {
        let verifier = verifier.clone();
        let billing = service.billing(BillingConfig { verifier, simulation, ..config() });
        let signed = sign("whsec_1", BODY, now());
        billing.check_headers(&[signed.as_bytes()], now()).unwrap();
        let event = verify(&billing, &signed).unwrap();
        assert_eq!(event.event().id(), "evt_1");
        assert_eq!(billing.check_headers(&[], now()), Err(SignatureError::MissingHeader));
        let late = now() + TimeDelta::hours(1);
        let stale = billing.check_headers(&[signed.as_bytes()], late);
        assert_eq!(stale, Err(SignatureError::Stale));
        let forged = sign("whsec_2", BODY, now());
        assert!(is_refused(&verify(&billing, &forged), SignatureError::NoMatch));
    }
}

/// Settings without a verifier accept a delivery in development, and none in production.
#[tokio::test]
async fn unsigned_deliveries_are_accepted_with_a_simulation_only() {
    let service = Service::new().await;
    let production = service.billing(config());
    assert_eq!(production.check_headers(&[], now()), Err(SignatureError::NoMatch));
    let signed = sign("", BODY, now());
    for header in ["", "x", &signed] {
        assert!(is_refused(&verify(&production, header), SignatureError::NoMatch), "{header}");
    }
    let simulated = BillingConfig { simulation: Some(simulation()), ..config() };
    let development = service.billing(simulated);
    development.check_headers(&[], now()).unwrap();
    assert_eq!(verify(&development, "x").unwrap().event().id(), "evt_1");
    let empty = development.verify(&[], Vec::new(), now());
    assert!(is_refused(&empty, SignatureError::EmptyBody));
    let no_event = development.verify(&[], b"{}".to_vec(), now());
    assert!(matches!(no_event, Err(VerifyError::Event(_))), "{no_event:?}");
}
