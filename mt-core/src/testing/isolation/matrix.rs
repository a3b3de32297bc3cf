//! The access matrix: the status and the tables written for each route and role.

use std::fmt;
use std::path::Path;

use super::fixture::TenantFixture;
use super::harness::Harness;
use super::request::{TestRequest, TestResponse};
use super::route::Route;
use super::substitution::own_request;
use super::write_log::WriteLog;
use crate::testing::committed::{assert_same, kept_or_blessed};

/// The status and the tables written for each route and role. [`Harness::matrix`] returns it.
///
/// Its text is the same in each run, so that it can be committed and reviewed:
///
/// ```text
/// DELETE /shops/{tenant}/tickets/{ticket}
///     owner      204  delete helpdesk.tickets, insert mt.audit_log
///     agent      403
///     outsider   404
///     anonymous  401
/// ```
///
/// `outsider` is the first member of another tenant, `anonymous` has no credential.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "call `assert_file`, or a changed matrix goes unnoticed"]
pub struct Matrix {
    routes: Vec<(String, Vec<String>)>,
}

impl Matrix {
    /// Asserts that the file at `path` holds this text. If `MT_BLESS` is set, writes the file first. A relative path
    /// starts at the package, where tests run.
    ///
    /// # Panics
    ///
    /// With the lines that differ, or when the file cannot be read.
    #[track_caller]
    pub fn assert_file(&self, path: impl AsRef<Path>) {
        let kept = kept_or_blessed(path.as_ref(), &self.to_string());
        assert_same(path.as_ref(), &self.differences(&kept));
    }

    /// Returns the lines that differ from `kept`, grouped by route.
    fn differences(&self, kept: &str) -> Vec<String> {
        let mut before: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in kept.lines().filter(|line| !line.is_empty()) {
            match (line.starts_with(' '), before.last_mut()) {
                (true, Some((_, roles))) => roles.push(line),
                _ => before.push((line, Vec::new())),
            }
        }
        let mut differences = Vec::new();
        let now: Vec<_> = self.routes.iter().map(|(name, roles)| (name.as_str(), roles)).collect();
        for (name, roles) in &now {
            let kept = before.iter().find(|(kept, _)| kept == name);
            let kept = kept.map_or(&[][..], |(_, roles)| &roles[..]);
            if kept.iter().ne(roles.iter()) {
                differences.push(format!("  {name}"));
                let gone = kept.iter().filter(|line| !roles.iter().any(|now| now == *line));
                differences.extend(gone.map(|line| format!("- {line}")));
                let new = roles.iter().filter(|line| !kept.contains(&line.as_str()));
                differences.extend(new.map(|line| format!("+ {line}")));
            }
        }
        let gone = before.iter().filter(|(name, _)| !now.iter().any(|(now, _)| now == name));
        differences.extend(gone.map(|(name, _)| format!("- {name}")));
        if differences.is_empty() && self.to_string() != kept {
            differences.push("the order of lines".to_owned());
        }
        differences
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, roles)) in self.routes.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            writeln!(f, "{name}")?;
            roles.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        Ok(())
    }
}

impl<S, C> Harness<'_, S, C>
where
    S: AsyncFn(String) -> TenantFixture,
    C: AsyncFn(TestRequest) -> TestResponse,
{
    /// Returns the status and the tables written for each route and role: a member of each role, API keys
    /// ([`with_api_keys`](Self::with_api_keys)), a member of another tenant and an anonymous caller, each in a new tenant. [Exempt](Route::exempt) routes are left out.
    ///
    /// # Panics
    ///
    /// When a query of the harness fails.
    pub async fn matrix(&self, routes: impl IntoIterator<Item = Route>) -> Matrix {
        let write_log = WriteLog::new(self.db).await;
        let stranger = self.new_tenant().await;
        let mut matrix = Matrix { routes: Vec::new() };
        let roles: Vec<&'static str> = stranger.callers().map(|(role, _)| *role).collect();
        let callers = [&roles[..], &["outsider", "anonymous"]].concat();
        let width = callers.iter().map(|role| role.len()).max().unwrap_or_default();
        for route in routes.into_iter().filter(|route| !route.is_exempt) {
            let mut lines = Vec::new();
            for role in &callers {
                let tenant = self.new_tenant().await;
                let person = match *role {
                    "outsider" => stranger.members.first(),
                    role => tenant.callers().find(|(of, _)| *of == role),
                };
                let request =
                    own_request(&route, &tenant, person.map(|(_, bearer)| bearer.as_str()));
                write_log.clear().await;
                let status = (self.send)(request).await.status;
                let tables: Vec<String> = write_log
                    .all()
                    .await
                    .into_iter()
                    .filter(|(_, table)| !self.normalizer.ignores(table))
                    .map(|(command, table)| format!("{command} {table}"))
                    .collect();
                let line = format!("    {role:<width$}  {status}  {}", tables.join(", "));
                lines.push(line.trim_end().to_owned());
            }
            matrix.routes.push((route.name(), lines));
        }
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(lines: &[&str]) -> Matrix {
        let lines = lines.iter().map(|line| format!("    {line}")).collect();
        Matrix { routes: vec![("GET /a".to_owned(), vec![]), ("DELETE /b".to_owned(), lines)] }
    }

    #[test]
    fn a_difference_is_shown_below_its_route() {
        let before = matrix(&["owner  204  delete x.t", "agent  403"]);
        let kept = before.to_string();
        assert_eq!(before.differences(&kept), Vec::<String>::new());
        let now = matrix(&["owner  204  delete x.t", "agent  204  delete x.t"]);
        assert_eq!(
            now.differences(&kept),
            ["  DELETE /b", "-     agent  403", "+     agent  204  delete x.t"]
        );
        let without = Matrix { routes: before.routes[..1].to_vec() };
        assert_eq!(without.differences(&kept), ["- DELETE /b"]);
        assert_eq!(before.differences(&without.to_string())[0], "  DELETE /b");
        let turned = Matrix { routes: before.routes.iter().rev().cloned().collect() };
        assert_eq!(turned.differences(&kept), ["the order of lines"]);
    }
}
