//! The billing page of an org: linked from emails about failed payments, and the return address of Stripe's pages.
//!
//! The query holds the org's id, as paths of the API do. Returning from a checkout proves nothing, so the page shows
//! what the API returns for the org.

use std::sync::LazyLock;

use salvo::prelude::*;
use salvo_oapi::endpoint;

use super::{Page, SIGN_IN, SIGN_IN_FORMS};

const PORTAL: &str =
    "<p id=\"portal\" hidden><button type=\"button\">Manage payments</button></p>\n";

const SCRIPT: &str = r##"
const root = "";
const query = new URLSearchParams(location.search);
const org = query.get("org") ?? "";
const portal = document.querySelector("#portal");
const signedIn = async (access) => {
  const billing = await call("GET", `orgs/${org}/billing`, null, access);
  if (!billing) return;
  ask.hidden = use.hidden = true;
  portal.hidden = false;
  say(`Plan ${billing.plan}, subscription ${billing.subscription_status}, standing ${billing.standing}.`);
};
portal.addEventListener("click", async () => {
  const result = await call("POST", `orgs/${org}/billing/portal`, null, access);
  if (result) location.assign(result.url);
});
if (!/^[0-9a-f-]{36}$/i.test(org)) {
  for (const form of document.forms) form.hidden = true;
  say("This link is not complete. Open it again from where you found it.");
} else {
  const outcome = {
    done: "Thank you. The plan changes as soon as Stripe has told the server of the payment. ",
    left: "Nothing was bought. ",
  }[query.get("checkout")] ?? "";
  say(`${outcome}Sign in to see what the org pays for.`);
}
"##;

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let body = format!("{SIGN_IN_FORMS}{PORTAL}");
    Page::new("Billing", &body, &format!("{SCRIPT}{SIGN_IN}"))
});

/// The billing page of an org, for an owner who signs in on it.
#[endpoint(tags("billing"), responses((status_code = 200, description = "A page.", content_type = "text/html", body = String)))]
pub(crate) async fn page(res: &mut Response) {
    PAGE.show(res);
}
