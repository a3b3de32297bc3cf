//! Labels of tenants for metrics, in bounded number.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use mt_core::id::TenantId;

/// Gives a number of tenants a label of their own, first come first served, and all others `other`.
///
/// Metrics keep a time series for each value of a label, so their number must be bounded. Pass only tenants that
/// access was loaded for: made-up ones would use the labels up.
///
/// ```
/// use mt_core::id::TenantId;
/// use mt_tower::observe::TenantLabels;
///
/// let labels = TenantLabels::at_most(1);
/// let first = TenantId::generate();
/// assert_eq!(labels.label(first), first.to_string());
/// assert_eq!(labels.label(TenantId::generate()), "other");
/// assert_eq!(labels.label(first), first.to_string());
/// ```
#[derive(Debug)]
pub struct TenantLabels {
    // INVARIANT: `named.len() <= most`.
    named: RwLock<HashSet<TenantId>>,
    most: usize,
}

impl TenantLabels {
    /// Creates labels for `most` tenants, and one for the rest.
    #[must_use]
    pub fn at_most(most: usize) -> Self {
        Self { named: RwLock::default(), most }
    }

    /// Returns the tenant's label.
    pub fn label(&self, tenant: TenantId) -> Cow<'static, str> {
        match self.is_named(tenant) {
            true => Cow::Owned(tenant.to_string()),
            false => Cow::Borrowed("other"),
        }
    }

    fn is_named(&self, tenant: TenantId) -> bool {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        if named.contains(&tenant) {
            return true;
        }
        let is_full = named.len() >= self.most;
        drop(named);
        if is_full {
            return false;
        }
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        if named.len() < self.most {
            named.insert(tenant);
        }
        named.contains(&tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_gets_no_more_labels_than_there_are() {
        let labels = TenantLabels::at_most(10);
        let tenants: Vec<_> = (0..1000).map(|_| TenantId::generate()).collect();
        let given: HashSet<Cow<'static, str>> = std::thread::scope(|scope| {
            let asked: Vec<_> = tenants
                .chunks(250)
                .map(|some| {
                    scope.spawn(|| some.iter().map(|t| labels.label(*t)).collect::<Vec<_>>())
                })
                .collect();
            asked.into_iter().flat_map(|a| a.join().unwrap()).collect()
        });
        assert_eq!(given.len(), 11);
        assert!(given.contains("other"));
    }
}
