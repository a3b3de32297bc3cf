//! The claims of a token, and what they must be; pure decisions.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::auth::AuthError;
use crate::auth::identity_name::is_storable;
use crate::auth::jwt::refused;
use crate::email::EmailAddress;
use crate::id::ServiceAccountId;

/// What the claims of a token are compared with.
#[derive(Clone, Debug)]
pub(super) struct ClaimRules {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) authorized_parties: Vec<String>,
    pub(super) required: Vec<(String, Value)>,
    pub(super) email: String,
    pub(super) email_verified: String,
    /// In seconds.
    pub(super) leeway: i64,
}

/// What a token says whose signature and claims were verified. `Debug` shows the issuer only.
pub struct VerifiedToken {
    issuer: String,
    subject: String,
    issued_at: DateTime<Utc>,
    email: Option<String>,
    actor: Option<ServiceAccountId>,
}

impl VerifiedToken {
    /// Returns the issuer, as it was configured.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the subject: the issuer's name for the user, 1 to 255 bytes without control characters.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns when the token was issued, by the issuer's clock and in whole seconds.
    #[must_use]
    pub const fn issued_at(&self) -> DateTime<Utc> {
        self.issued_at
    }

    /// Returns the service account that acts on behalf of the subject, if the token names one in `act` (RFC 8693, section
    /// 4.1).
    #[must_use]
    pub const fn actor(&self) -> Option<ServiceAccountId> {
        self.actor
    }

    /// Returns the user's e-mail address, if the token says that it is verified and a mail server could deliver to it.
    #[must_use]
    pub fn verified_email(&self) -> Option<EmailAddress> {
        self.email.as_deref().and_then(|email| EmailAddress::parse(email).ok())
    }
}

/// The service account that acts on behalf of the subject.
fn actor(claims: &Map<String, Value>) -> Result<Option<ServiceAccountId>, AuthError> {
    let Some(actor) = claims.get("act") else { return Ok(None) };
    let account = actor.get("sub").and_then(Value::as_str).and_then(ServiceAccountId::parse);
    let unknown = || refused("`act.sub` is not the id of a service account");
    account.map(Some).ok_or_else(unknown)
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl ClaimRules {
    pub(super) fn new(issuer: String) -> Self {
        Self {
            issuer,
            audiences: Vec::new(),
            authorized_parties: Vec::new(),
            required: Vec::new(),
            email: "email".to_owned(),
            email_verified: "email_verified".to_owned(),
            leeway: 0,
        }
    }

    /// Checks the claims of a token whose signature was verified, at `now` in seconds.
    ///
    /// Texts of errors name claims, and never show their values.
    pub(super) fn check(
        &self,
        claims: &Map<String, Value>,
        now: i64,
    ) -> Result<VerifiedToken, AuthError> {
        if text(claims, "iss") != Some(&self.issuer) {
            return Err(refused("`iss` is not the configured issuer"));
        }
        let issued_at = self.check_times(claims, now)?;
        self.check_recipient(claims)?;
        for (name, value) in &self.required {
            if claims.get(name) != Some(value) {
                return Err(refused(&format!("`{name}` does not have the required value")));
            }
        }
        if claims.contains_key("cnf") {
            return Err(refused("`cnf` binds the token to a key, which is not checked here"));
        }
        if claims.contains_key("events") {
            return Err(refused("`events` makes it a logout token or a security event"));
        }
        let subject = text(claims, "sub").ok_or_else(|| refused("`sub` is missing or not text"))?;
        if !is_storable(subject) {
            return Err(refused("`sub` is empty, too long or has control characters"));
        }
        Ok(VerifiedToken {
            issuer: self.issuer.clone(),
            subject: subject.to_owned(),
            issued_at,
            email: self.verified_email(claims).map(str::to_owned),
            actor: actor(claims)?,
        })
    }

    /// Checks the times of a token, and returns when it was issued.
    fn check_times(
        &self,
        claims: &Map<String, Value>,
        now: i64,
    ) -> Result<DateTime<Utc>, AuthError> {
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => match seconds(value) {
                Some(seconds) => Ok(Some(seconds)),
                None => Err(refused(&format!("`{name}` is not a time"))),
            },
        };
        let latest = now.saturating_add(self.leeway);
        let expires = time("exp")?.ok_or_else(|| refused("`exp` is missing"))?;
        if now >= expires.saturating_add(self.leeway) {
            return Err(refused("expired"));
        }
        if time("nbf")?.is_some_and(|nbf| nbf > latest) {
            return Err(refused("not valid yet"));
        }
        // Signing out everywhere goes by this claim. A token from the future would outlive a sign-out.
        let issued = time("iat")?.ok_or_else(|| refused("`iat` is missing"))?;
        if issued > latest {
            return Err(refused("`iat` is in the future"));
        }
        DateTime::from_timestamp(issued, 0).ok_or_else(|| refused("`iat` is not a time"))
    }

    fn check_recipient(&self, claims: &Map<String, Value>) -> Result<(), AuthError> {
        if !self.audiences.is_empty() {
            let is_ours = |value: &Value| {
                value.as_str().is_some_and(|aud| self.audiences.iter().any(|ours| ours == aud))
            };
            let is_for_us = match claims.get("aud") {
                // Either form of RFC 7519, section 4.1.3.
                Some(Value::Array(several)) => several.iter().any(is_ours),
                Some(one) => is_ours(one),
                None => false,
            };
            if !is_for_us {
                return Err(refused("`aud` is missing or names no accepted audience"));
            }
        }
        if !self.authorized_parties.is_empty() {
            let party = claims.get("azp").or_else(|| claims.get("client_id"));
            let party = party.and_then(Value::as_str);
            if !party.is_some_and(|party| self.authorized_parties.iter().any(|ours| ours == party))
            {
                return Err(refused("`azp` is missing or names no accepted party"));
            }
        }
        Ok(())
    }

    fn verified_email<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c str> {
        let is_verified = claims.get(&self.email_verified) == Some(&Value::Bool(true));
        text(claims, &self.email).filter(|_| is_verified)
    }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

/// Reads a `NumericDate` (RFC 7519, section 2), which may have a fraction.
fn seconds(value: &Value) -> Option<i64> {
    /// Numbers up to this are exact, and far beyond every date.
    const BOUND: f64 = 1e15;
    #[expect(clippy::cast_possible_truncation, reason = "the number is within the bound")]
    let floor = |number: f64| (number.abs() < BOUND).then(|| number.floor() as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(floor))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn rules() -> ClaimRules {
        let mut rules = ClaimRules::new("https://id.example.org".to_owned());
        rules.audiences = vec!["api".to_owned(), "api2".to_owned()];
        rules.authorized_parties = vec!["web".to_owned()];
        rules.required = vec![("sts".to_owned(), json!("active"))];
        rules.leeway = 5;
        rules
    }

    fn claims() -> Map<String, Value> {
        let claims = json!({
            "iss": "https://id.example.org", "sub": "ada|1", "aud": ["x", "api"], "azp": "web",
            "iat": NOW, "exp": NOW + 60, "sts": "active", "email": "Ada@example.org",
            "email_verified": true,
        });
        claims.as_object().unwrap().clone()
    }

    fn reason(name: &str, value: Value) -> Option<String> {
        let mut claims = claims();
        match value {
            Value::Null => drop(claims.remove(name)),
            value => drop(claims.insert(name.to_owned(), value)),
        }
        match rules().check(&claims, NOW) {
            Ok(_) => None,
            Err(AuthError::Invalid(reason)) => Some(reason),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn each_claim_is_checked() {
        let token = rules().check(&claims(), NOW).unwrap();
        assert_eq!((token.issuer(), token.subject()), ("https://id.example.org", "ada|1"));
        assert_eq!(token.issued_at().timestamp(), NOW);
        assert_eq!(token.verified_email().unwrap().as_str(), "ada@example.org");
        let refused = [
            ("iss", json!("https://id.example.org/"), "iss"),
            ("iss", json!(["https://id.example.org"]), "iss"),
            ("iss", Value::Null, "iss"),
            ("sub", Value::Null, "sub"),
            ("sub", json!(""), "sub"),
            ("sub", json!(7), "sub"),
            ("sub", json!("a\u{0}b"), "sub"),
            ("sub", json!("a\nb"), "sub"),
            ("sub", json!("a".repeat(256)), "sub"),
            ("aud", json!("other"), "aud"),
            ("aud", json!(["x", 7]), "aud"),
            ("aud", Value::Null, "aud"),
            ("azp", json!("other"), "azp"),
            ("azp", json!(["web"]), "azp"),
            ("azp", Value::Null, "azp"),
            ("sts", json!("pending"), "sts"),
            ("sts", Value::Null, "sts"),
            ("exp", Value::Null, "exp"),
            ("exp", json!("1900000000"), "exp"),
            ("exp", json!(1e300), "exp"),
            ("exp", json!(NOW - 5), "expired"),
            ("nbf", json!(NOW + 6), "not valid yet"),
            ("nbf", json!({}), "nbf"),
            ("iat", Value::Null, "iat"),
            ("iat", json!(NOW + 6), "future"),
            ("iat", json!(i64::MIN), "iat"),
            ("cnf", json!({ "jkt": "x" }), "cnf"),
            ("events", json!({}), "events"),
        ];
        for (name, value, expected) in refused {
            let reason = reason(name, value.clone()).expect("a refusal");
            assert!(reason.contains(expected), "{name} {value}: {reason}");
        }
        for (name, value) in [
            ("aud", json!("api2")),
            ("exp", json!(NOW - 4)),
            ("exp", json!(1_800_000_060.5)),
            ("nbf", json!(NOW + 5)),
            ("iat", json!(NOW + 5)),
            ("iat", json!(1_799_999_999.9)),
            ("sub", json!("é".repeat(127))),
            ("sub", json!("a b|c:d/é")),
        ] {
            assert_eq!(reason(name, value.clone()), None, "{name} {value}");
        }
    }

    #[test]
    fn client_id_stands_for_a_missing_authorized_party_only() {
        let mut claims = claims();
        claims.remove("azp");
        claims.insert("client_id".to_owned(), json!("web"));
        assert!(rules().check(&claims, NOW).is_ok());
        claims.insert("azp".to_owned(), json!("other"));
        assert!(rules().check(&claims, NOW).is_err());
    }

    #[test]
    fn email_counts_only_if_it_is_verified() {
        for (verified, counts) in [
            (json!(true), true),
            (json!(false), false),
            (json!("true"), false),
            (json!(1), false),
            (Value::Null, false),
        ] {
            let mut claims = claims();
            claims.insert("email_verified".to_owned(), verified.clone());
            let token = rules().check(&claims, NOW).unwrap();
            assert_eq!(token.verified_email().is_some(), counts, "{verified}");
        }
        let mut claims = claims();
        claims.insert("email".to_owned(), json!("not an address"));
        assert_eq!(rules().check(&claims, NOW).unwrap().verified_email(), None);
    }

    #[test]
    fn act_names_a_service_account_or_refuses_the_token() {
        let account = ServiceAccountId::generate();
        let mut claims = claims();
        assert_eq!(rules().check(&claims, NOW).unwrap().actor(), None);
        claims.insert("act".to_owned(), json!({ "sub": account, "act": { "sub": "prior" } }));
        assert_eq!(rules().check(&claims, NOW).unwrap().actor(), Some(account));
        for other in [json!({ "sub": "client" }), json!({}), json!("x"), Value::Null] {
            claims.insert("act".to_owned(), other.clone());
            assert!(rules().check(&claims, NOW).is_err(), "{other}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            prop::collection::vec(".*", 0..3).prop_map(Value::from),
        ]
    }

    proptest! {
        /// Whatever the claims are, an accepted token has the pinned ones and a subject that can be stored.
        #[test]
        fn accepted_token_keeps_the_rules(
            changes in prop::collection::vec(
                (prop::sample::select(vec!["iss", "sub", "aud", "azp", "iat", "exp", "nbf", "sts"]), any_value()),
                0..3,
            ),
            skew in -100_i64..100,
        ) {
            let mut claims = claims();
            for (name, value) in changes {
                claims.insert(name.to_owned(), value);
            }
            let now = NOW + skew;
            if let Ok(token) = rules().check(&claims, now) {
                prop_assert!(is_storable(token.subject()));
                prop_assert_eq!(&claims["iss"], "https://id.example.org");
                prop_assert_eq!(&claims["azp"], "web");
                prop_assert_eq!(&claims["sts"], "active");
                prop_assert!(seconds(&claims["exp"]).unwrap() + 5 > now);
                prop_assert!(token.issued_at().timestamp() <= now + 5);
            }
        }
    }
}
