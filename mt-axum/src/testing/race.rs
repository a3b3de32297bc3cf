//! A race for the last rows that a cap allows.

use mt_core::access::AccessModel;
use mt_core::id::TenantId;
use mt_core::member_policy::MemberPolicy;
use mt_core::testing::caps::{Attempt, Capped};
use mt_core::testing::isolation::TestRequest;
use sqlx::AssertSqlSafe;

use super::TestApp;
use super::requests::send;

/// A cap under test, through the route that creates.
pub(super) struct Racing<M: AccessModel> {
    pub(super) app: TestApp<M>,
    pub(super) route: crate::Route,
    pub(super) table: &'static str,
    pub(super) cap: usize,
}

impl<M: MemberPolicy> Capped for Racing<M> {
    type Place = (TenantId, TestRequest);

    fn cap(&self) -> usize {
        self.cap
    }

    async fn place(&self) -> (TenantId, TestRequest) {
        let (tenant, owner) = self.app.tenant_and_owner().await;
        let parameter = format!("{{{}}}", self.app.parameter);
        let request = TestRequest {
            method: self.route.method.to_string(),
            path: self.route.path.replace(&parameter, &tenant.to_string()),
            headers: vec![
                ("authorization".to_owned(), format!("Bearer {owner}")),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
            body: self.app.body_of(&self.route).map(|body| body.to_string()),
        };
        (tenant, request)
    }

    async fn create(&self, (_, request): &Self::Place) -> Attempt {
        let response = send(&self.app.router, request.clone()).await;
        match response.status {
            200..=299 => Attempt::Created,
            402 => Attempt::Refused,
            other => panic!(
                "{} {}: {other} {}",
                request.method,
                request.path,
                String::from_utf8_lossy(&response.body)
            ),
        }
    }

    async fn remove(&self, (tenant, _): &Self::Place) {
        let table = self.table;
        let sql = format!(
            "delete from {table} where ctid = (select ctid from {table} where tenant_id = $1 limit 1)"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(tenant.as_uuid())
            .execute(self.app.db.admin())
            .await;
        done.unwrap_or_else(|error| panic!("a row of {table} cannot be deleted: {error}"));
    }

    async fn count(&self, (tenant, _): &Self::Place) -> usize {
        let sql = format!("select count(*) from {} where tenant_id = $1", self.table);
        let stored = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql))
            .bind(tenant.as_uuid())
            .fetch_one(self.app.db.admin())
            .await;
        let stored =
            stored.unwrap_or_else(|error| panic!("{} cannot be read: {error}", self.table));
        usize::try_from(stored).expect("a count is not negative")
    }
}
