//! JSON Web Tokens as an attacker or another service would make them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::{DateTime, TimeDelta};
use hmac::{Hmac, KeyInit as _, Mac as _};
use mt_core::auth::jwt::{IssueError, JwtAuthenticator, JwtConfig, JwtConfigError, JwtKey};
use mt_core::auth::{AuthError, Principal};
use mt_core::clock::ManualClock;
use mt_core::id::{PrincipalId, ServiceAccountId, TenantId};
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "the secret of this month, 32 bytes";
const PREVIOUS: &str = "the secret of last month, 32 bytes";
const NOW: i64 = 1_795_000_000;
const ED_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIE0Jrhr+sjjYKyV7wV45khp5TMQ+FEmtxdYrbcQZn0c2
-----END PRIVATE KEY-----
";
const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAio+Hw+w5tcYTDNcKfpu9GNqDuTOTSq/SU9Ewxqe55KQ=
-----END PUBLIC KEY-----
";
const ED_OTHER_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAblNkhDl94NP9B+XEq9nvFueGNo5L5tMdtKBcR3b1Au4=
-----END PUBLIC KEY-----
";

type Tokens = JwtAuthenticator<Arc<ManualClock>>;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(DateTime::from_timestamp(NOW, 0).unwrap()))
}

fn config() -> JwtConfig {
    JwtConfig::new("mt", "mt", JwtKey::hs256(SECRET).unwrap())
        .also_accept(JwtKey::hs256(PREVIOUS).unwrap())
}

fn tokens() -> Tokens {
    JwtAuthenticator::with_clock(config(), clock()).unwrap()
}

fn ada() -> PrincipalId {
    PrincipalId::parse("01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20").unwrap()
}

fn claims() -> Value {
    json!({ "sub": ada(), "iss": "mt", "aud": "mt", "iat": NOW, "exp": NOW + 60, "ver": 3 })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name).unwrap();
    claims
}

fn mac(message: &str, secret: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(message.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

fn forge(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message =
        format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let signature = mac(&message, secret);
    format!("{message}.{signature}")
}

fn hs256(claims: &Value) -> String {
    forge(&json!({ "alg": "HS256", "typ": "JWT" }), claims, SECRET.as_bytes())
}

fn reason(verdict: Result<Principal, AuthError>) -> String {
    match verdict {
        Err(AuthError::Invalid(reason)) => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The control for every refusal below: what they differ from by one thing is accepted.
#[test]
fn handmade_valid_token_is_accepted() {
    let principal = tokens().verify(&hs256(&claims())).unwrap();
    assert_eq!(principal, Principal::in_generation(ada(), 3));
    let aud_list = hs256(&with("aud", json!(["other", "mt"])));
    assert_eq!(tokens().verify(&aud_list).unwrap(), principal);
    let no_typ = forge(&json!({ "alg": "HS256" }), &claims(), SECRET.as_bytes());
    assert_eq!(tokens().verify(&no_typ).unwrap(), principal);
}

#[test]
fn claims_that_are_missing_foreign_or_of_the_wrong_type_are_refused() {
    let mut cases: Vec<_> = ["sub", "iss", "aud", "exp", "ver"].map(without).into();
    for (name, value) in [
        ("aud", json!("other")),
        ("aud", json!([])),
        ("aud", json!(["other"])),
        ("aud", Value::Null),
        ("iss", json!("other")),
        ("iss", json!(["mt"])),
        ("iss", Value::Null),
        ("sub", json!("ada")),
        ("sub", json!("01931b667d507c2e8f3a5d1c9a7e4b20")),
        ("sub", json!(7)),
        ("exp", json!((NOW + 60).to_string())),
        ("exp", Value::Null),
        ("exp", json!({})),
        ("exp", json!(NOW - 5)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!(i64::MIN)),
        ("nbf", json!(NOW + 6)),
        ("nbf", json!((NOW - 60).to_string())),
        ("nbf", json!(i64::MAX)),
        ("ver", json!("3")),
        ("ver", json!(3.5)),
        ("ver", json!(i64::from(i32::MAX) + 1)),
        ("ver", Value::Null),
    ] {
        cases.push(with(name, value));
    }
    for case in cases {
        let verdict = tokens().verify(&hs256(&case));
        assert!(matches!(verdict, Err(AuthError::Invalid(_))), "{case}: {verdict:?}");
    }
}

#[test]
fn headers_with_another_algorithm_or_type_are_refused() {
    for header in [
        json!({ "alg": "none", "typ": "JWT" }),
        json!({ "alg": "HS384", "typ": "JWT" }),
        json!({ "alg": "EdDSA", "typ": "JWT" }),
        json!({ "typ": "JWT" }),
        json!({ "alg": "HS256", "typ": "secevent+jwt" }),
        json!({ "alg": "HS256", "typ": "JWT", "crit": ["exp"] }),
        json!({ "alg": "HS256", "typ": "JWT", "kid": "unknown" }),
    ] {
        let verdict = tokens().verify(&forge(&header, &claims(), SECRET.as_bytes()));
        assert!(matches!(verdict, Err(AuthError::Invalid(_))), "{header}: {verdict:?}");
    }
}

#[test]
fn tampered_truncated_and_foreign_text_is_refused() {
    let token = hs256(&claims());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let other = BASE64.encode(with("ver", json!(4)).to_string());
    for text in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "é.é.é".to_owned(),
        "a".repeat(100_000),
        message.to_owned(),
        format!("{message}."),
        format!("{header}.{other}.{signature}"),
        format!("{token}A"),
        format!("{token}="),
        format!(" {token}"),
        format!("{token}.{signature}"),
        token[..token.len() - 1].to_owned(),
        forge(&json!({ "alg": "HS256" }), &claims(), b"another secret of at least 32 bytes"),
        forge(&json!({ "alg": "HS256" }), &claims(), b""),
    ] {
        let verdict = tokens().verify(&text);
        assert!(matches!(verdict, Err(AuthError::Invalid(_))), "{text}: {verdict:?}");
    }
}

#[test]
fn token_is_valid_from_issue_to_expiry_plus_leeway() {
    let clock = clock();
    let config = config().with_ttl(Duration::from_mins(10)).with_leeway(Duration::from_secs(30));
    let tokens = JwtAuthenticator::with_clock(config, clock.clone()).unwrap();
    let issued = tokens.issue(ada(), 7).unwrap();
    assert_eq!(issued.expires_in, Duration::from_mins(10));
    assert_eq!(tokens.verify(&issued.token).unwrap(), Principal::in_generation(ada(), 7));
    clock.advance(TimeDelta::seconds(629));
    assert!(tokens.verify(&issued.token).is_ok());
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(reason(tokens.verify(&issued.token)), "expired");
}

#[test]
fn issued_token_has_the_claims_of_the_contract() {
    let token = tokens().issue(ada(), 3).unwrap().token;
    let mut parts = token.split('.').map(|part| BASE64.decode(part).unwrap());
    let header: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
    let mut claims: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
    assert_eq!(header, json!({ "typ": "JWT", "alg": "HS256" }));
    let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(jti.as_str().unwrap().len(), 36);
    assert_eq!(
        claims,
        json!({ "sub": ada(), "iss": "mt", "aud": "mt", "iat": NOW, "exp": NOW + 3600, "ver": 3 })
    );
}

#[test]
fn previous_secret_verifies_and_never_signs() {
    let old = forge(&json!({ "alg": "HS256", "typ": "JWT" }), &claims(), PREVIOUS.as_bytes());
    assert!(tokens().verify(&old).is_ok());

    let only_current = JwtConfig::new("mt", "mt", JwtKey::hs256(SECRET).unwrap());
    let only_current = JwtAuthenticator::with_clock(only_current, clock()).unwrap();
    assert!(only_current.verify(&old).is_err());
    assert!(only_current.verify(&tokens().issue(ada(), 0).unwrap().token).is_ok());
}

#[test]
fn keys_with_ids_are_found_by_id_and_keep_their_algorithm() {
    let ed = || JwtKey::ed25519(ED_PRIVATE, ED_PUBLIC).unwrap().with_id("ed-1");
    let config = JwtConfig::new("mt", "mt", ed()).also_accept(JwtKey::hs256(SECRET).unwrap());
    let tokens = JwtAuthenticator::with_clock(config, clock()).unwrap();
    let token = tokens.issue(ada(), 3).unwrap().token;
    assert_eq!(tokens.verify(&token).unwrap(), Principal::in_generation(ada(), 3));
    assert!(tokens.verify(&hs256(&claims())).is_ok(), "tokens from before the keys had ids");

    // The public key is public: as an HMAC secret it would let anybody sign.
    for alg in ["HS256", "EdDSA"] {
        let header = json!({ "alg": alg, "typ": "JWT", "kid": "ed-1" });
        let forged = forge(&header, &claims(), ED_PUBLIC.as_bytes());
        assert!(tokens.verify(&forged).is_err(), "{alg}");
    }

    let public =
        JwtConfig::new("mt", "mt", JwtKey::ed25519_public(ED_PUBLIC).unwrap().with_id("ed-1"));
    let reader = JwtAuthenticator::with_clock(public, clock()).unwrap();
    assert!(reader.verify(&token).is_ok());
    assert!(matches!(reader.issue(ada(), 3), Err(IssueError::NoSigningKey)));
}

#[test]
fn unsafe_configurations_are_refused() {
    let length = |secret: &str| match JwtKey::hs256(secret) {
        Err(JwtConfigError::WeakSecret { length }) => Some(length),
        _ => None,
    };
    assert_eq!(length(&"x".repeat(31)), Some(31));
    assert_eq!(length(&"x".repeat(32)), None);
    assert_eq!(length(""), Some(0));

    let refusal = |config| JwtAuthenticator::with_clock(config, clock()).unwrap_err();
    let dev = || JwtKey::insecure_hs256("dev");
    assert!(matches!(
        refusal(config().with_leeway(Duration::from_secs(31))),
        JwtConfigError::LeewayTooLong(_)
    ));
    assert!(matches!(refusal(JwtConfig::new("", "mt", dev())), JwtConfigError::Unnamed));
    assert!(matches!(refusal(config().with_ttl(Duration::ZERO)), JwtConfigError::NoLifetime));
    let twice = JwtConfig::new("mt", "mt", dev().with_id("a")).also_accept(dev().with_id("a"));
    assert!(matches!(refusal(twice), JwtConfigError::DuplicateKeyId(id) if id == "a"));
    let pair = JwtKey::ed25519(ED_PRIVATE, ED_OTHER_PUBLIC).unwrap();
    assert!(matches!(refusal(JwtConfig::new("mt", "mt", pair)), JwtConfigError::MismatchedPair));
    assert!(matches!(JwtKey::ed25519_public("ssh-ed25519 AAAA"), Err(JwtConfigError::NotAKey(_))));
}

/// Authenticators that do not read a tenant's claim, and that do.
fn unaware_and_aware() -> [Tokens; 2] {
    [config(), config().with_tenant_claim("org_id")]
        .map(|config| JwtAuthenticator::with_clock(config, clock()).unwrap())
}

fn acme() -> TenantId {
    TenantId::parse("01931b66-7d50-7c2e-8f3a-000000000001").unwrap()
}

#[test]
fn token_with_a_tenant_claim_is_bound_to_that_tenant() {
    let [unaware, aware] = unaware_and_aware();
    let session = Principal::in_generation(ada(), 3);
    let bound = hs256(&with("org_id", json!(acme())));
    assert_eq!(aware.verify(&bound).unwrap(), session.bound_to(acme()));
    let in_capitals = hs256(&with("org_id", json!(acme().to_string().to_uppercase())));
    assert_eq!(aware.verify(&in_capitals).unwrap(), session.bound_to(acme()));
    // Without the claim, without the configuration, and with a claim of another name.
    assert_eq!(aware.verify(&hs256(&claims())).unwrap(), session);
    assert_eq!(unaware.verify(&bound).unwrap(), session);
    assert_eq!(aware.verify(&hs256(&with("tenant", json!(acme())))).unwrap(), session);
}

#[test]
fn invalid_tenant_claim_refuses_the_token() {
    let [unaware, aware] = unaware_and_aware();
    for value in [
        Value::Null,
        json!(""),
        json!("acme"),
        json!(7),
        json!([acme()]),
        json!({ "id": acme() }),
        json!(format!(" {}", acme())),
        json!(acme().as_uuid().simple().to_string()),
        json!(acme().as_uuid().braced().to_string()),
        json!(acme().as_uuid().urn().to_string()),
    ] {
        let token = hs256(&with("org_id", value.clone()));
        assert_eq!(reason(aware.verify(&token)), "`org_id` is not a UUID", "{value}");
        assert!(unaware.verify(&token).is_ok(), "{value}: refused for the claim and nothing else");
    }
}

#[test]
fn tenant_claim_does_not_change_the_other_checks() {
    let [_, aware] = unaware_and_aware();
    let bound = with("org_id", json!(acme()));
    for (name, value) in [
        ("sub", json!("ada")),
        ("sub", json!(7)),
        ("iss", json!("other")),
        ("aud", json!("other")),
        ("exp", json!(NOW - 5)),
        ("exp", json!((NOW + 60).to_string())),
        ("nbf", json!(NOW + 6)),
        ("ver", json!("3")),
        ("ver", Value::Null),
    ] {
        let mut case = bound.clone();
        case[name] = value;
        let verdict = aware.verify(&hs256(&case));
        assert!(matches!(verdict, Err(AuthError::Invalid(_))), "{case}: {verdict:?}");
    }
    for name in ["sub", "iss", "aud", "exp", "ver"] {
        let mut case = bound.clone();
        case.as_object_mut().unwrap().remove(name).unwrap();
        let verdict = aware.verify(&hs256(&case));
        assert!(matches!(verdict, Err(AuthError::Invalid(_))), "{case}: {verdict:?}");
    }
    let forged = forge(&json!({ "alg": "HS256" }), &bound, b"another secret of at least 32 bytes");
    assert!(aware.verify(&forged).is_err());
    let mut aud_list = bound;
    aud_list["aud"] = json!(["other", "mt"]);
    assert_eq!(aware.verify(&hs256(&aud_list)).unwrap().tenant(), Some(acme()));
}

#[test]
fn tokens_bound_to_a_tenant_need_a_configured_claim() {
    let [unaware, aware] = unaware_and_aware();
    let refused = unaware.issue_bound(ada(), 3, acme());
    assert!(matches!(refused, Err(IssueError::NoTenantClaim)), "{refused:?}");
    let token = aware.issue_bound(ada(), 3, acme()).unwrap().token;
    assert_eq!(aware.verify(&token).unwrap(), Principal::in_generation(ada(), 3).bound_to(acme()));
    let said = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
    let mut said: Value = serde_json::from_slice(&said).unwrap();
    said.as_object_mut().unwrap().remove("jti").unwrap();
    let mut expected = with("org_id", json!(acme()));
    expected["exp"] = json!(NOW + 3600);
    assert_eq!(said, expected, "no role is among them");

    for taken in ["", "sub", "iss", "aud", "exp", "nbf", "iat", "jti", "ver"] {
        let config = config().with_tenant_claim(taken);
        let refused = JwtAuthenticator::with_clock(config, clock()).unwrap_err();
        assert!(matches!(refused, JwtConfigError::ClaimTaken(name) if name == taken));
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let key = JwtKey::hs256(SECRET).unwrap().with_id("a");
    let tokens = tokens();
    let issued = tokens.issue(ada(), 0).unwrap();
    let shown = format!("{key:?} {:?} {tokens:?} {issued:?}", config());
    assert!(!shown.contains("secret of") && !shown.contains(&issued.token), "{shown}");
}

#[test]
fn act_claim_names_the_service_account_that_acts() {
    let account = ServiceAccountId::generate();
    let act = json!({ "sub": account, "act": { "sub": "a prior actor" } });
    for tokens in unaware_and_aware() {
        let principal = tokens.verify(&hs256(&with("act", act.clone()))).unwrap();
        assert_eq!((principal.id(), principal.actor()), (ada(), Some(account)));
        assert_eq!(tokens.verify(&hs256(&claims())).unwrap().actor(), None);
        for other in [json!({ "sub": "a client" }), json!({}), json!("text"), json!([])] {
            let refused = reason(tokens.verify(&hs256(&with("act", other.clone()))));
            assert!(!refused.is_empty(), "{other}");
        }
    }
}
