//! Normalizes responses for comparison.

use std::collections::BTreeMap;

use serde_json::Value;

use super::request::TestResponse;

/// Removes headers, JSON members and tables by name, and replaces ids by the name of their slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Normalizer(Vec<String>);

impl Normalizer {
    pub(super) fn add(&mut self, name: String) {
        self.0.push(name);
    }

    pub(super) fn ignores(&self, name: &str) -> bool {
        name == "date" || self.0.iter().any(|ignored| ignored == name)
    }

    /// Returns status, headers and body as one normalized text. The order of JSON members is kept.
    pub(super) fn text(
        &self,
        response: &TestResponse,
        filled: &[(&'static str, String)],
    ) -> String {
        let headers = response.headers.iter().filter(|(name, _)| !self.ignores(name));
        let mut headers: Vec<String> =
            headers.map(|(name, value)| format!("{name}: {value}")).collect();
        headers.sort();
        let body = String::from_utf8_lossy(&response.body);
        let body = self.0.iter().fold(body.into_owned(), |body, name| without_member(body, name));
        let text = format!("{} [{}] {body}", response.status, headers.join(", "));
        filled
            .iter()
            .filter(|(_, id)| !id.is_empty())
            .fold(text, |text, (slot, id)| text.replace(id, &format!("{{{slot}}}")))
    }

    /// Returns the integers of a JSON body by their path.
    pub(super) fn numbers(&self, response: &TestResponse) -> BTreeMap<String, i64> {
        let mut numbers = BTreeMap::new();
        if let Ok(body) = serde_json::from_slice(&response.body) {
            self.gather(&body, String::new(), &mut numbers);
        }
        numbers
    }

    fn gather(&self, value: &Value, place: String, numbers: &mut BTreeMap<String, i64>) {
        match value {
            Value::Number(number) => numbers.extend(number.as_i64().map(|number| (place, number))),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .for_each(|(n, item)| self.gather(item, format!("{place}[{n}]"), numbers)),
            Value::Object(members) => members
                .iter()
                .filter(|(name, _)| !self.ignores(name))
                .for_each(|(name, value)| self.gather(value, format!("{place}.{name}"), numbers)),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
}

/// Replaces the value of each member called `name` by `…`.
fn without_member(body: String, name: &str) -> String {
    let key = format!("\"{name}\":");
    if !body.contains(&key) {
        return body;
    }
    let mut parts = body.split(&key);
    let mut shortened = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut values =
            serde_json::Deserializer::from_str(part).into_iter::<serde::de::IgnoredAny>();
        let end = match values.next() {
            Some(Ok(_)) => values.byte_offset(),
            _ => 0,
        };
        shortened += &key;
        shortened += "…";
        shortened += &part[end..];
    }
    shortened
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_names_are_removed_everywhere() {
        let mut normalizer = Normalizer::default();
        normalizer.add("id".to_owned());
        normalizer.add("x-id".to_owned());
        let response = |id: u32, rest: &str| TestResponse {
            status: 200,
            headers: vec![("x-id".to_owned(), id.to_string()), ("a".to_owned(), "b".to_owned())],
            body: format!(r#"{{"items":[{{"id":{id}}},{{"id": "{id}","n":1}}],"x":"{rest}"}}"#)
                .into(),
        };
        let text = |id, rest| normalizer.text(&response(id, rest), &[("slot", "zzz".to_owned())]);
        assert_eq!(text(1, "zzz"), text(2, "zzz"));
        assert_ne!(text(1, "zzz"), text(2, "other"));
        assert!(text(1, "zzz").contains("{slot}"), "{}", text(1, "zzz"));
        assert_eq!(
            normalizer.numbers(&response(1, "")),
            BTreeMap::from([(".items[1].n".to_owned(), 1)])
        );
    }
}
