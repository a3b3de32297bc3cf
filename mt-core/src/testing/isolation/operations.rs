//! Checks that the routes under test are those of the application.

use serde_json::Value;

use super::findings::Findings;
use super::route::Route;

const METHODS: [&str; 5] = ["DELETE", "GET", "PATCH", "POST", "PUT"];

/// Returns the operations of an OpenAPI document, each a method and a path, for
/// [`Harness::serving`](super::Harness::serving).
#[must_use]
pub fn operations(document: &Value) -> Vec<(String, String)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in item.as_object().into_iter().flatten().map(|(key, _)| key.to_uppercase()) {
            if METHODS.contains(&method.as_str()) {
                operations.push((method, path.clone()));
            }
        }
    }
    operations
}

/// Returns method and path without the names of parameters, because the application and the check may name them
/// differently.
fn shape(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let segments = path.split('/').map(|segment| {
        let is_parameter = segment.contains('{') || segment.starts_with([':', '*']);
        if is_parameter { "{}" } else { segment }
    });
    format!("{method} {}", segments.collect::<Vec<_>>().join("/"))
}

/// Reports routes that only the application has, and those that only the check has.
pub(super) fn compare(operations: &[(String, String)], routes: &[Route], findings: &mut Findings) {
    for (method, path) in operations {
        let operation = shape(method, path);
        if !routes.iter().any(|route| shape(&route.method, &route.path) == operation) {
            findings.add(format!(
                "{method} {path}: the application has this route, the check does not name it"
            ));
        }
    }
    for route in routes {
        let operation = shape(&route.method, &route.path);
        if !operations.iter().any(|(method, path)| shape(method, path) == operation) {
            findings.add(format!(
                "{} {}: the check names this route, the application does not have it",
                route.method, route.path
            ));
        }
    }
}

/// Returns the name that the application gives to the tenant's parameter in `route`.
pub(super) fn tenant_parameter(operations: &[(String, String)], route: &Route) -> Option<String> {
    let wanted = shape(&route.method, &route.path);
    let (_, path) = operations.iter().find(|(method, path)| shape(method, path) == wanted)?;
    let place = route.path.split('/').position(|segment| segment == "{tenant}")?;
    let name = path.split('/').nth(place)?.trim_matches(|c| "{}:*".contains(c));
    Some(name.split(':').next().unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn served() -> Vec<(String, String)> {
        operations(&json!({"paths": {
            "/orgs/{org_id}": {"get": {}, "parameters": [], "delete": {}},
            "/orgs/{org_id}/tasks/{task_id}": {"patch": {}},
        }}))
    }

    fn found(routes: &[Route]) -> Vec<String> {
        let mut findings = Findings::default();
        compare(&served(), routes, &mut findings);
        findings.all().to_vec()
    }

    #[test]
    fn routes_are_compared_without_names_of_parameters() {
        let all = [
            Route::new("GET", "/orgs/{tenant}"),
            Route::new("DELETE", "/orgs/{tenant}?force=true"),
            Route::new("PATCH", "/orgs/{tenant}/tasks/{task}"),
        ];
        assert!(found(&all).is_empty(), "{:?}", found(&all));
        assert!(found(&all[..2])[0].contains("PATCH /orgs/{org_id}/tasks/{task_id}"));
        let misspelled = [&all[..], &[Route::new("GET", "/orgs/{tenant}/task/{task}")]].concat();
        assert!(found(&misspelled)[0].contains("the application does not have it"));
        assert_eq!(tenant_parameter(&served(), &all[2]).as_deref(), Some("org_id"));
    }
}
