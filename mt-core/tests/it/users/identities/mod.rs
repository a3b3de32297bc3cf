//! Identities at providers: linking and looking them up.

mod ending;
mod first_sight;

use std::time::Duration;

use mt_core::auth::openid::{FirstSight, OpenIdAuthenticator, OpenIdConfig, OpenIdVerifier};
use mt_core::auth::{AuthError, Authenticator as _, Principal};
use mt_core::billing::StandingPolicy;
use mt_core::clock::{Clock as _, SystemClock};
use mt_core::id::PrincipalId;
use mt_core::pg::{Database, DatabaseOptions, Identities, Identity, LinkError};
use mt_core::testing::Relay;
use serde_json::{Value, json};

use crate::support::openid::{InMemory, Signer};
use crate::support::{Acme, SETUP, World};

const ISSUER: &str = "https://id.example.org";

type Tokens = OpenIdAuthenticator<Identities>;

fn signer() -> Signer {
    Signer::of("EdDSA", "a")
}

fn verifier() -> OpenIdVerifier {
    // The leeway lets tokens of the next seconds pass.
    let config = OpenIdConfig::new(ISSUER)
        .accept_audience("api")
        .with_jwks_uri("https://id.example.org/keys")
        .with_leeway(Duration::from_secs(30));
    OpenIdVerifier::new(config, InMemory::keys(&[signer().jwk()])).unwrap()
}

fn tokens(world: &World, first_sight: FirstSight) -> Tokens {
    tokens_of(world.database.identities(), first_sight)
}

fn tokens_of(identities: Identities, first_sight: FirstSight) -> Tokens {
    OpenIdAuthenticator::new(identities).accept(verifier(), first_sight).unwrap()
}

fn claims(subject: &str) -> Value {
    let now = SystemClock.now().timestamp();
    json!({ "iss": ISSUER, "sub": subject, "aud": "api", "iat": now, "exp": now + 300 })
}

fn token(subject: &str) -> String {
    signer().token(&claims(subject))
}

fn token_of(subject: &str, name: &str, verified: bool) -> String {
    let mut claims = claims(subject);
    claims["email"] = json!(format!("{name}@example.org"));
    claims["email_verified"] = json!(verified);
    signer().token(&claims)
}

fn reason(answer: Result<Principal, AuthError>) -> String {
    match answer {
        Err(AuthError::Invalid(reason)) => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

async fn link(world: &World, user: PrincipalId, subject: &str) -> Result<Identity, LinkError> {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let linked = Identity::link(&mut tx, user, ISSUER, subject).await;
    tx.commit().await.unwrap();
    linked
}

async fn unlink(world: &World, user: PrincipalId, identity: &Identity) -> bool {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let unlinked = Identity::unlink(&mut tx, user, identity.id).await.unwrap();
    tx.commit().await.unwrap();
    unlinked
}

const USERS: &str = "select count(*) from mt.users";
const IDENTITIES: &str = "select count(*) from mt.identities";

#[tokio::test]
async fn unknown_identity_is_refused_until_it_is_linked() {
    let world = World::new(2).await;
    let ada = world.user("ada").await;
    let tokens = tokens(&world, FirstSight::Refuse);
    assert_eq!(reason(tokens.authenticate(&token("a|1")).await), "unknown identity");
    let verified = token_of("a|1", "ada", true);
    assert_eq!(reason(tokens.authenticate(&verified).await), "unknown identity");
    assert_eq!(world.count(USERS).await, 1);

    let identity = link(&world, ada.id(), "a|1").await.unwrap();
    let principal = tokens.authenticate(&token("a|1")).await.unwrap();
    assert_eq!((principal.id(), principal.identity()), (ada.id(), Some(identity.id)));
    assert!(principal.issue_time().is_some());
    // Subjects are compared byte by byte.
    for other in ["A|1", "a|1 ", "a|", "a|1\u{301}"] {
        assert_eq!(reason(tokens.authenticate(&token(other)).await), "unknown identity");
    }
}

#[tokio::test]
async fn identities_are_linked_once_listed_and_unlinked_by_their_user() {
    let world = World::new(2).await;
    let (ada, eve) = (world.user("ada").await, world.user("eve").await);
    let first = link(&world, ada.id(), "a|1").await.unwrap();
    let second = link(&world, ada.id(), "a|2").await.unwrap();
    assert_eq!(link(&world, ada.id(), "a|1").await.unwrap(), first, "linked already");
    assert!(matches!(link(&world, eve.id(), "a|1").await, Err(LinkError::Taken)));
    for malformed in ["", "a\u{0}", "a\n", &"s".repeat(256)] {
        let refused = link(&world, ada.id(), malformed).await;
        assert!(matches!(refused, Err(LinkError::Malformed)), "{malformed:?}");
    }
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let listed = Identity::of_user(&mut tx, ada.id()).await.unwrap();
    assert_eq!(listed, [first.clone(), second]);
    assert_eq!(Identity::of_user(&mut tx, eve.id()).await.unwrap(), []);
    let without_user = Identity::link(&mut tx, PrincipalId::generate(), ISSUER, "a|3").await;
    assert!(matches!(without_user, Err(LinkError::Pg(_))), "{without_user:?}");
    tx.rollback().await.unwrap();

    assert!(!unlink(&world, eve.id(), &first).await, "not hers");
    assert!(unlink(&world, ada.id(), &first).await);
    assert!(!unlink(&world, ada.id(), &first).await);
    assert_eq!(world.count(IDENTITIES).await, 1);
}

#[tokio::test]
async fn known_identity_costs_one_round_trip_a_minute_and_none_in_transactions() {
    let world = World::new(2).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    link(&world, ada.id(), "a|1").await.unwrap();
    let relay = Relay::start(&world.db.login()).await.unwrap();
    let options = DatabaseOptions::new(relay.through(world.db.login()));
    let database = Database::connect(options.max_connections(1)).await.unwrap();
    let tenants = database.tenants::<Acme>(StandingPolicy::default());
    let tokens = tokens_of(database.identities(), FirstSight::Refuse);
    tenants.load_access(ada, tenant).await.unwrap();
    let _ = relay.take_round_trips();
    let principal = tokens.authenticate(&token("a|1")).await.unwrap();
    assert_eq!(relay.take_round_trips().len(), 1);
    tokens.authenticate(&token("a|1")).await.unwrap();
    assert_eq!(relay.take_round_trips().len(), 0);
    tenants.load_access(principal, tenant).await.unwrap();
    let trips = relay.take_round_trips();
    assert_eq!(trips.len(), 1, "{trips:#?}");
    assert!(trips[0].contains("mt.identities"), "{trips:#?}");
}

#[tokio::test]
async fn two_issuers_have_subjects_of_their_own() {
    let world = World::new(2).await;
    let other = "https://id.example.com";
    let config = OpenIdConfig::new(other).accept_audience("api").with_jwks_uri(other);
    let second = Signer::of("ES256", "a");
    let verifier = OpenIdVerifier::new(config, InMemory::keys(&[second.jwk()])).unwrap();
    let tokens = tokens(&world, FirstSight::CreateUser)
        .accept(verifier.clone(), FirstSight::Refuse)
        .unwrap();
    assert!(tokens.clone().accept(verifier, FirstSight::Refuse).is_err(), "accepted twice");
    let ada = tokens.authenticate(&token_of("a|1", "ada", true)).await.unwrap();
    let mut claims = claims("a|1");
    claims["iss"] = json!(other);
    let same_subject = second.token(&claims);
    assert_eq!(reason(tokens.authenticate(&same_subject).await), "unknown identity");
    let bob = world.user("bob").await;
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    Identity::link(&mut tx, bob.id(), other, "a|1").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(tokens.authenticate(&same_subject).await.unwrap().id(), bob.id());
    assert_ne!(ada.id(), bob.id());
    // Each issuer's tokens are verified with its own keys.
    let forged = signer().token(&claims);
    assert!(reason(tokens.authenticate(&forged).await).contains("`alg`"));
    claims["iss"] = json!("https://elsewhere.example");
    let elsewhere = second.token(&claims);
    assert_eq!(reason(tokens.authenticate(&elsewhere).await), "`iss` is not an accepted issuer");
}
