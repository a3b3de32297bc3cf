//! The shops, in memory: who keeps them, whether they have paid, and how many came.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mt_core::access::{Access, AccessError, AccessSource, Facts, Grant};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};

use crate::model::{Mall, Plan, Role, VisitorsCount, VisitorsRead};

/// All shops.
#[derive(Debug, Default)]
pub struct Shops(Mutex<HashMap<TenantId, Shop>>);

#[derive(Debug)]
struct Shop {
    keeper: PrincipalId,
    standing: Standing,
    visitors: u64,
}

impl Shops {
    /// Opens a shop.
    pub fn open(&self, keeper: PrincipalId, standing: Standing) -> TenantId {
        let tenant = TenantId::generate();
        self.all().insert(tenant, Shop { keeper, standing, visitors: 0 });
        tenant
    }

    /// How many visitors the shop had.
    pub(crate) fn look(&self, grant: &Grant<VisitorsRead>) -> Option<u64> {
        self.all().get(&grant.tenant()).map(|shop| shop.visitors)
    }

    /// Counts a visitor of the shop, and says how many there were.
    pub(crate) fn count(&self, grant: &Grant<VisitorsCount>) -> Option<u64> {
        let mut shops = self.all();
        let shop = shops.get_mut(&grant.tenant())?;
        shop.visitors += 1;
        Some(shop.visitors)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<TenantId, Shop>> {
        // A panic elsewhere leaves nothing half done here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccessSource<Mall> for Shops {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<Mall>, AccessError> {
        let shops = self.all();
        let kept = shops.get(&tenant).filter(|shop| shop.keeper == principal.id());
        let shop = kept.ok_or(AccessError::NotAMember)?;
        let facts = Facts::new(Role::Keeper, Plan::Free, shop.standing);
        Ok(Access::assertion(tenant, principal, facts))
    }
}
