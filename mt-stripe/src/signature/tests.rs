//! Beside the module and not in `tests/it`, because some recorded cases need a verifier that its
//! constructor refuses to make.

use base64::Engine as _;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::event::EventError;

const SECRET: &str = "whsec_test_new_0123456789abcdef0123456789ab";
const NOW: i64 = 1_795_449_600;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn text<'v>(case: &'v Value, field: &str) -> &'v str {
    case[field].as_str().unwrap_or_else(|| panic!("{field} of {case}"))
}

/// `prefix`, `count` times `fill`, `suffix`: how the file writes down what is long.
fn generated(case: &Value) -> String {
    let count = usize::try_from(case["count"].as_u64().unwrap()).unwrap();
    [text(case, "prefix"), &text(case, "fill").repeat(count), text(case, "suffix")].concat()
}

fn body(case: &Value) -> Vec<u8> {
    match case {
        _ if case.get("body_gen").is_some() => generated(&case["body_gen"]).into_bytes(),
        _ if case.get("body_b64").is_some() => {
            let engine = base64::engine::general_purpose::STANDARD;
            engine.decode(text(case, "body_b64")).unwrap()
        }
        _ => text(case, "body").as_bytes().to_vec(),
    }
}

/// Past the constructor's checks: two cases are about what they keep out.
fn unchecked(case: &Value) -> Verifier {
    let secrets = case["secrets"].as_array().unwrap();
    Verifier {
        keys: secrets.iter().map(|secret| key(secret.as_str().unwrap())).collect(),
        tolerance: Duration::from_secs(case["tolerance"].as_u64().unwrap()),
    }
}

/// What is refused for its headers alone is refused with any body, and what is accepted has good headers.
fn agrees(verifier: &Verifier, headers: &[&[u8]], body: &[u8], now: DateTime<Utc>) {
    let early = verifier.check_headers(headers, now);
    let whole = verifier.check_signature(headers, body, now);
    assert!(early.is_ok() || whole.is_err(), "{early:?} and then {whole:?}");
}

fn answer(case: &Value) -> String {
    let secrets: Vec<&str> =
        case["secrets"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    let verifier = match Verifier::new(&secrets) {
        Err(SecretError::Blank) => return "reject:Config".to_owned(),
        Err(SecretError::WhiteSpace) | Ok(_) => unchecked(case),
        Err(error) => panic!("{error}"),
    };
    let header = match case.get("header_gen") {
        Some(recipe) => Some(generated(recipe)),
        None => case["header"].as_str().map(str::to_owned),
    };
    let headers: Vec<&[u8]> = header.iter().map(String::as_bytes).collect();
    let body = body(case);
    agrees(&verifier, &headers, &body, at(case["now"].as_i64().unwrap()));
    match verifier.verify(&headers, body, at(case["now"].as_i64().unwrap())) {
        Ok(_) => "accept".to_owned(),
        Err(VerifyError::Signature(reason)) => format!("reject:{reason:?}"),
        Err(VerifyError::Event(EventError::BadJson(_))) => {
            "accept-signature;reject:BadJson".to_owned()
        }
        Err(VerifyError::Event(EventError::NotAnEvent(_))) => {
            "accept-signature;reject:NotAnEvent".to_owned()
        }
    }
}

/// Cases recorded from Stripe's libraries for Node and Python, with the answer of each and the one
/// that this crate gives.
#[test]
fn recorded_cases() {
    let file: Value =
        serde_json::from_str(include_str!("../../tests/vectors/signature.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 63);
    let wrong: Vec<String> = cases
        .iter()
        .filter(|case| answer(case) != text(case, "recommended"))
        .map(|case| format!("{}: {}", text(case, "name"), answer(case)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_header_that_cannot_be_genuine_is_known_before_the_body() {
    let verifier = Verifier::new([SECRET]).unwrap();
    let header = sign("whsec_of_another_sender", b"{}", at(NOW));
    let header = header.as_bytes();
    let check = |headers: &[&[u8]], now| verifier.check_headers(headers, at(now));
    assert_eq!(check(&[header], NOW + 300), Ok(()), "no body, no tag to compare");
    assert_eq!(check(&[header], NOW + 301), Err(SignatureError::Stale));
    assert_eq!(check(&[header], NOW - 301), Err(SignatureError::Future));
    assert_eq!(check(&[], NOW), Err(SignatureError::MissingHeader));
    assert_eq!(check(&[header, header], NOW), Err(SignatureError::DuplicateHeader));
    let now = NOW.to_string();
    for (header, refused) in [
        (format!("t={now}"), SignatureError::NoV1),
        (format!("t={now},v1=abc"), SignatureError::NoMatch),
        ("v1=".to_owned() + &"0".repeat(64), SignatureError::Malformed),
    ] {
        assert_eq!(check(&[header.as_bytes()], NOW), Err(refused), "{header}");
    }
}

#[test]
fn two_headers_an_empty_body_and_too_many_signatures_are_refused() {
    let verifier = Verifier::new([SECRET]).unwrap();
    let header = sign(SECRET, b"{}", at(NOW));
    let twice: [&[u8]; 2] = [header.as_bytes(), header.as_bytes()];
    assert_eq!(
        verifier.check_signature(&twice, b"{}", at(NOW)),
        Err(SignatureError::DuplicateHeader)
    );

    let empty = sign(SECRET, b"", at(NOW));
    let refused = verifier.check_signature(&[empty.as_bytes()], b"", at(NOW));
    assert_eq!(refused, Err(SignatureError::EmptyBody));

    let junk = format!(",v1={}", "0".repeat(64));
    let sixteen = header.clone() + &junk.repeat(MAX_SIGNATURES - 1);
    assert_eq!(verifier.check_signature(&[sixteen.as_bytes()], b"{}", at(NOW)), Ok(()));
    let more = header + &junk.repeat(MAX_SIGNATURES);
    let refused = verifier.check_signature(&[more.as_bytes()], b"{}", at(NOW));
    assert_eq!(refused, Err(SignatureError::TooLarge));
}

/// The event and the body of a verified delivery are those that were signed. The control is the same header with
/// another body.
#[test]
fn a_verified_event_owns_the_body_that_was_signed() {
    let verifier = Verifier::new([SECRET]).unwrap();
    let body = br#"{"id": "evt_1", "type": "invoice.paid"}"#;
    let header = sign(SECRET, body, at(NOW));
    let verified = verifier.verify(&[header.as_bytes()], body, at(NOW)).unwrap();
    assert_eq!((verified.event().id(), verified.event().kind()), ("evt_1", "invoice.paid"));
    assert_eq!(verified.body(), body);
    let other = br#"{"id": "evt_2", "type": "invoice.paid"}"#;
    let refused = verifier.verify(&[header.as_bytes()], other, at(NOW)).unwrap_err();
    assert!(matches!(refused, VerifyError::Signature(SignatureError::NoMatch)), "{refused:?}");
}

#[test]
fn the_window_has_two_inclusive_sides() {
    let verifier = Verifier::new([SECRET]).unwrap();
    let header = sign(SECRET, b"{}", at(NOW));
    for (now, expected) in [
        (NOW - 301, Err(SignatureError::Future)),
        (NOW - 300, Ok(())),
        (NOW + 300, Ok(())),
        (NOW + 301, Err(SignatureError::Stale)),
    ] {
        assert_eq!(
            verifier.check_signature(&[header.as_bytes()], b"{}", at(now)),
            expected,
            "{now}"
        );
    }
}

#[test]
fn bad_configuration_is_refused_and_secrets_stay_secret() {
    let none: [&str; 0] = [];
    assert_eq!(Verifier::new(none).unwrap_err(), SecretError::Missing);
    assert_eq!(Verifier::new([SECRET, ""]).unwrap_err(), SecretError::Blank);
    for spaced in [" ", "whsec_a b", "whsec_a\n", "\u{a0}whsec", "whsec\0"] {
        assert_eq!(Verifier::new([spaced]).unwrap_err(), SecretError::WhiteSpace, "{spaced:?}");
    }
    let verifier = Verifier::new([SECRET]).unwrap();
    let refused = verifier.clone().with_tolerance(Duration::from_millis(999)).unwrap_err();
    assert_eq!(refused, SecretError::Tolerance);
    assert!(!format!("{verifier:?}").contains("whsec"));
}

fn flip(bytes: &mut [u8], bit: prop::sample::Index) {
    let bit = bit.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
}

proptest! {
    /// Any one bit of the body, the header's `t` or tag, or the secret decides.
    #[test]
    fn any_flipped_bit_is_refused(
        body in prop::collection::vec(any::<u8>(), 1..200),
        part in 0..3_u8,
        bit in any::<prop::sample::Index>(),
    ) {
        let (mut header, mut sent, mut secret) =
            (sign(SECRET, &body, at(NOW)).into_bytes(), body.clone(), SECRET.as_bytes().to_vec());
        let genuine = Verifier::new([SECRET]).unwrap();
        prop_assert_eq!(genuine.check_signature(&[&header], &sent, at(NOW)), Ok(()));

        match part {
            0 => flip(&mut sent, bit),
            1 => flip(&mut header, bit),
            _ => flip(&mut secret, bit),
        }
        let key = Hmac::new_from_slice(&secret).unwrap();
        let verifier = Verifier { keys: vec![key], tolerance: TOLERANCE };
        prop_assert!(verifier.check_signature(&[&header], &sent, at(NOW)).is_err());
    }

    /// Whatever arrives in the header, the answer is a refusal and not a panic.
    #[test]
    fn no_header_panics(header in prop::collection::vec(any::<u8>(), 0..200)) {
        let verifier = Verifier::new([SECRET]).unwrap();
        let answer = verifier.check_signature(&[&header], b"{}", at(NOW));
        prop_assert!(answer.is_err());
    }

    /// The same for what looks like a header.
    #[test]
    fn no_plausible_header_panics(header in "(t|v1|v0|)?=?[0-9a-f+. -]{0,70}(,(t|v1)=[0-9a-f]{0,66}){0,4}") {
        let verifier = Verifier::new([SECRET]).unwrap();
        let answer = verifier.check_signature(&[header.as_bytes()], b"{}", at(NOW));
        prop_assert!(answer.is_err());
    }
}
