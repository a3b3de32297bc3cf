//! The OpenAPI document, made from the router and from what handlers take and give.
//!
//! A handler says `#[endpoint(…)]`, and its arguments and its answer say the rest: an `Authorized<P>`
//! brings the security scheme and 401, 402, 403, 404, 429 with it, a `Body<T>` the schema of `T` and 400,
//! 413, 415, 422. What only this handler answers it names: `responses(LastOwner)`, the types of
//! [`problems`](super::problems).
//!
//! | module | holds |
//! | --- | --- |
//! | [`describe`] | what arguments and answers say with |
//! | `problems` | problems as responses and as schemas |
//! | `naming` | names of schemas and operations |
//! | `examples` | an example of each body, from `examples.json` |

pub mod describe;
mod examples;
mod naming;
mod problems;

use salvo::Router;
use salvo_oapi::security::{Http, HttpAuthScheme};
use salvo_oapi::{Info, License, OpenApi, SecurityScheme};

/// The security scheme of users.
pub const BEARER: &str = "bearer";
/// The security scheme of operators.
pub const OPERATOR: &str = "operator";

/// The document of what `router` offers.
#[must_use]
pub fn document(title: &str, router: &Router) -> OpenApi {
    naming::install();
    let info = Info::new(title, env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(License::new("MIT OR Apache-2.0"));
    let mut document = OpenApi::with_info(info)
        .add_security_scheme(BEARER, bearer("the `access_token` of `POST /auth/redeem`", "JWT"))
        .add_security_scheme(OPERATOR, bearer("`ADMIN_TOKEN`", "opaque"))
        .merge_router(router);
    let OpenApi { paths, components, .. } = &mut document;
    for item in paths.values_mut() {
        for operation in item.operations.values_mut() {
            problems::settle(operation, components);
            examples::attach(operation);
        }
    }
    document
}

const DESCRIPTION: &str = "Teams manage projects and tasks.\n\n\
    Refusals are problem documents (RFC 9457); `GET /problems/{code}` explains each. Ids of what the caller \
    may not know of are answered like ids of nothing. Lists are newest first and have pages. Creates may be \
    sent again under an `Idempotency-Key`; projects and tasks are changed under `If-Match` if the client wants \
    to be told of changes in between.";

fn bearer(what: &str, format: &str) -> SecurityScheme {
    SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer).bearer_format(format).description(what))
}
