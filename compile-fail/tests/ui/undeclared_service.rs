//! A service opens transactions under the permissions that it is declared with, and under no other.

use mt_core::id::TenantId;
use mt_core::pg::Tenants;

mt_core::model! {
    pub Shop;
    roles Role { Owner = "owner" (owner) }
    plans Plan { Free = "free" (initial) }
    permissions Action {
        OrdersRead = "orders.read" [yes] [yes] exempt read;
        OrdersWrite = "orders.write" [yes] [yes] required write;
    }
    services { Reporter = "reporter" [OrdersRead]; }
}

async fn report(tenants: Tenants<Shop>, tenant: TenantId) {
    let _ = tenants.begin_as::<Reporter, OrdersWrite>(tenant).await;
}

fn main() {}
