//! Which price buys which plan.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

/// Which price buys which plan. Plans are words: an application has its own.
///
/// ```
/// use mt_core::billing::PriceTable;
///
/// let table = PriceTable::new("free")
///     .plan("pro", ["price_monthly", "price_yearly"])
///     .plan("scale", ["price_scale"]);
/// assert_eq!(table.plan_of(["price_seat", "price_yearly"]), Some("pro"));
/// assert_eq!(table.plan_of(["price_of_2019"]), None);
/// ```
#[derive(Clone, Debug)]
pub struct PriceTable {
    pub(super) free: String,
    /// The paid plans, from the lowest to the highest, each with its prices.
    paid: Vec<(String, BTreeSet<String>)>,
}

impl PriceTable {
    /// A table without prices. `free` is the plan of a tenant that pays nothing.
    #[must_use]
    pub fn new(free: impl Into<String>) -> Self {
        Self { free: free.into(), paid: Vec::new() }
    }

    /// Adds a plan above those that were added before, and the prices that buy it.
    #[must_use]
    pub fn plan<P: Into<String>>(
        mut self,
        plan: impl Into<String>,
        prices: impl IntoIterator<Item = P>,
    ) -> Self {
        self.paid.push((plan.into(), prices.into_iter().map(Into::into).collect()));
        self
    }

    /// The highest plan that one of `prices` buys; `None` if none buys one.
    #[must_use]
    pub fn plan_of<'p>(&self, prices: impl IntoIterator<Item = &'p str>) -> Option<&str> {
        self.level(prices).map(|level| self.word(Some(level)))
    }

    /// Whether there are `prices` and none of them buys a plan: they are for another product.
    pub(super) fn is_foreign<'p>(&self, prices: impl IntoIterator<Item = &'p str>) -> bool {
        let mut prices = prices.into_iter().peekable();
        prices.peek().is_some() && self.level(prices).is_none()
    }

    /// The level of the highest plan that one of `prices` buys.
    pub(super) fn level<'p>(&self, prices: impl IntoIterator<Item = &'p str>) -> Option<usize> {
        prices
            .into_iter()
            .filter_map(|price| self.paid.iter().position(|(_, known)| known.contains(price)))
            .max()
    }

    /// The plan of a level; without one, the free plan.
    pub(super) fn word(&self, level: Option<usize>) -> &str {
        level.and_then(|level| self.paid.get(level)).map_or(&self.free, |(plan, _)| plan)
    }

    /// A fingerprint of the table: equal tables have the same one, different tables do not.
    ///
    /// ```
    /// use mt_core::billing::PriceTable;
    ///
    /// let table = |prices: [&str; 2]| PriceTable::new("free").plan("pro", prices).fingerprint();
    /// assert_eq!(table(["price_a", "price_b"]), table(["price_b", "price_a"]));
    /// assert_ne!(table(["price_a", "price_b"]), table(["price_a", "price_c"]));
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let written = serde_json::to_vec(&(&self.free, &self.paid)).expect("words serialise");
        hex::encode(&Sha256::digest(&written)[..16])
    }
}
