//! Finds traces of a tenant in a response: its canary and its ids, in any encoding.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;
use uuid::Uuid;

use super::fixture::TenantFixture;
use super::request::{TestRequest, TestResponse};

/// Returns the unique part of a canary: 32 hex digits.
pub(super) fn core(canary: &str) -> &str {
    canary.strip_prefix("canary-").unwrap_or(canary)
}

impl TestResponse {
    /// Returns what the response holds of `tenant`, in words. Texts of `request` itself and ids that `reader` has as
    /// well do not count.
    pub(super) fn trace_of(
        &self,
        tenant: &TenantFixture,
        reader: &TenantFixture,
        request: &TestRequest,
    ) -> Option<String> {
        if self.holds_canary(&tenant.canary) {
            return Some("canary".to_owned());
        }
        let said = fold(&request.text());
        let text = fold(&self.text());
        let shared = |id: &str| {
            reader.fill("tenant").as_deref() == Some(id)
                || reader.ids.iter().any(|(_, own)| own == id)
        };
        tenant.slots().find_map(|slot| {
            let id = tenant.fill(slot).filter(|id| is_distinctive(id) && !shared(id))?;
            let id = fold(&id);
            (text.contains(&id) && !said.contains(&id)).then(|| format!("{{{slot}}} `{id}`"))
        })
    }

    /// Returns whether the response holds a canary: literally, in another case, percent-encoded, escaped, in hex or
    /// in base64.
    pub(super) fn holds_canary(&self, canary: &str) -> bool {
        let text = self.text();
        let lower = text.to_lowercase();
        let core = core(canary);
        lower.contains(core)
            || percent_decoded(&lower).to_lowercase().contains(core)
            || lower.contains(&hex::encode(core))
            || in_base64(core).iter().any(|form| text.contains(form.as_str()))
            || in_base64(&core.to_uppercase()).iter().any(|form| text.contains(form.as_str()))
            || unescaped(&self.body).is_some_and(|text| text.to_lowercase().contains(core))
    }

    /// Returns headers and body. Invalid UTF-8 is replaced; canaries and ids are ASCII.
    fn text(&self) -> String {
        let mut text = String::new();
        for (_, value) in &self.headers {
            text.push_str(value);
            text.push('\n');
        }
        text.push_str(&String::from_utf8_lossy(&self.body));
        text
    }
}

/// Returns whether an id is too long to occur by chance.
fn is_distinctive(id: &str) -> bool {
    id.parse::<Uuid>().is_ok() || id.len() >= 12
}

/// Removes case and hyphens, in which forms of a UUID differ.
fn fold(text: &str) -> String {
    text.chars().filter(|c| *c != '-').flat_map(char::to_lowercase).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|two| hex::decode(two).ok());
        match (first, digits) {
            (b'%', Some(digits)) => {
                bytes.extend(digits);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the texts of a JSON document, unescaped.
fn unescaped(body: &[u8]) -> Option<String> {
    fn gather(value: &Value, text: &mut String) {
        match value {
            Value::String(string) => {
                text.push_str(string);
                text.push('\n');
            }
            Value::Array(items) => items.iter().for_each(|item| gather(item, text)),
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                text.push_str(name);
                text.push('\n');
                gather(value, text);
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let value = serde_json::from_slice(body).ok()?;
    let mut text = String::new();
    gather(&value, &mut text);
    Some(text)
}

/// Returns the base64 of `needle` inside a longer text: for each of the three offsets in a group of bytes, in both
/// alphabets.
fn in_base64(needle: &str) -> [String; 6] {
    let at = |offset: usize, url: bool| {
        let mut bytes = vec![0; offset];
        bytes.extend(needle.bytes());
        let encoded =
            if url { URL_SAFE_NO_PAD.encode(&bytes) } else { STANDARD_NO_PAD.encode(&bytes) };
        // Characters that also hold bits of the text before or after are left out.
        let (first, last) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        encoded[first..last].to_owned()
    };
    [at(0, false), at(1, false), at(2, false), at(0, true), at(1, true), at(2, true)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TenantId;

    fn response(body: impl Into<Vec<u8>>) -> TestResponse {
        TestResponse { status: 200, headers: Vec::new(), body: body.into() }
    }

    #[test]
    fn canaries_are_found_in_every_encoding() {
        let canary = TenantFixture::new_canary();
        let spelled =
            |spell: fn(u8) -> String| canary.bytes().map(spell).collect::<Vec<_>>().concat();
        let escaped = spelled(|byte| format!("\\u{byte:04x}"));
        let percent = spelled(|byte| format!("%{byte:02X}"));
        for body in [
            format!("x{canary}y"),
            canary.to_uppercase(),
            format!(r#"{{"a":["{escaped}"]}}"#),
            percent,
            hex::encode(&canary),
            hex::encode_upper(&canary),
            STANDARD_NO_PAD.encode(format!("1{canary}")),
            STANDARD_NO_PAD.encode(format!("12{canary}ü")),
            URL_SAFE_NO_PAD.encode(format!("123{canary}")),
        ] {
            assert!(response(body.clone()).holds_canary(&canary), "{body}");
            assert!(!response(body).holds_canary(&TenantFixture::new_canary()));
        }
        let headers = vec![("location".to_owned(), format!("/{canary}"))];
        assert!(TestResponse { headers, ..response("") }.holds_canary(&canary));
    }

    #[test]
    fn ids_count_unless_the_request_holds_them() {
        let [mut a, b] = [(); 2].map(|()| TenantFixture::new(TenantId::generate()));
        a.canary = TenantFixture::new_canary();
        let request = |path: String| TestRequest {
            method: "GET".to_owned(),
            path,
            headers: Vec::new(),
            body: None,
        };
        let shown = response(a.tenant().to_string());
        let traces = |path: String| shown.trace_of(&a, &b, &request(path));
        assert!(traces("/".to_owned()).is_some_and(|what| what.starts_with("{tenant}")));
        assert_eq!(traces(format!("/{}", a.tenant())), None);
        assert_eq!(shown.trace_of(&a, &a, &request("/".to_owned())), None, "the reader's own id");
        let short = a.clone().id("number", 7);
        assert_eq!(response("7").trace_of(&short, &b, &request("/".to_owned())), None);
    }
}
