//! The pages that emails and Stripe's pages link to.
//!
//! A page holds no data: it has the same text for every visitor, so GET and HEAD change nothing, and mail scanners
//! that follow links do no harm. A secret in a link is in its fragment, which browsers do not send; the page's script
//! reads it there and uses it when a button is pressed. The page may run that script, use its style and call this
//! server, and nothing else.
//!
//! There is no session and no cookie. A visitor who must sign in requests a link on the page and pastes it there;
//! access tokens live as long as the page is open.

mod accept;
#[cfg(feature = "stripe")]
mod billing;
mod sign_in;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response};
use sha2::{Digest as _, Sha256};

pub(crate) use self::accept::page as invite;
#[cfg(feature = "stripe")]
pub(crate) use self::billing::page as billing;
pub(crate) use self::sign_in::page as sign_in;

/// The path of the page behind a sign-in link.
pub(crate) const SIGN_IN_PATH: &str = "/auth/magic";
/// The path of the page behind an invitation.
pub(crate) const INVITE_PATH: &str = "/invites/accept";
/// The path of the billing page.
#[cfg(feature = "stripe")]
pub(crate) const BILLING_PATH: &str = "/billing";

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}\
button,input{font:inherit;padding:.5rem}button{padding:.5rem 1.5rem}label,input{display:block}\
input{width:100%;box-sizing:border-box;margin:.25rem 0 .5rem}\
pre{white-space:pre-wrap;overflow-wrap:anywhere}[hidden]{display:none}";

/// The script that all pages share. Paths are relative, so that pages work below a path of `BASE_URL`.
const SHARED: &str = r#"
"use strict";
const note = document.querySelector("output");
const say = (text, token) => {
  document.querySelector("pre")?.remove();
  note.textContent = text;
  if (!token) return;
  const shown = document.createElement("pre");
  shown.textContent = token;
  note.after(shown);
};
const call = async (method, path, body, access) => {
  const headers = {};
  if (body) headers["content-type"] = "application/json";
  if (access) headers.authorization = `Bearer ${access}`;
  const sent = { method, headers, body: body && JSON.stringify(body) };
  const answer = await fetch(path, sent).catch(() => null);
  const result = await answer?.json().catch(() => null);
  if (answer?.ok) return result;
  const wrong = result?.errors?.map(({ detail }) => `It ${detail}.`).join(" ") ?? result?.detail;
  say(result ? [result.title, wrong].filter(Boolean).join(". ") : "The server did not answer. Try again.");
  return null;
};
"#;

/// Markup and script of two forms to sign in on the page. The script takes `root`, the path to the server's root, and
/// `signedIn`, which is called with an access token.
const SIGN_IN_FORMS: &str = r#"<form id="ask">
<label>Your e-mail address <input type="email" name="email" required autocomplete="email"></label>
<button>Mail me a sign-in link</button>
</form>
<form id="use">
<label>The link from that mail, or the access token that it gave you <input name="link" required autocomplete="off" spellcheck="false"></label>
<button>Continue</button>
</form>
"#;

const SIGN_IN: &str = r##"
let access = null;
const ask = document.querySelector("#ask");
const use = document.querySelector("#use");
ask.addEventListener("submit", async (event) => {
  event.preventDefault();
  const result = await call("POST", `${root}auth/request-link`, { email: ask.elements.email.value });
  if (!result) return;
  say("A mail with a link is on its way. Copy its address and paste it here.");
  if (result.token) use.elements.link.value = result.token;
});
use.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = use.querySelector("button");
  button.disabled = true;
  const pasted = use.elements.link.value.trim();
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(pasted)) {
    access = pasted;
  } else if (!access) {
    const token = new URLSearchParams(pasted.split("#")[1] ?? "").get("token") ?? pasted;
    access = (await call("POST", `${root}auth/redeem`, { token }))?.access_token ?? null;
  }
  if (access) await signedIn(access);
  button.disabled = false;
});
"##;

/// A page and its content security policy, which lets the page run its own script, use its own style and call this server.
#[derive(Clone, Debug)]
pub struct Page {
    html: Bytes,
    policy: HeaderValue,
}

impl Page {
    /// Creates a page with the markup `body` and `script`.
    ///
    /// Before `script` run a few lines that define `say(text, token)`, which shows a text and a secret, and
    /// `call(method, path, body, access)`, which sends JSON to the server and returns its answer, or shows why there is none
    /// and returns `null`. Paths are relative, so that pages work below a path of the base URL.
    ///
    /// ```
    /// let page = mt_http::Page::new("Hello", "<p><button>Greet</button></p>\n", r#"say("Hello");"#);
    /// ```
    #[must_use]
    pub fn new(title: &str, body: &str, script: &str) -> Self {
        let script = format!("{SHARED}{script}");
        let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(&script),
            hash(STYLE)
        );
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<h1>{title}</h1>\n{body}<p><output></output></p>\n\
             <noscript><p>This page needs JavaScript.</p></noscript>\n\
             <script>{script}</script>\n</html>\n"
        );
        let policy = HeaderValue::from_str(&policy).expect("base64 and words");
        Self { html: html.into(), policy }
    }

    /// Returns the page as a response.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
        let mut response = Response::new(self.html.clone());
        response.headers_mut().insert(CONTENT_TYPE, HTML);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        response
    }
}
