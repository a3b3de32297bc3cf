//! From a method and a path to an endpoint.

use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};
use mt_core::access::AccessModel;
use mt_tower::problem::Problem;
use mt_tower::resolve_tenant::{PathParams, is_normal_path};

use crate::operation::Operation;

/// The method and the path of an endpoint, with parameters in braces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
}

/// The endpoints, by path and method. There are a few dozen, so a request looks at each.
pub(crate) struct Router<M: AccessModel>(Vec<Operation<M>>);

impl<M: AccessModel> Router<M> {
    /// Adds an endpoint.
    ///
    /// # Panics
    ///
    /// If it is there already.
    pub(crate) fn add(&mut self, operation: Operation<M>) {
        let (method, path) = (&operation.method, &operation.path);
        let is_there = self.0.iter().any(|other| other.method == method && other.path == *path);
        assert!(!is_there, "`{method} {path}` is mounted twice");
        self.0.push(operation);
    }

    pub(crate) fn routes(&self) -> Vec<Route> {
        let route = |operation: &Operation<M>| Route {
            method: operation.method.clone(),
            path: operation.path.clone(),
        };
        self.0.iter().map(route).collect()
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = &Operation<M>> {
        self.0.iter()
    }

    /// Returns the endpoint and the parameters of its path.
    ///
    /// # Errors
    ///
    /// 404 for an unknown path and for one that is not in its one spelling, 405 for a method that the path does not have.
    pub(crate) fn find(
        &self,
        method: &Method,
        path: &str,
    ) -> Result<(&Operation<M>, PathParams), Problem> {
        if !is_normal_path(path) || path.contains('%') {
            return Err(Problem::NOT_FOUND);
        }
        // RFC 9110 §9.3.2: HEAD is GET without a body, which the HTTP library leaves out.
        let wanted = if *method == Method::HEAD { &Method::GET } else { method };
        let mut allowed = Vec::new();
        for operation in &self.0 {
            let Some(params) = params(&operation.path, path) else { continue };
            if operation.method == wanted {
                return Ok((operation, params.into_iter().collect()));
            }
            allowed.push(operation.method.as_str());
        }
        if allowed.is_empty() {
            return Err(Problem::NOT_FOUND);
        }
        let allow = HeaderValue::try_from(allowed.join(", ")).expect("names of methods");
        let title = "Method not allowed";
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", title);
        Err(problem.with_header(ALLOW, allow))
    }
}

impl<M: AccessModel> Default for Router<M> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Returns the parameters of `path` if it matches `template`.
fn params<'p>(template: &'p str, path: &'p str) -> Option<Vec<(&'p str, &'p str)>> {
    let mut params = Vec::new();
    let (mut names, mut segments) = (template.split('/'), path.split('/'));
    loop {
        match (names.next(), segments.next()) {
            (None, None) => return Some(params),
            (Some(name), Some(segment)) => {
                match name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    Some(name) if !segment.is_empty() => params.push((name, segment)),
                    None if name == segment => {}
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::params;

    #[test]
    fn paths_match_their_template_as_a_whole() {
        let template = "/orgs/{org_id}/members/{user_id}";
        let found = params(template, "/orgs/1/members/2").unwrap();
        assert_eq!(found, [("org_id", "1"), ("user_id", "2")]);
        for other in
            ["/orgs/1/members", "/orgs/1/members/2/3", "/orgs/1/invites/2", "/orgs//members/2", ""]
        {
            assert_eq!(params(template, other), None, "{other}");
        }
        assert_eq!(params("/me", "/me"), Some(vec![]));
        assert_eq!(params("/me", "/me/"), None);
    }
}
