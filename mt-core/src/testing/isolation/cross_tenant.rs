//! Requests with ids of another tenant.

use std::fmt::Write as _;

use super::fixture::TenantFixture;
use super::operations::tenant_parameter;
use super::request::{TestRequest, TestResponse};
use super::route::Route;
use super::run::Run;
use super::substitution::{Substitution, own_request};

impl<S, C> Run<'_, S, C>
where
    S: AsyncFn(String) -> TenantFixture,
    C: AsyncFn(TestRequest) -> TestResponse,
{
    /// Calls every route as each member of B and anonymously, with every combination of ids that includes one of A.
    /// No response may hold data of A, no data of A may change, and an id of A must get the response of an unknown
    /// id.
    pub(super) async fn ids_of_other_tenants(&mut self) {
        let a = self.a;
        self.watch(&[a]).await;
        for route in self.routes {
            for number in 0..=self.b.callers().count() {
                // A new tenant for each caller, so that writes of one do not affect the response to the next.
                let b =
                    if route.writes() { self.harness.new_tenant().await } else { self.b.clone() };
                let (role, bearer) = match b.callers().nth(number) {
                    Some((role, bearer)) => (*role, Some(bearer.as_str())),
                    None => ("anonymous", None),
                };
                let who = format!("{role} of B");
                for substitution in Substitution::with_other(&route.slots(a, &b)) {
                    let (request, filled) = substitution.request(route, &b, a, bearer);
                    let what = format!("{who}: {} {}", request.method, request.path);
                    let response = self.send((&who, route), &b, request, &[a]).await;
                    let (request, unknown_like) =
                        substitution.with_unknown().request(route, &b, a, bearer);
                    let absent = self.send((&who, route), &b, request, &[a]).await;
                    self.compare((&what, route), (&response, &filled), (&absent, &unknown_like));
                    if route.writes() {
                        self.expect_unchanged(route, &what).await;
                    }
                }
            }
            self.expect_unchanged(route, &route.name()).await;
        }
    }

    /// Reports different responses to an id of A and to an unknown id.
    fn compare(
        &mut self,
        (what, route): (&str, &Route),
        (response, filled): (&TestResponse, &[(&'static str, String)]),
        (absent, unknown_like): (&TestResponse, &[(&'static str, String)]),
    ) {
        // Two creates return two ids.
        if route.writes() && response.is_success() && response.status == absent.status {
            return;
        }
        let hidden = self.harness.normalizer.text(response, filled);
        let absent = self.harness.normalizer.text(absent, unknown_like);
        if hidden != absent {
            let finding = format!(
                "{what}: an id of A and an unknown id get different responses:\n    {hidden}\n    {absent}"
            );
            self.findings.add_once(&route.name(), "told apart", finding);
        }
    }

    /// Names another tenant in a header, the query and the body of requests, where the application must ignore it.
    pub(super) async fn named_tenants(&mut self) {
        let a = self.a.tenant.to_string();
        for route in self.routes.iter().filter(|route| !route.is_exempt) {
            let served = self.harness.operations.as_deref().unwrap_or_default();
            let mut names = vec!["tenant_id".to_owned()];
            names.extend(tenant_parameter(served, route).filter(|name| name != "tenant_id"));
            let tenants = if route.writes() {
                [self.harness.new_tenant().await, self.harness.new_tenant().await]
            } else {
                [self.b.clone(), self.b.clone()]
            };
            for (tenant, in_body) in tenants.iter().zip([false, true]) {
                // The first member has the role with the most permissions.
                let Some((role, bearer)) = tenant.members.first() else { continue };
                let mut request = own_request(route, tenant, Some(bearer));
                let said = if in_body {
                    in_the_body(&mut request, &names, &a)
                } else {
                    in_the_head(&mut request, &names, &a);
                    true
                };
                if !said {
                    continue;
                }
                let who = format!("{role} of {}", self.name(tenant));
                let what =
                    format!("{who} names A's id as `{}`: {}", names.join("`, `"), route.name());
                let _ = self.send((&what, route), tenant, request, &[self.a]).await;
                self.expect_unchanged(route, &what).await;
            }
        }
    }
}

fn in_the_head(request: &mut TestRequest, names: &[String], tenant: &str) {
    for name in names {
        request.headers.push((format!("x-{}", name.replace('_', "-")), tenant.to_owned()));
        let mark = if request.path.contains('?') { '&' } else { '?' };
        _ = write!(request.path, "{mark}{name}={tenant}");
    }
}

fn in_the_body(request: &mut TestRequest, names: &[String], tenant: &str) -> bool {
    let body = request.body.as_deref().and_then(|body| serde_json::from_str(body).ok());
    let Some(serde_json::Value::Object(mut members)) = body else { return false };
    for name in names {
        members.insert(name.clone(), tenant.into());
    }
    request.body = Some(serde_json::Value::Object(members).to_string());
    true
}
