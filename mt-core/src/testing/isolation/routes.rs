//! The check from outside, through an application's routes.

use serde_json::Value;
use uuid::Uuid;

use super::call::{Answer, Call, Party};
use super::findings::Findings;
use super::fingerprint::fingerprint;
use super::mix::Mix;
use crate::testing::TestDatabase;

/// An application's routes, to be checked for leaks. See the [module docs](super).
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Routes {
    all: Vec<Route>,
    ignored_headers: Vec<&'static str>,
    ignored_members: Vec<&'static str>,
}

/// One of an application's routes.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) template: String,
    pub(super) body: Option<&'static str>,
}

impl Routes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A route: `template` and `body` hold `{tenant}` and the slots of [`Party::id`]. A route that
    /// changes things has a body that it would take.
    pub fn route(
        mut self,
        method: &'static str,
        template: impl Into<String>,
        body: Option<&'static str>,
    ) -> Self {
        self.all.push(Route { method, template: template.into(), body });
        self
    }

    /// A header that differs from one answer to the next, such as `x-request-id`. `date` is known.
    pub fn ignoring_header(mut self, name: &'static str) -> Self {
        self.ignored_headers.push(name);
        self
    }

    /// A member of JSON answers that differs from one to the next.
    pub fn ignoring_member(mut self, name: &'static str) -> Self {
        self.ignored_members.push(name);
        self
    }

    /// Has everybody in `b` call every route with every mix of ids, and looks for traces of `a`.
    ///
    /// What would only touch `b` itself is called where it reads, and left out where it writes.
    ///
    /// # Panics
    ///
    /// When the database cannot be asked what `a` has stored.
    pub async fn check(
        &self,
        db: &TestDatabase,
        a: &Party,
        b: &Party,
        send: impl AsyncFn(Call) -> Answer,
    ) -> Findings {
        let mut findings = Findings::default();
        self.check_that_canaries_sing(a, &mut findings, &send).await;
        self.check_that_canaries_sing(b, &mut findings, &send).await;
        let mut stored = fingerprint(db, a.tenant).await;
        for route in &self.all {
            for mix in Mix::all(&route.slots(a, b)) {
                if mix.is_own() && route.writes() {
                    continue;
                }
                for (name, bearer) in &b.people {
                    let (call, filled) = mix.call(route, b, a, bearer);
                    let what = format!("{name} of B: {} {}", route.method, call.path);
                    let answer = send(call).await;
                    if answer.holds(&a.canary) {
                        findings.add(format!("{what}: the answer holds A's canary: {answer:?}"));
                    }
                    if mix.is_foreign() {
                        let (call, made_up) = mix.without_foreign().call(route, b, a, bearer);
                        let absent = self.bytes(&send(call).await, &made_up);
                        let hidden = self.bytes(&answer, &filled);
                        if hidden != absent {
                            findings.add(format!(
                                "{what}: an id of A's is told from one that does not exist:\n    \
                                 {hidden}\n    {absent}"
                            ));
                        }
                    }
                    let now = fingerprint(db, a.tenant).await;
                    if now != stored {
                        findings.add(format!("{what}: what A has stored was changed"));
                        stored = now;
                    }
                }
            }
        }
        findings
    }

    /// The control: people see their own canary, or else not seeing another's means nothing.
    async fn check_that_canaries_sing(
        &self,
        party: &Party,
        findings: &mut Findings,
        send: &impl AsyncFn(Call) -> Answer,
    ) {
        for route in self.all.iter().filter(|route| !route.writes()) {
            let [own, ..] = &Mix::all(&route.slots(party, party))[..] else { continue };
            for (_, bearer) in &party.people {
                let (call, _) = own.call(route, party, party, bearer);
                if send(call).await.holds(&party.canary) {
                    return;
                }
            }
        }
        findings.add(format!(
            "tenant {} is not shown its own canary by any route, so that nothing follows from \
             another's not being shown it",
            party.tenant
        ));
    }

    /// An answer as it compares to another of the same call: without what always differs, and with
    /// slots in place of what filled them.
    fn bytes(&self, answer: &Answer, filled: &[(&'static str, Uuid)]) -> String {
        let mut headers: Vec<String> = answer
            .headers
            .iter()
            .filter(|(name, _)| {
                name != "date" && !self.ignored_headers.iter().any(|ignored| ignored == name)
            })
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        headers.sort();
        let mut body = String::from_utf8_lossy(&answer.body).into_owned();
        if let Ok(Value::Object(mut members)) = serde_json::from_str(&body) {
            for name in &self.ignored_members {
                if let Some(value) = members.remove(*name).as_ref().and_then(Value::as_str) {
                    // In place, so that the order of members counts.
                    body = body.replace(value, "…");
                }
            }
        }
        let mut text = format!("{} [{}] {body}", answer.status, headers.join(", "));
        for (slot, id) in filled {
            text = text.replace(&id.to_string(), &format!("{{{slot}}}"));
        }
        text
    }
}

impl Route {
    /// Whether calling it may change something (RFC 9110 §9.2.1).
    fn writes(&self) -> bool {
        !matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
    }

    /// The slots of path and body that either party can fill.
    fn slots(&self, a: &Party, b: &Party) -> Vec<&'static str> {
        let names = a.ids.iter().chain(&b.ids).map(|(name, _)| *name);
        let mut slots: Vec<&'static str> = names.chain(["tenant"]).collect();
        slots.sort_unstable();
        slots.dedup();
        slots.retain(|slot| {
            let place = format!("{{{slot}}}");
            self.template.contains(&place) || self.body.is_some_and(|body| body.contains(&place))
        });
        slots
    }
}

impl Answer {
    fn holds(&self, canary: &str) -> bool {
        let canary = canary.as_bytes();
        self.body.windows(canary.len()).any(|part| part == canary)
            || self
                .headers
                .iter()
                .any(|(_, value)| value.as_bytes().windows(canary.len()).any(|part| part == canary))
    }
}
