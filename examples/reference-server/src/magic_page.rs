//! The page behind a mailed link.
//!
//! The token is in the URL's fragment, which browsers send to nobody; the page's script takes it from
//! there and posts it when the button is pressed. So a mail scanner that follows links consumes
//! nothing, and neither GET nor HEAD ever sees the token.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use salvo::http::HeaderValue;
use salvo::http::header::CONTENT_SECURITY_POLICY;
use salvo::prelude::*;
use salvo_oapi::endpoint;
use sha2::{Digest as _, Sha256};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}\
button{font:inherit;padding:.5rem 1.5rem}pre{white-space:pre-wrap;overflow-wrap:anywhere}";

const SCRIPT: &str = r#"
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const button = document.querySelector("button");
const note = document.querySelector("output");
history.replaceState(null, "", location.pathname);
if (!token) { button.hidden = true; note.textContent = "This link is not complete. Ask for a new one."; }
button.addEventListener("click", async () => {
  button.disabled = true;
  const answer = await fetch("/auth/redeem", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token }),
  }).catch(() => null);
  const body = await answer?.json().catch(() => null);
  if (answer?.ok) {
    note.textContent = "You are signed in. Your access token:";
    const shown = document.createElement("pre");
    shown.textContent = body.access_token;
    note.after(shown);
  } else {
    note.textContent = body?.title ?? "The server did not answer. Try again.";
    button.disabled = !!body;
  }
});
"#;

static PAGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Sign in</title>\n\
         <style>{STYLE}</style>\n<h1>Sign in</h1>\n<p><button type=\"button\">Sign in</button></p>\n\
         <p><output>Press the button to use your link. It works once.</output></p>\n\
         <script>{SCRIPT}</script>\n</html>\n"
    )
});

/// Lets the page run its own script and style, talk to this server, and nothing else.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    HeaderValue::from_str(&policy).expect("base64 and words")
});

/// The page behind a mailed link. It signs in when its button is pressed.
#[endpoint(tags("auth"), responses((status_code = 200, description = "A page.", content_type = "text/html", body = String)))]
pub(crate) async fn show(res: &mut Response) {
    res.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    res.render(Text::Html(PAGE.as_str()));
}
