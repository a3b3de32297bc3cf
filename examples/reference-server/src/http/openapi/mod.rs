//! The OpenAPI document, made from the router and from the types of handlers.
//!
//! A handler has `#[endpoint(…)]`, and its arguments and its answer describe the rest: an `InOrg<P>`
//! adds the security scheme and 401, 402, 403, 404, 429, a `Body<T>` the schema of `T` and 400, 413, 415,
//! 422. The handler names its other answers: `responses(LastOwner)`, the types of
//! [`problems`](super::problems).
//!
//! | module | holds |
//! | --- | --- |
//! | [`describe`] | functions with which arguments and answers describe themselves |
//! | `problems` | problems as responses and as schemas |
//! | `ready_made` | the endpoints of `mt-http` |
//! | `naming` | names of schemas and operations |
//! | `examples` | an example of each body, from `examples.json` |

pub mod describe;
mod examples;
mod naming;
mod problems;
mod ready_made;

use salvo::Router;
use salvo_oapi::security::{Http, HttpAuthScheme};
use salvo_oapi::{Info, License, OpenApi, SecurityScheme};
use serde_json::Value;

/// The security scheme of users.
pub const BEARER: &str = "bearer";
/// The security scheme of operators.
pub const OPERATOR: &str = "operator";

/// Returns the document of the operations of `router` and of the ready-made `endpoints`, which bring a document of their
/// own.
#[must_use]
pub fn document(title: &str, router: &Router, endpoints: &Value) -> OpenApi {
    naming::install();
    let info = Info::new(title, env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(License::new("MIT OR Apache-2.0"));
    let mut document = OpenApi::with_info(info)
        .add_security_scheme(BEARER, bearer("the `access_token` of `POST /auth/redeem`", "JWT"))
        .add_security_scheme(OPERATOR, bearer("`ADMIN_TOKEN`", "opaque"))
        .merge_router(router);
    let OpenApi { paths, components, .. } = &mut document;
    ready_made::add(endpoints, paths, components);
    for item in paths.values_mut() {
        for operation in item.operations.values_mut() {
            problems::settle(operation, components);
            examples::attach(operation);
        }
    }
    document
}

const DESCRIPTION: &str = "Teams manage projects and tasks.\n\n\
    Refusals are problem documents (RFC 9457); `GET /problems/{code}` explains each. An id that the caller may \
    not know of is answered like an id that does not exist. Lists are newest first and have pages. A create may \
    be repeated with an `Idempotency-Key`; with `If-Match`, projects and tasks are changed only if they have not \
    changed since they were read.";

fn bearer(what: &str, format: &str) -> SecurityScheme {
    SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer).bearer_format(format).description(what))
}
