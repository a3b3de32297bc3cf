//! Problems as responses.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The problems that endpoints answer with: code, status and title.
const PROBLEMS: &[(&str, u16, &str)] = &[
    ("invalid-request", 400, "The request cannot be read"),
    ("invalid-signature", 400, "The signature does not match"),
    ("invite-invalid", 400, "The invite cannot be used"),
    ("magic-link-expired", 400, "The sign-in link has expired"),
    ("magic-link-invalid", 400, "The sign-in link is not valid"),
    ("magic-link-used", 400, "The sign-in link was already used"),
    ("unauthenticated", 401, "Authentication required"),
    ("billing-required", 402, "Payment required"),
    ("cap-reached", 402, "The plan allows no more of these"),
    ("forbidden", 403, "Not allowed"),
    ("tenant-suspended", 403, "Suspended"),
    ("not-found", 404, "Not found"),
    ("already-member", 409, "Already a member"),
    ("already-subscribed", 409, "There is a subscription already"),
    ("conflict", 409, "Not possible in the present state"),
    ("idempotency-mismatch", 409, "The idempotency key was used for another request"),
    ("last-owner", 409, "A tenant needs an owner"),
    ("too-large", 413, "The body is too large"),
    ("unsupported-media-type", 415, "Not a supported content type"),
    ("invalid-fields", 422, "Some fields are not valid"),
    ("rate-limited", 429, "Too many requests"),
    ("billing-misconfigured", 500, "Billing is not set up as it should be"),
    ("internal", 500, "Internal error"),
    ("unavailable", 503, "Temporarily unavailable"),
];

/// Adds one response for each status of the problems with these codes.
pub(super) fn add(responses: &mut Map<String, Value>, codes: &[&'static str]) {
    let mut by_status: BTreeMap<u16, Vec<(&str, &str)>> = BTreeMap::new();
    for (code, status, title) in PROBLEMS {
        if codes.contains(code) {
            by_status.entry(*status).or_default().push((code, title));
        }
    }
    for (status, problems) in by_status {
        let titles: Vec<_> = problems.iter().map(|(_, title)| *title).collect();
        let codes: Vec<_> = problems.iter().map(|(code, _)| *code).collect();
        let response = json!({
            "description": titles.join(", or: "),
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
            },
            "x-problem-codes": codes,
        });
        responses.insert(status.to_string(), response);
    }
}

/// The schema of a problem (RFC 9457).
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "A problem (RFC 9457).",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
            "request_id": {"type": "string"},
        },
        "required": ["type", "title", "status", "code"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_of_one_status_are_one_response() {
        let mut responses = Map::new();
        add(&mut responses, &["conflict", "last-owner", "internal"]);
        assert_eq!(responses.keys().collect::<Vec<_>>(), ["409", "500"]);
        assert_eq!(responses["409"]["x-problem-codes"], json!(["conflict", "last-owner"]));
    }
}
