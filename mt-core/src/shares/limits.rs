//! The numbers of seats.

use std::num::NonZeroU32;

use super::party::Party;
use super::requester::Priority;

/// The length of a principal's queue.
const WAITING_OF_ONE: usize = 128;
/// The length of a tenant's queue, without the requests of its owners.
const WAITING_OF_TENANT: usize = 256;

/// With fewer connections than this no seat is reserved.
const FEW: u32 = 4;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limits {
    /// All requests together. The rest is for transactions of the system.
    pub(super) all: u32,
    /// One tenant.
    pub(super) tenant: u32,
    /// One principal, in all tenants and outside of them.
    pub(super) principal: u32,
    /// One principal outside of tenants.
    pub(super) outside: u32,
    /// All anonymous requests together.
    pub(super) anonymous: u32,
    pub(super) waiting_of_one: usize,
    pub(super) waiting_of_tenant: usize,
}

impl Limits {
    pub(super) fn of(connections: u32) -> Self {
        let connections = connections.max(1);
        let reserved = if connections < FEW { 0 } else { (connections / 8).max(1) };
        let limits = Self {
            all: connections - reserved,
            tenant: 0,
            principal: 0,
            outside: (connections / 16).max(1),
            anonymous: (connections / 4).max(1),
            waiting_of_one: WAITING_OF_ONE,
            waiting_of_tenant: WAITING_OF_TENANT,
        };
        let three_quarters = u64::from(connections).saturating_mul(3).div_ceil(4);
        limits.per_tenant(NonZeroU32::new(u32::try_from(three_quarters).unwrap_or(u32::MAX)))
    }

    pub(super) fn per_tenant(self, seats: Option<NonZeroU32>) -> Self {
        let tenant = seats.map_or(u32::MAX, NonZeroU32::get);
        // Two at least, for a request that opens a second transaction, but no more than half.
        let principal = match seats {
            None => tenant,
            Some(_) => tenant.div_ceil(3).max(tenant.div_ceil(2).min(2)),
        };
        Self { tenant, principal, ..self }
    }

    /// Returns how many seats of `party` may be in use before a request of this priority has to wait.
    pub(super) fn of_party(&self, party: Party, priority: Priority) -> u32 {
        match (party, priority) {
            (Party::Anonymous, _) => self.anonymous,
            (Party::Principal(_), _) => self.outside,
            (Party::Tenant(_), Priority::Owner) => self.tenant,
            (Party::Tenant(_), Priority::MemberChange) => self.tenant - self.for_owners(),
            (Party::Tenant(_), Priority::Normal) => {
                self.tenant - self.for_owners() - self.for_member_changes()
            }
        }
    }

    /// Returns how many seats one principal of `party` may have.
    pub(super) const fn of_member(&self, party: Party) -> u32 {
        match party {
            Party::Anonymous => self.anonymous,
            Party::Principal(_) => self.outside,
            Party::Tenant(_) => self.principal,
        }
    }

    fn for_owners(&self) -> u32 {
        u32::from(self.tenant > 1)
    }

    fn for_member_changes(&self) -> u32 {
        u32::from(self.tenant >= FEW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TenantId;

    #[test]
    fn shares_of_a_pool() {
        let party = Party::Tenant(TenantId::generate());
        let of = |connections| {
            let limits = Limits::of(connections);
            let of_party = |priority| limits.of_party(party, priority);
            let tenant = [Priority::Owner, Priority::MemberChange, Priority::Normal].map(of_party);
            (limits.all, tenant, limits.principal, limits.outside, limits.anonymous)
        };
        assert_eq!(of(1), (1, [1, 1, 1], 1, 1, 1));
        assert_eq!(of(2), (2, [2, 1, 1], 1, 1, 1));
        assert_eq!(of(3), (3, [3, 2, 2], 2, 1, 1));
        assert_eq!(of(4), (3, [3, 2, 2], 2, 1, 1));
        assert_eq!(of(8), (7, [6, 5, 4], 2, 1, 2));
        assert_eq!(of(16), (14, [12, 11, 10], 4, 1, 4));
        assert_eq!(of(100), (88, [75, 74, 73], 25, 6, 25));
        assert_eq!(of(0), of(1));
        assert_eq!(of(u32::MAX).0, u32::MAX - u32::MAX / 8);
    }

    #[test]
    fn a_tenant_without_a_limit_is_bound_by_all_alone() {
        let limits = Limits::of(16).per_tenant(None);
        let party = Party::Tenant(TenantId::generate());
        assert!(limits.of_party(party, Priority::Normal) > limits.all);
        assert!(limits.of_member(party) > limits.all);
    }
}
