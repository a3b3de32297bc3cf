//! The page behind a link to sign in.

use super::Page;

const SCRIPT: &str = r#"
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const button = document.querySelector("button");
history.replaceState(null, "", location.pathname);
if (token) {
  say("Press the button to use your link. It works once.");
} else {
  button.hidden = true;
  say("This link is not complete. Ask for a new one.");
}
button.addEventListener("click", async () => {
  button.disabled = true;
  const result = await call("POST", "redeem", { token });
  if (result) say("You are signed in. Your access token:", result.access_token);
  else button.disabled = false;
});
"#;

/// Returns the page of a sign-in link. Its button signs in.
pub(crate) fn page() -> Page {
    Page::new("Sign in", "<p><button type=\"button\">Sign in</button></p>\n", SCRIPT)
}
