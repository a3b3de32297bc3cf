//! The page behind an invitation link.

use super::{Page, SIGN_IN, SIGN_IN_FORMS};

const ABOUT: &str = "<p>The invitation is for the address that the mail came to. Sign in with that address, and \
you join.</p>\n";

const SCRIPT: &str = r#"
const root = "../";
const invite = new URLSearchParams(location.hash.slice(1)).get("token");
history.replaceState(null, "", location.pathname);
const signedIn = async (access) => {
  const result = await call("POST", "accept", { token: invite }, access);
  if (!result) return;
  ask.hidden = use.hidden = true;
  say(`You have joined as ${result.role}. Your access token:`, access);
};
if (!invite) {
  for (const form of document.forms) form.hidden = true;
  say("This link is not complete. Open it again from the mail.");
}
"#;

/// Returns the page of an invitation. It accepts the invite once the visitor has signed in on it.
pub(crate) fn page() -> Page {
    let body = format!("{ABOUT}{SIGN_IN_FORMS}");
    Page::new("Accept the invitation", &body, &format!("{SCRIPT}{SIGN_IN}"))
}
