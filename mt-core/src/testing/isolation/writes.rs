//! Writes by members of new tenants: the control of every write.

use std::fmt::Write as _;

use super::fixture::TenantFixture;
use super::request::{TestRequest, TestResponse};
use super::route::Route;
use super::run::Run;
use super::substitution::own_request;

impl<S, C> Run<'_, S, C>
where
    S: AsyncFn(String) -> TenantFixture,
    C: AsyncFn(TestRequest) -> TestResponse,
{
    /// Calls each write route as members of new tenants until one succeeds and changes data. The data of A and B must
    /// not change.
    pub(super) async fn own_writes(&mut self) {
        for route in self.routes.iter().filter(|route| route.writes() && !route.is_exempt) {
            let mut statuses = String::new();
            let mut has_succeeded = false;
            let mut shown = None;
            for number in 0..self.a.members.len() {
                let Some((role, response, has_changed)) = self.own_write(route, number).await
                else {
                    continue;
                };
                _ = write!(statuses, " {role}: {}", response.status);
                has_succeeded |= response.is_success();
                if response.is_success() && (has_changed || route.is_silent) {
                    if has_changed && route.is_silent {
                        let finding = "is declared silent and changes something";
                        self.findings.add(format!("{}: {finding}", route.name()));
                    }
                    shown = Some((number, response));
                    break;
                }
            }
            let Some((number, first)) = shown else {
                let finding = if has_succeeded {
                    "succeeds and changes nothing that its tenant has stored"
                } else {
                    "no member of its own tenant can call it"
                };
                self.findings.add(format!("{}: {finding}:{statuses}", route.name()));
                continue;
            };
            if let Some((role, second, _)) = self.own_write(route, number).await {
                self.compare_numbers(route, role, &first, &second);
            }
        }
    }

    /// Calls a route once in a new tenant. Returns the caller's role, the response, and whether the tenant's data
    /// changed.
    async fn own_write(
        &mut self,
        route: &Route,
        number: usize,
    ) -> Option<(&'static str, TestResponse, bool)> {
        let tenant = self.harness.new_tenant().await;
        let (role, bearer) = tenant.members.get(number)?;
        let before = self.stored.fingerprint(&[tenant.tenant]).await;
        let who = format!("{role} of C");
        let request = own_request(route, &tenant, Some(bearer));
        let response = self.send((&who, route), &tenant, request, &[self.a, self.b]).await;
        let has_changed = self.stored.fingerprint(&[tenant.tenant]).await != before;
        self.expect_unchanged(route, &format!("{who}: {}", route.name())).await;
        Some((role, response, has_changed))
    }

    /// Reports numbers that differ between two equal tenants: such a number counts activity of other tenants.
    fn compare_numbers(
        &mut self,
        route: &Route,
        role: &str,
        first: &TestResponse,
        second: &TestResponse,
    ) {
        let [first, second] =
            [first, second].map(|response| self.harness.normalizer.numbers(response));
        let differs = first.iter().find(|(place, number)| second.get(*place) != Some(*number));
        if let Some((place, number)) = differs {
            let other = second.get(place).map_or("nothing".to_owned(), ToString::to_string);
            let finding = format!(
                "{role} of C: {}: `{}` is {number} in one new tenant and {other} in the next: it counts what \
                 other tenants did",
                route.name(),
                place.trim_start_matches('.')
            );
            self.findings.add_once(&route.name(), "numbers", finding);
        }
    }
}
