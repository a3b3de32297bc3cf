//! `/openapi.json` and `/docs`: what the API offers, for programs and for people.
//!
//! The viewer is Swagger UI, with its assets out of this program: it works on a machine without a network,
//! and its page may load from here alone.

use std::sync::LazyLock;

use bytes::Bytes;
use salvo::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use salvo::http::{Mime, ResBody, mime};
use salvo::prelude::*;
use salvo_oapi::swagger_ui::{Config, serve};
use salvo_oapi::{Components, Content, EndpointOutRegister, Operation, endpoint};
use serde_json::Value;

use crate::http::openapi;
use crate::http::openapi::describe::{gives, text};
use crate::http::path::PathText;
use crate::http::problem::ApiError;

/// What the API is called.
const TITLE: &str = "mt reference server";

/// The routes of this module. Open to all.
pub(super) fn routes() -> Router {
    Router::new()
        .push(Router::with_path("openapi.json").get(document))
        .push(Router::with_path("docs").get(page).push(Router::with_path("{asset}").get(part)))
}

/// The document of a router, as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Document(Bytes);

impl Document {
    /// The document of what `routes` and the ready-made `endpoints` offer.
    pub(super) fn of(routes: &Router, endpoints: &Value) -> Self {
        let offered = openapi::document(TITLE, routes, endpoints);
        Self(offered.to_json().expect("text and numbers serialize").into())
    }
}

/// The same as a value.
pub(super) fn json_of(routes: &Router, endpoints: &Value) -> Value {
    serde_json::to_value(openapi::document(TITLE, routes, endpoints))
        .expect("text and numbers serialize")
}

/// This document.
#[endpoint(
    tags("meta"),
    responses((status_code = 200, description = "The OpenAPI 3.1 document.", content_type = "application/json", body = Value))
)]
async fn document(depot: &mut Depot, res: &mut Response) {
    let Document(bytes) = depot.get_typed().expect("the router injects it at its root");
    send(res, &mime::APPLICATION_JSON, bytes.clone());
}

/// Shows this document as a page.
#[endpoint(
    tags("meta"),
    responses((status_code = 200, description = "A page.", content_type = "text/html", body = String))
)]
async fn page(res: &mut Response) {
    res.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    send(res, &mime::TEXT_HTML_UTF_8, Bytes::from_static(PAGE.as_bytes()));
}

/// Returns a file of the document's viewer.
#[endpoint(tags("meta"))]
async fn part(asset: PathText) -> Result<Part, ApiError> {
    let found = ASSETS.iter().find(|(name, _)| *name == asset.0);
    found.map(|(_, sent)| sent.clone()).ok_or_else(ApiError::not_found)
}

/// A style sheet or a script.
#[derive(Clone)]
struct Part {
    kind: Mime,
    bytes: Bytes,
}

impl Scribe for Part {
    fn render(self, res: &mut Response) {
        res.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        send(res, &self.kind, self.bytes);
    }
}

impl EndpointOutRegister for Part {
    fn register(_: &mut Components, operation: &mut Operation) {
        let response = salvo_oapi::Response::new("A style sheet or a script.")
            .add_content("text/css", Content::new(text()))
            .add_content("text/javascript", Content::new(text()));
        gives(operation, "200", response, &[]);
    }
}

fn send(res: &mut Response, kind: &Mime, bytes: Bytes) {
    let kind = HeaderValue::from_str(kind.as_ref()).expect("a content type");
    res.status_code(StatusCode::OK);
    res.headers_mut().insert(CONTENT_TYPE, kind);
    res.replace_body(ResBody::Once(bytes));
}

/// Scripts and styles from here, and nothing that stands in the page itself. The viewer sets styles on
/// elements and draws its icons from `data:`.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>mt reference server</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="viewer"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"#;

/// Starts the viewer on the document. The page sends the document to no validator, and stores no token in the
/// browser.
const START: &str = r##"SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
"##;

static ASSETS: LazyLock<[(&str, Part); 3]> = LazyLock::new(|| {
    let bundled = |name| match serve(name, "", "", "", &Config::new(["/openapi.json"])) {
        Ok(Some(file)) => Bytes::from(file.bytes.into_owned()),
        // A test asks for each.
        _ => Bytes::new(),
    };
    let style = |bytes| Part { kind: mime::TEXT_CSS_UTF_8, bytes };
    let script = |bytes| Part { kind: mime::TEXT_JAVASCRIPT, bytes };
    [
        ("swagger-ui.css", style(bundled("swagger-ui.css"))),
        ("swagger-ui-bundle.js", script(bundled("swagger-ui-bundle.js"))),
        ("start.js", script(Bytes::from_static(START.as_bytes()))),
    ]
});
