//! The pages that emails and Stripe's pages link to.
//!
//! A page holds no data: it has the same text for every visitor, so GET and HEAD change nothing, and mail scanners
//! that follow links do no harm. A secret in a link is in its fragment, which browsers do not send; the page's script
//! reads it there and uses it when a button is pressed. The page may run that script, use its style and call this
//! server, and nothing else.
//!
//! There is no session and no cookie. A visitor who must sign in requests a link on the page and pastes it there;
//! access tokens live as long as the page is open.

pub(crate) mod accept;
pub(crate) mod billing;
pub(crate) mod sign_in;
pub(crate) mod simulated;

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use salvo::Response;
use salvo::http::HeaderValue;
use salvo::http::header::CONTENT_SECURITY_POLICY;
use salvo::writing::Text;
use sha2::{Digest as _, Sha256};

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

/// A page and its content security policy.
pub(crate) struct Page {
    html: String,
    policy: HeaderValue,
}

impl Page {
    /// Creates a page with the markup `body` and `script`, which follows [`SHARED`].
    fn new(title: &str, body: &str, script: &str) -> Self {
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
        Self { html, policy: HeaderValue::from_str(&policy).expect("base64 and words") }
    }

    fn show(&'static self, res: &mut Response) {
        res.headers_mut().insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        res.render(Text::Html(self.html.as_str()));
    }
}

/// Returns the URL of the billing page of `org`. `base_url` is the setting `BASE_URL`.
pub(crate) fn billing_url(base_url: &str, org: impl Display) -> String {
    format!("{}/billing?org={org}", base_url.trim_end_matches('/'))
}
