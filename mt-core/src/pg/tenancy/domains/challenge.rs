//! The DNS record that proves control of a domain.

use crate::tenant_name::DomainName;

/// The label below a domain at which its record is looked for. `DomainName::MAX_BYTES` leaves room for it.
const LABEL: &str = "_mt-challenge";
/// What the value of the record begins with, so that its owner recognises it among others.
const PREFIX: &str = "mt-domain-verification=";

/// The TXT record that a tenant adds to prove that it controls a domain. It is public.
///
/// Its value differs for each claim, so a record that another tenant has published proves nothing for this one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenge {
    record_name: String,
    record_value: String,
}

impl Challenge {
    pub(super) fn new(domain: &DomainName, token: &str) -> Self {
        Self { record_name: format!("{LABEL}.{domain}"), record_value: format!("{PREFIX}{token}") }
    }

    /// Returns the name of the record, such as `_mt-challenge.tasks.acme.com`.
    #[must_use]
    pub fn record_name(&self) -> &str {
        &self.record_name
    }

    /// Returns the value of the record, such as `mt-domain-verification=…`.
    #[must_use]
    pub fn record_value(&self) -> &str {
        &self.record_value
    }

    /// Decides whether these TXT records of [`record_name`](Self::record_name) prove control: one of them is the
    /// value, whatever stands beside it.
    #[must_use]
    pub fn is_met_by(&self, records: &[String]) -> bool {
        records.iter().any(|record| record.trim_ascii() == self.record_value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_with_the_value_proves_control() {
        let domain = DomainName::parse("tasks.acme.com").unwrap();
        let challenge = Challenge::new(&domain, "token");
        assert_eq!(challenge.record_name(), "_mt-challenge.tasks.acme.com");
        assert_eq!(challenge.record_value(), "mt-domain-verification=token");
        let is_met_by = |records: &[&str]| {
            challenge
                .is_met_by(&records.iter().map(|record| (*record).to_owned()).collect::<Vec<_>>())
        };
        assert!(is_met_by(&["mt-domain-verification=token"]));
        assert!(is_met_by(&["v=spf1 -all", " mt-domain-verification=token\n"]));
        for records in [
            &[][..],
            &["token"],
            &["mt-domain-verification="],
            &["mt-domain-verification=token2"],
            &["mt-domain-verification=TOKEN"],
            &["x mt-domain-verification=token"],
            &["mt-domain-verification", "token"],
        ] {
            assert!(!is_met_by(records), "{records:?}");
        }
    }

    #[test]
    fn longest_domain_has_a_record_name_that_dns_accepts() {
        let label = "a".repeat(63);
        let domain = format!("{label}.{label}.{label}.{}.org", "b".repeat(43));
        let domain = DomainName::parse(&domain).unwrap();
        assert_eq!(domain.as_str().len(), DomainName::MAX_BYTES);
        assert_eq!(Challenge::new(&domain, "token").record_name().len(), 253);
    }
}
