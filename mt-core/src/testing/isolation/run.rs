//! One run of the isolation check over two tenants, A and B.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::findings::Findings;
use super::fingerprint::StoredRows;
use super::fixture::TenantFixture;
use super::harness::Harness;
use super::operations;
use super::policies::PoliciesOff;
use super::request::{TestRequest, TestResponse};
use super::route::Route;
use crate::id::TenantId;

/// The length of a response in a finding, in characters.
const SHOWN: usize = 600;

impl<S, C> Harness<'_, S, C>
where
    S: AsyncFn(String) -> TenantFixture,
    C: AsyncFn(TestRequest) -> TestResponse,
{
    /// Sends requests to all `routes` and returns the violations of tenant isolation. The [module docs](super) list
    /// what it checks.
    ///
    /// # Panics
    ///
    /// When a query of the harness fails.
    pub async fn check(&self, routes: impl IntoIterator<Item = Route>) -> Findings {
        let routes: Vec<Route> = routes.into_iter().collect();
        let mut findings = Findings::default();
        if let Some(served) = &self.operations {
            operations::compare(served, &routes, &mut findings);
        }
        let (a, b) = (self.new_tenant().await, self.new_tenant().await);
        let off = if self.is_without_policies {
            Some(PoliciesOff::begin(self.db, &mut findings).await)
        } else {
            None
        };
        let findings = Run::new(self, &routes, &a, &b, findings).await.all().await;
        let Some(off) = off else { return findings };
        off.end().await;
        findings.without_policies()
    }
}

/// The state of one run of the isolation check.
pub(super) struct Run<'r, S, C> {
    pub(super) harness: &'r Harness<'r, S, C>,
    pub(super) routes: &'r [Route],
    pub(super) a: &'r TenantFixture,
    pub(super) b: &'r TenantFixture,
    pub(super) findings: Findings,
    pub(super) stored: StoredRows<'r>,
    /// The tenants owner rows must not change, and the digest of these rows.
    watched: Vec<TenantId>,
    digest: String,
    /// The responses to members of A and B, by route, tenant and role.
    pub(super) responses: BTreeMap<(usize, char, &'static str), String>,
}

impl<'r, S, C> Run<'r, S, C>
where
    S: AsyncFn(String) -> TenantFixture,
    C: AsyncFn(TestRequest) -> TestResponse,
{
    pub(super) async fn new(
        harness: &'r Harness<'r, S, C>,
        routes: &'r [Route],
        a: &'r TenantFixture,
        b: &'r TenantFixture,
        findings: Findings,
    ) -> Self {
        let stored = StoredRows::new(harness.db).await;
        let (watched, digest) = (Vec::new(), String::new());
        let responses = BTreeMap::new();
        Self { harness, routes, a, b, findings, stored, watched, digest, responses }
    }

    pub(super) async fn all(mut self) -> Findings {
        self.canaries_are_in_place().await;
        self.watch(&[self.a, self.b]).await;
        self.first_reads().await;
        self.own_writes().await;
        // Responses that count tenants change with one more tenant.
        drop(self.harness.new_tenant().await);
        self.later_reads("A", "activity of other tenants changes the response").await;
        self.later_reads("B", "activity of other tenants changes the response").await;
        self.members_of_both().await;
        self.ended_keys().await;
        self.ids_of_other_tenants().await;
        self.named_tenants().await;
        self.later_reads("A", "activity of B's members changes the response").await;
        self.no_copies().await;
        self.findings
    }

    /// Sends a request and reports traces of `others` in the response, and status 500.
    pub(super) async fn send(
        &mut self,
        (who, route): (&str, &Route),
        reader: &TenantFixture,
        request: TestRequest,
        others: &[&TenantFixture],
    ) -> TestResponse {
        let what = format!("{who}: {} {}", request.method, request.path);
        let response = (self.harness.send)(request.clone()).await;
        for other in others {
            if let Some(trace) = response.trace_of(other, reader, &request) {
                let finding = format!(
                    "{what}: the response holds {}'s {trace}: {}",
                    self.name(other),
                    shown(&response)
                );
                self.findings.add_once(&route.name(), "trace", finding);
            }
        }
        if response.status == 500 {
            let finding = format!("{what}: the application fails: {}", shown(&response));
            self.findings.add_once(&route.name(), "failure", finding);
        }
        response
    }

    /// Requires from now on that the rows of these tenants do not change.
    pub(super) async fn watch(&mut self, tenants: &[&TenantFixture]) {
        self.watched = tenants.iter().map(|tenant| tenant.tenant).collect();
        self.digest = self.stored.fingerprint(&self.watched).await;
    }

    /// Reports `what` if the rows of the watched tenants have changed.
    pub(super) async fn expect_unchanged(&mut self, route: &Route, what: &str) {
        let now = self.stored.fingerprint(&self.watched).await;
        if now != self.digest {
            let owner = if self.watched.len() > 1 { "A or B" } else { "A" };
            let finding = format!("{what}: the data of {owner} changed");
            self.findings.add_once(&route.name(), "change", finding);
            self.digest = now;
        }
    }

    pub(super) fn name(&self, tenant: &TenantFixture) -> &'static str {
        match tenant.tenant {
            id if id == self.a.tenant => "A",
            id if id == self.b.tenant => "B",
            _ => "C",
        }
    }

    /// Reports names and addresses without a canary: the control of the search for canaries.
    async fn canaries_are_in_place(&mut self) {
        for tenant in [self.a, self.b] {
            let name = self.name(tenant);
            let sql = format!(
                "select 'its name' from mt.tenants \
                     where id = '{tenant}' and strpos(lower(name), '{canary}') = 0 \
                 union all select distinct 'the address of a member, `' || m.role || '`' \
                     from mt.memberships m join mt.users u on u.id = m.principal_id \
                     where m.tenant_id = '{tenant}' and strpos(lower(u.email), '{canary}') = 0 \
                 union all select 'a member' \
                     where not exists (select from mt.memberships where tenant_id = '{tenant}')",
                tenant = tenant.tenant,
                canary = tenant.canary,
            );
            let lacking: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(self.harness.db.admin())
                .await
                .expect("the library's tables can be read");
            for what in lacking {
                self.findings.add(format!("tenant {name} has no canary in {what}"));
            }
        }
    }

    /// Reports data of A or B in rows of other tenants.
    async fn no_copies(&mut self) {
        for tenant in [self.a, self.b] {
            let core = super::traces::core(&tenant.canary);
            for table in self.stored.copies(tenant.tenant, core).await {
                let name = self.name(tenant);
                self.findings
                    .add(format!("{table}: a row of another tenant holds {name}'s canary"));
            }
        }
    }
}

/// Returns the first characters of a response.
pub(super) fn shown(response: &TestResponse) -> String {
    let body = String::from_utf8_lossy(&response.body);
    let text = format!("{} {:?} {body}", response.status, response.headers);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
