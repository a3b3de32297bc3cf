//! Reads by members of their own tenant: the control of every read, and the influence of caches and other tenants.

use std::fmt::Write as _;

use super::fixture::TenantFixture;
use super::key_callers::{ENDS, end};
use super::request::{TestRequest, TestResponse};
use super::run::{Run, shown};
use super::substitution::own_request;

impl<S, C> Run<'_, S, C>
where
    S: AsyncFn(String) -> TenantFixture,
    C: AsyncFn(TestRequest) -> TestResponse,
{
    /// Calls each read route as all members of A, of B and of A again, each in their own tenant. A cache that mixes
    /// up tenants returns data of the other one, in either direction.
    pub(super) async fn first_reads(&mut self) {
        let (a, b) = (self.a, self.b);
        for (number, route) in self.routes.iter().enumerate().filter(|(_, route)| !route.writes()) {
            let mut has_succeeded = [false; 2];
            let mut has_shown = [false; 2];
            let mut statuses = String::new();
            for (turn, [reader, other]) in [[a, b], [b, a], [a, b]].into_iter().enumerate() {
                let name = self.name(reader);
                for (role, bearer) in reader.callers() {
                    let request = own_request(route, reader, Some(bearer));
                    let who = format!("{role} of {name}");
                    let response = self.send((&who, route), reader, request, &[other]).await;
                    has_succeeded[turn % 2] |= response.is_success();
                    has_shown[turn % 2] |=
                        response.is_success() && response.holds_canary(&reader.canary);
                    if turn < 2 {
                        _ = write!(statuses, " {who}: {}", response.status);
                    }
                    let text = self.harness.normalizer.text(&response, &[]);
                    let key = (number, if name == "A" { 'A' } else { 'B' }, *role);
                    let earlier = self.responses.entry(key).or_insert_with(|| text.clone());
                    if *earlier != text && !route.is_exempt {
                        let finding = format!(
                            "{who}: {}: two identical requests get different responses; name what varies \
                             with `ignoring`:\n    {earlier}\n    {text}",
                            route.name()
                        );
                        self.findings.add_once(&route.name(), "varies", finding);
                        self.responses.remove(&key);
                    }
                }
            }
            self.expect_unchanged(route, &route.name()).await;
            if route.is_exempt {
                continue;
            }
            if has_succeeded != [true; 2] {
                self.findings.add(format!(
                    "{}: no member of its own tenant can call it:{statuses}",
                    route.name()
                ));
            } else if !route.is_silent && has_shown != [true; 2] {
                self.findings.add(format!(
                    "{}: no member is shown the canary of their own tenant, so the \
                     check proves nothing",
                    route.name()
                ));
            } else if route.is_silent && has_shown != [false; 2] {
                self.findings
                    .add(format!("{}: is declared silent and shows a canary", route.name()));
            }
        }
    }

    /// Repeats the reads of A or B after activity of other tenants and reports changed responses.
    pub(super) async fn later_reads(&mut self, reader_name: &'static str, reason: &'static str) {
        let (reader, other) = if reader_name == "A" { (self.a, self.b) } else { (self.b, self.a) };
        let reads = self.routes.iter().enumerate();
        for (number, route) in reads.filter(|(_, route)| !route.writes() && !route.is_exempt) {
            for (role, bearer) in reader.callers() {
                let key = (number, if reader_name == "A" { 'A' } else { 'B' }, *role);
                let Some(earlier) = self.responses.get(&key).cloned() else { continue };
                let who = format!("{role} of {reader_name}");
                let request = own_request(route, reader, Some(bearer));
                let response = self.send((&who, route), reader, request, &[other]).await;
                let now = self.harness.normalizer.text(&response, &[]);
                if now != earlier {
                    let finding =
                        format!("{who}: {}: {reason}:\n    {earlier}\n    {now}", route.name());
                    self.findings.add_once(&route.name(), "interference", finding);
                    self.responses.insert(key, now);
                }
            }
        }
    }

    /// Reads as members of two tenants in both. A cache that is keyed by caller returns data of the wrong tenant.
    pub(super) async fn members_of_both(&mut self) {
        let reads = self.routes.iter().filter(|r| !r.writes() && !r.is_exempt && r.names_tenant());
        let reads: Vec<_> = reads.collect();
        if reads.is_empty() {
            return;
        }
        let (first, second) = (self.harness.new_tenant().await, self.harness.new_tenant().await);
        let mut has_shown = [false; 2];
        for (role, bearer) in &first.members {
            if !self.join(role, &first, &second).await {
                continue;
            }
            for route in &reads {
                for (turn, [here, there]) in
                    [[&first, &second], [&second, &first], [&first, &second]]
                        .into_iter()
                        .enumerate()
                {
                    let request = own_request(route, here, Some(bearer));
                    let what =
                        format!("{role} of two tenants: {} {}", request.method, request.path);
                    let response = (self.harness.send)(request).await;
                    has_shown[turn % 2] |= response.holds_canary(&here.canary);
                    if response.holds_canary(&there.canary) {
                        let finding = format!(
                            "{what}: the response holds the canary of their other tenant: {}",
                            shown(&response)
                        );
                        self.findings.add_once(&route.name(), "both", finding);
                    }
                }
            }
        }
        for (key, bearer) in &first.keys {
            for route in &reads {
                let request = own_request(route, &second, Some(bearer));
                let what =
                    format!("{key} of one tenant in another: {} {}", request.method, request.path);
                let response = (self.harness.send)(request).await;
                if response.is_success() {
                    let finding = format!("{what}: it works there: {}", shown(&response));
                    self.findings.add_once(&route.name(), "key", finding);
                }
            }
        }
        if has_shown != [true; 2] && reads.iter().any(|route| !route.is_silent) {
            self.findings.add(
                "no member of two tenants is shown the canaries of both, so the check \
                 proves nothing"
                    .to_owned(),
            );
        }
    }

    /// Reads with keys that were revoked, and with keys whose holder has gone. An application that remembers what a key may
    /// do, or decides on it by itself, still answers.
    pub(super) async fn ended_keys(&mut self) {
        let reads = self.routes.iter().filter(|r| !r.writes() && !r.is_exempt && r.names_tenant());
        let reads: Vec<_> = reads.collect();
        for (sql, ends_by) in ENDS {
            let tenant = self.harness.new_tenant().await;
            let mut worked = Vec::new();
            for (key, bearer) in &tenant.keys {
                for route in &reads {
                    let request = own_request(route, &tenant, Some(bearer));
                    if (self.harness.send)(request).await.is_success() {
                        worked.push((*key, bearer.as_str(), *route));
                    }
                }
                if !worked.iter().any(|(of, ..)| of == key) && !reads.is_empty() {
                    self.findings.add(format!(
                        "{key}: no route answers it, so the check of keys proves nothing"
                    ));
                }
            }
            end(self.harness.db, tenant.tenant, sql).await;
            for (key, bearer, route) in worked {
                let request = own_request(route, &tenant, Some(bearer));
                let what = format!("{key}: {} {}", request.method, request.path);
                let response = (self.harness.send)(request).await;
                if response.is_success() {
                    let finding = format!("{what}: {ends_by}: {}", shown(&response));
                    self.findings.add_once(&route.name(), ends_by, finding);
                }
            }
        }
    }

    /// Adds the member of `first` with this role to `second`, and removes the canary from their address, because
    /// members of both tenants may see it.
    async fn join(&mut self, role: &str, first: &TenantFixture, second: &TenantFixture) -> bool {
        let admin = self.harness.db.admin();
        let found: Vec<uuid::Uuid> = sqlx::query_scalar(
            "select principal_id from mt.memberships where tenant_id = $1 and role = $2",
        )
        .bind(first.tenant.as_uuid())
        .bind(role)
        .fetch_all(admin)
        .await
        .expect("memberships can be read");
        let [principal] = found[..] else {
            self.findings.add(format!(
                "{} members of a tenant have the role `{role}`: the fixture needs exactly one",
                found.len()
            ));
            return false;
        };
        for sql in [
            "insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
                 select $2, principal_id, role, is_owner from mt.memberships \
                 where tenant_id = $1 and principal_id = $3 on conflict do nothing",
            "update mt.users set email = 'both-' || $3 || '@example.org' \
                 where id = $3 and $1 <> $2",
        ] {
            sqlx::query(sql)
                .bind(first.tenant.as_uuid())
                .bind(second.tenant.as_uuid())
                .bind(principal)
                .execute(admin)
                .await
                .expect("a superuser can insert a membership");
        }
        true
    }
}
