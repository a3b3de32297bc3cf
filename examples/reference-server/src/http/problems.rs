//! Every kind of problem that the server answers with: the catalogue behind `/problems/{code}`.
//!
//! Each kind is a static to answer with, and a type for the description of a handler:
//! `responses(LastOwner)`.

use std::time::Duration;

use mt_tower::problem::Problem;
use salvo::http::StatusCode;
use salvo_oapi::{Components, Responses, ToResponses};

use super::openapi::describe::noted;

/// How long a client is asked to wait while something that the server depends on is away.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A kind of problem: the parts that all its occurrences have in common.
#[derive(Debug)]
pub struct Kind {
    /// The last segment of the problem's `type`, stable for ever.
    pub code: &'static str,
    /// The name of its schema.
    pub name: &'static str,
    /// The status of the answer.
    pub status: StatusCode,
    /// A few words, the same for every occurrence (RFC 9457 §3.1.3).
    pub title: &'static str,
    /// What happened and what the client can do about it.
    pub explanation: &'static str,
}

impl Kind {
    /// Creates an occurrence, with `Retry-After` if the status is 503.
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(self.status, self.code, self.title);
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => problem.with_retry_after(RETRY_AFTER),
            _ => problem,
        }
    }

    /// Returns the `type` of its occurrences.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("/problems/{}", self.code)
    }

    /// Returns the kind whose code is `code`.
    #[must_use]
    pub fn find(code: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|kind| kind.code == code)
    }
}

macro_rules! catalogue {
    ($($name:ident $type:ident = $code:literal, $status:ident, $title:literal, $explanation:literal;)*) => {
        $(
            #[doc = concat!("`", $code, "`: ", $explanation)]
            pub static $name: Kind = Kind {
                code: $code,
                name: stringify!($type),
                status: StatusCode::$status,
                title: $title,
                explanation: $explanation,
            };

            #[doc = concat!("Describes a handler that may answer `", $code, "`.")]
            #[derive(Clone, Copy, Debug)]
            pub struct $type;

            impl ToResponses for $type {
                fn to_responses(_: &mut Components) -> Responses {
                    noted(&[&$name])
                }
            }
        )*

        /// Every kind, by status and then by code.
        pub static ALL: &[&Kind] = &[$(&$name),*];
    };
}

catalogue! {
    INVALID_REQUEST InvalidRequest = "invalid-request", BAD_REQUEST, "The request cannot be read",
        "The body is empty, not UTF-8 or not JSON, or a query parameter has a value that it does not take. `detail` and `errors` say where. Correct the request before sending it again.";
    INVALID_SIGNATURE InvalidSignature = "invalid-signature", BAD_REQUEST, "The signature does not match",
        "The signature header of a webhook is missing, malformed, too old, or was made with another secret or over other bytes. Check the endpoint's secret and the sender's clock.";
    INVITE_INVALID InviteInvalid = "invite-invalid", BAD_REQUEST, "The invite cannot be used",
        "The invite is unknown, expired, revoked or already used, or whoever sent it may no longer give that role. Ask for a new one.";
    MAGIC_LINK_EXPIRED MagicLinkExpired = "magic-link-expired", BAD_REQUEST, "The sign-in link has expired",
        "Sign-in links live for a few minutes. Ask for a new one.";
    MAGIC_LINK_INVALID MagicLinkInvalid = "magic-link-invalid", BAD_REQUEST, "The sign-in link is not valid",
        "The token is unknown, or another link of the same address has been used since. Ask for a new one.";
    MAGIC_LINK_USED MagicLinkUsed = "magic-link-used", BAD_REQUEST, "The sign-in link was already used",
        "A sign-in link works once. Ask for a new one.";
    UNAUTHENTICATED Unauthenticated = "unauthenticated", UNAUTHORIZED, "Sign in first",
        "The request has no bearer token, or one that is malformed, expired or ended by a logout, or an API key that is mistyped, revoked or expired. `WWW-Authenticate` says whether there was one. Sign in and send the new token, or use another key.";
    BILLING_REQUIRED BillingRequired = "billing-required", PAYMENT_REQUIRED, "The subscription does not allow changes",
        "The org's payment has lapsed. Reading, leaving, shrinking and paying still work; an owner can settle the payment under billing.";
    CAP_REACHED CapReached = "cap-reached", PAYMENT_REQUIRED, "The plan allows no more of these",
        "The org has as many of `resource` as its plan allows, which is `cap`. Remove some, or let an owner upgrade the plan.";
    FORBIDDEN Forbidden = "forbidden", FORBIDDEN, "Not allowed",
        "The caller's role in the org, or what their API key is limited to, does not include this action; or it would give a user more than the caller may do; or the row belongs to another user. `permissions` of `GET /orgs/{org_id}` lists what the caller may do.";
    ORG_SUSPENDED OrgSuspended = "org-suspended", FORBIDDEN, "The org is suspended",
        "An operator has suspended the org: for everything, or for whatever changes it. In the second case it can still be read, and exported by an owner. Contact support.";
    NOT_FOUND NotFound = "not-found", NOT_FOUND, "Not found",
        "There is nothing at this address, or nothing that the caller may know of. Paths have one spelling: no trailing slash, no empty segment, no percent-encoding.";
    METHOD_NOT_ALLOWED MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed",
        "The path exists but not with this method. `Allow` lists the methods it has.";
    ALREADY_MEMBER AlreadyMember = "already-member", CONFLICT, "Already a member",
        "The caller is a member of the org already and keeps the role they have.";
    ALREADY_SUBSCRIBED AlreadySubscribed = "already-subscribed", CONFLICT, "The org has a subscription already",
        "A second subscription would be paid beside the first. Change, pay or end the one that the org has: `portal` is the path to POST to for a page on which that is done.";
    CONFLICT Conflict = "conflict", CONFLICT, "Not possible in the present state",
        "The target is in a state that does not allow this action. Read it again before deciding what to do.";
    IDEMPOTENCY_MISMATCH IdempotencyMismatch = "idempotency-mismatch", CONFLICT, "The idempotency key was used for another request",
        "The same `Idempotency-Key` was sent before with a different body. Use a fresh key for a new request.";
    LAST_OWNER LastOwner = "last-owner", CONFLICT, "An org needs an owner",
        "The change would leave the org without an owner. Make somebody else an owner first.";
    PRECONDITION_FAILED PreconditionFailed = "precondition-failed", PRECONDITION_FAILED, "It has changed since it was read",
        "The entity tag in `If-Match` is not the present one. Read the resource again and repeat the change on what it is now.";
    TOO_LARGE TooLarge = "too-large", PAYLOAD_TOO_LARGE, "The body is too large",
        "The body is longer than this address takes: 64 KiB, or 2 MiB for webhooks.";
    UNSUPPORTED_MEDIA_TYPE UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "Not a supported content type",
        "Bodies are `application/json` in UTF-8, without a `Content-Encoding`.";
    INVALID_FIELDS InvalidFields = "invalid-fields", UNPROCESSABLE_ENTITY, "Some fields are not valid",
        "The body is JSON, but not what this address takes: a member is missing, unknown, repeated, or has a value that it does not take. `errors` names each by JSON Pointer (RFC 6901).";
    RATE_LIMITED RateLimited = "rate-limited", TOO_MANY_REQUESTS, "Too many requests",
        "The quota of this address, caller or org is used up. Wait as many seconds as `Retry-After` says.";
    HEADERS_TOO_LARGE HeadersTooLarge = "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too large",
        "A request has at most 64 header fields, and at most 16 KiB from its request line to the empty line.";
    BILLING_MISCONFIGURED BillingMisconfigured = "billing-misconfigured", INTERNAL_SERVER_ERROR, "Billing is not set up as it should be",
        "The server has no key for Stripe, or Stripe refused what the server asked of it, and will refuse it as long as the settings are what they are: the key, the price, the customer portal. Sending the request again does not help. Quote `request_id` when you report it; the cause is in the log under that id.";
    INTERNAL Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong here",
        "The server failed. Quote `request_id` when you report it; the cause is in the log under that id.";
    UNAVAILABLE Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Not available at the moment",
        "Something that the server depends on is away or overloaded. Try again after as many seconds as `Retry-After` says.";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes that clients were promised.
    const PROMISED: &[(u16, &[&str])] = &[
        (
            400,
            &[
                "invalid-request",
                "invalid-signature",
                "invite-invalid",
                "magic-link-expired",
                "magic-link-invalid",
                "magic-link-used",
            ],
        ),
        (401, &["unauthenticated"]),
        (402, &["billing-required", "cap-reached"]),
        (403, &["forbidden", "org-suspended"]),
        (404, &["not-found"]),
        (405, &["method-not-allowed"]),
        (
            409,
            &[
                "already-member",
                "already-subscribed",
                "conflict",
                "idempotency-mismatch",
                "last-owner",
            ],
        ),
        (412, &["precondition-failed"]),
        (413, &["too-large"]),
        (415, &["unsupported-media-type"]),
        (422, &["invalid-fields"]),
        (429, &["rate-limited"]),
        (431, &["headers-too-large"]),
        (500, &["billing-misconfigured", "internal"]),
        (503, &["unavailable"]),
    ];

    #[test]
    fn the_catalogue_is_what_was_promised() {
        let promised: Vec<_> = PROMISED
            .iter()
            .flat_map(|(status, codes)| codes.iter().map(|code| (*status, *code)))
            .collect();
        let mut held: Vec<_> = ALL.iter().map(|kind| (kind.status.as_u16(), kind.code)).collect();
        held.sort_unstable();
        assert_eq!(held, promised);
    }

    #[test]
    fn a_kind_is_found_by_its_code_alone() {
        assert_eq!(Kind::find("last-owner").map(|kind| kind.title), Some("An org needs an owner"));
        assert!(Kind::find("Last-Owner").is_none());
    }
}
