//! What a router offers, read from the router itself: for tests that must not miss a route.

use salvo::Router;

/// Every method and path, as routes name their parameters, in the order of the paths.
///
/// salvo keeps paths and methods in filters that say what they are by `Debug`.
#[must_use]
pub fn operations(router: &Router) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(router, "", &mut found);
    found.sort_by(|(method, path), (other_method, other)| {
        (path, method).cmp(&(other, other_method))
    });
    found
}

fn collect(router: &Router, above: &str, found: &mut Vec<(String, String)>) {
    let mut path = above.to_owned();
    let mut method = None;
    for filter in &router.filters {
        let said = format!("{filter:?}");
        if let Some(part) = said.strip_prefix("path:") {
            path = format!("{path}/{}", part.trim_matches('/'));
        } else if let Some(name) = said.strip_prefix("method:") {
            method = Some(name.to_owned());
        }
    }
    if router.goal.is_some() {
        // A route without a method would take any, and be seen by the tests that walk this list.
        found.push((method.unwrap_or_else(|| "ANY".to_owned()), path.clone()));
    }
    for below in &router.routers {
        collect(below, &path, found);
    }
}

#[cfg(test)]
mod tests {
    use salvo::handler;

    use super::*;

    #[handler]
    async fn works() {}

    #[test]
    fn finds_what_is_nested_and_what_has_no_method() {
        let router = Router::new().push(Router::with_path("b").get(works)).push(
            Router::with_path("a")
                .post(works)
                .push(Router::with_path("{id}").get(works).delete(works))
                .push(Router::with_path("any/x").goal(works)),
        );
        let found: Vec<_> = operations(&router)
            .into_iter()
            .map(|(method, path)| format!("{method} {path}"))
            .collect();
        assert_eq!(found, ["POST /a", "ANY /a/any/x", "DELETE /a/{id}", "GET /a/{id}", "GET /b"]);
    }
}
