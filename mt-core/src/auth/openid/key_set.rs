//! The key set of a provider (RFC 7517): how it is read, and which key a token is verified with; pure functions.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::algorithm::KeyKind;
use super::{KeysError, SigningAlgorithm};
use crate::text_enum::TextEnum as _;

/// The maximum number of keys in a set. Providers have two to ten.
const MAX_KEYS: usize = 100;
/// The lengths of an RSA modulus in bits: at least what RFC 7518 §3.3 asks for, at most what is verified quickly.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The keys that verify signatures; the others of a set are left out.
pub(super) struct KeySet(Vec<Arc<Key>>);

/// A public key.
pub(super) struct Key {
    id: Option<String>,
    kind: KeyKind,
    /// The only algorithm of the key, if it names one.
    algorithm: Option<SigningAlgorithm>,
    pub(super) verifying: DecodingKey,
}

/// Which key a token is verified with.
pub(super) enum Selection {
    Key(Arc<Key>),
    /// The set has no such key. A newer one may have it.
    Missing,
    /// No newer set is asked for. With the reason.
    Refused(&'static str),
}

impl KeySet {
    /// Reads a key set. Keys that are not for signatures, of an unknown kind or malformed are skipped (RFC 7517 §5).
    pub(super) fn parse(document: &[u8]) -> Result<Self, KeysError> {
        let document: Value =
            serde_json::from_slice(document).map_err(|_| KeysError::NotAKeySet)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(KeysError::NotAKeySet)?;
        if keys.len() > MAX_KEYS {
            return Err(KeysError::TooManyKeys);
        }
        let keys: Vec<_> = keys.iter().filter_map(Key::parse).map(Arc::new).collect();
        // A provider that lists none has an outage, or is not one.
        if keys.is_empty() { Err(KeysError::NoUsableKey) } else { Ok(Self(keys)) }
    }

    /// Selects the key for a token with this `kid` and `alg`.
    ///
    /// The token's `alg` never widens what a key may do: it has to fit the kind and the algorithm of the key.
    pub(super) fn select(&self, id: Option<&str>, algorithm: SigningAlgorithm) -> Selection {
        let named: Vec<_> = match id {
            Some(id) => self.0.iter().filter(|key| key.id.as_deref() == Some(id)).collect(),
            // OpenID Connect Core 1.0, section 10.1: a token needs no `kid` if there is no choice.
            None => self.0.iter().filter(|key| key.fits(algorithm)).collect(),
        };
        let mut fitting = named.iter().filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Selection::Key(Arc::clone(key)),
            (Some(_), Some(_)) if id.is_none() => {
                Selection::Refused("`kid` is missing, and several keys fit")
            }
            (Some(_), Some(_)) => Selection::Refused("several keys have that `kid`"),
            (None, _) if named.is_empty() => Selection::Missing,
            (None, _) => Selection::Refused("`alg` is not the algorithm of the key"),
        }
    }
}

impl Key {
    fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        self.kind == algorithm.key_kind() && self.algorithm.is_none_or(|only| only == algorithm)
    }

    fn parse(key: &Value) -> Option<Self> {
        let key = key.as_object()?;
        let is_for_signatures = match key.get("use") {
            None => true,
            Some(used_for) => used_for == "sig",
        };
        let verifies = match key.get("key_ops") {
            None => true,
            Some(operations) => operations.as_array()?.iter().any(|one| one == "verify"),
        };
        if !is_for_signatures || !verifies {
            return None;
        }
        if key.contains_key("d") {
            tracing::error!("the provider publishes a private key, which is not used");
            return None;
        }
        let id = match key.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        let algorithm = match key.get("alg") {
            None => None,
            // RFC 9864 renames it for keys.
            Some(name) if name == "Ed25519" => Some(SigningAlgorithm::EdDsa),
            Some(name) => Some(SigningAlgorithm::parse(name.as_str()?).ok()?),
        };
        let (kind, verifying) = material(key)?;
        let key = Self { id, kind, algorithm, verifying };
        key.algorithm.is_none_or(|only| key.fits(only)).then_some(key)
    }
}

/// Reads the parameters of the kinds of keys that are known.
fn material(key: &Map<String, Value>) -> Option<(KeyKind, DecodingKey)> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let bytes = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
            let key = DecodingKey::from_rsa_raw_components(&n, &e);
            RSA_BITS.contains(&bits).then_some((KeyKind::Rsa, key))
        }
        ("EC", Some(curve)) => {
            let (kind, length) = match curve {
                "P-256" => (KeyKind::P256, 32),
                "P-384" => (KeyKind::P384, 48),
                _ => return None,
            };
            let is_point = [bytes("x")?, bytes("y")?].iter().all(|n| n.len() == length);
            let key = DecodingKey::from_ec_components(text("x")?, text("y")?).ok()?;
            is_point.then_some((kind, key))
        }
        ("OKP", Some("Ed25519")) => {
            let x = bytes("x")?;
            (x.len() == 32).then(|| (KeyKind::Ed25519, DecodingKey::from_ed_der(&x)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use SigningAlgorithm::{EdDsa, Es256, Es384, Ps256, Rs256, Rs512};

    fn rsa(bits: usize) -> Value {
        let mut n = vec![0xff; bits / 8];
        n[0] = 0x80;
        json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": "AQAB" })
    }

    fn ec(curve: &str, length: usize) -> Value {
        let n = URL_SAFE_NO_PAD.encode(vec![1; length]);
        json!({ "kty": "EC", "crv": curve, "x": n, "y": n })
    }

    fn ed() -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([1; 32]) })
    }

    fn with(mut key: Value, members: &Value) -> Value {
        let members = members.as_object().unwrap().clone();
        key.as_object_mut().unwrap().extend(members);
        key
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn is_used(key: Value) -> bool {
        // Another key, so that the set has one.
        set(&[key, ed()]).0.len() == 2
    }

    #[test]
    fn keys_that_are_not_for_signatures_or_malformed_are_skipped() {
        for key in [
            rsa(2048),
            rsa(8192),
            ec("P-256", 32),
            ec("P-384", 48),
            with(rsa(2048), &json!({ "use": "sig", "alg": "RS256", "kid": "a", "x5c": [] })),
            with(rsa(2048), &json!({ "key_ops": ["verify"] })),
            with(ed(), &json!({ "alg": "EdDSA" })),
            with(ed(), &json!({ "alg": "Ed25519" })),
        ] {
            assert!(is_used(key.clone()), "{key}");
        }
        for key in [
            with(rsa(2048), &json!({ "use": "enc" })),
            with(rsa(2048), &json!({ "use": 7 })),
            with(rsa(2048), &json!({ "key_ops": ["encrypt"] })),
            with(rsa(2048), &json!({ "alg": "RSA-OAEP" })),
            with(rsa(2048), &json!({ "alg": "ES256" })),
            with(rsa(2048), &json!({ "alg": "HS256" })),
            with(rsa(2048), &json!({ "kid": 7 })),
            with(rsa(2048), &json!({ "d": "AQAB" })),
            with(rsa(2048), &json!({ "n": "not base64!" })),
            with(rsa(2048), &json!({ "n": "" })),
            json!({ "kty": "RSA", "e": "AQAB" }),
            rsa(1024),
            rsa(16384),
            ec("P-256", 48),
            ec("P-521", 66),
            ec("secp256k1", 32),
            with(ed(), &json!({ "crv": "Ed448" })),
            with(ed(), &json!({ "crv": "X25519" })),
            with(ed(), &json!({ "x": "AQAB" })),
            json!({ "kty": "oct", "k": "c2VjcmV0" }),
            json!({ "kty": "AKP", "alg": "ML-DSA-65" }),
            json!("RSA"),
        ] {
            assert!(!is_used(key.clone()), "{key}");
        }
    }

    #[test]
    fn sets_without_usable_keys_and_overlong_sets_are_errors() {
        let parse = |text: &str| KeySet::parse(text.as_bytes()).err().unwrap().to_string();
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":"#, "<html>"] {
            assert!(parse(text).contains("not a JSON Web Key Set"), "{text}");
        }
        assert!(parse(r#"{"keys":[{"kty":"oct","k":"x"}]}"#).contains("no key"));
        assert!(parse(r#"{"keys":[]}"#).contains("no key"));
        let many = json!({ "keys": vec![ed(); MAX_KEYS + 1] }).to_string();
        assert!(parse(&many).contains("100"));
    }

    fn selected(set: &KeySet, id: Option<&str>, algorithm: SigningAlgorithm) -> &'static str {
        match set.select(id, algorithm) {
            Selection::Key(_) => "key",
            Selection::Missing => "missing",
            Selection::Refused(reason) => reason,
        }
    }

    #[test]
    fn algorithm_of_the_token_has_to_fit_the_key() {
        let set = set(&[
            with(rsa(2048), &json!({ "kid": "rs", "alg": "RS256" })),
            with(rsa(2048), &json!({ "kid": "any" })),
            with(ec("P-256", 32), &json!({ "kid": "es" })),
            with(ed(), &json!({ "kid": "ed" })),
            with(ed(), &json!({ "kid": "twice" })),
            with(ed(), &json!({ "kid": "twice" })),
        ]);
        let other = "`alg` is not the algorithm of the key";
        for (id, algorithm, expected) in [
            (Some("rs"), Rs256, "key"),
            (Some("rs"), Rs512, other),
            (Some("rs"), Ps256, other),
            (Some("any"), Rs512, "key"),
            (Some("any"), Es256, other),
            (Some("es"), Es256, "key"),
            (Some("es"), Es384, other),
            (Some("es"), Rs256, other),
            (Some("ed"), EdDsa, "key"),
            (Some("twice"), EdDsa, "several keys have that `kid`"),
            (Some("none"), EdDsa, "missing"),
            (None, Es256, "key"),
            (None, Rs512, "key"),
            (None, Rs256, "`kid` is missing, and several keys fit"),
            (None, Es384, "missing"),
        ] {
            assert_eq!(selected(&set, id, algorithm), expected, "{id:?} {algorithm:?}");
        }
    }
}
