//! The substitute for Stripe's checkout page in development and tests.

use std::sync::LazyLock;

use mt_http::Page;
use salvo::http::ResBody;
use salvo::prelude::*;
use salvo_oapi::endpoint;

use crate::http::path::PathText;

const BODY: &str = "<p>This server has no key of Stripe's, so nothing is paid.</p>\n\
<p><button type=\"button\">Pay</button></p>\n";

const SCRIPT: &str = r#"
const button = document.querySelector("button");
button.addEventListener("click", async () => {
  button.disabled = true;
  const result = await call("POST", location.pathname, null);
  if (result) say("Paid. The events that Stripe would send were delivered.");
  else button.disabled = false;
});
"#;

static PAGE: LazyLock<Page> = LazyLock::new(|| Page::new("Simulated checkout", BODY, SCRIPT));

/// The page of a simulated checkout. Its button pays. Not in production.
#[endpoint(tags("dev"), responses((status_code = 200, description = "A page.", content_type = "text/html", body = String)))]
pub(super) async fn show(session_id: PathText, res: &mut Response) {
    // The script reads the session id from the page's address; paying shows whether it exists.
    drop(session_id);
    let (parts, body) = PAGE.to_response().into_parts();
    res.headers_mut().extend(parts.headers);
    res.status_code(parts.status);
    res.replace_body(ResBody::Once(body));
}
