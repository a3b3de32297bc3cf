//! The billing page of a tenant: linked from emails about failed payments, and the return address of Stripe's pages.
//!
//! The query holds the tenant's id, as paths of the API do. Returning from a checkout proves nothing, so the page shows
//! what the API returns for the tenant.

use super::{Page, SIGN_IN, SIGN_IN_FORMS};
use crate::Noun;

const PORTAL: &str =
    "<p id=\"portal\" hidden><button type=\"button\">Manage payments</button></p>\n";

const SCRIPT: &str = r##"
const root = "";
const query = new URLSearchParams(location.search);
const tenant = query.get("NOUN") ?? "";
const portal = document.querySelector("#portal");
const signedIn = async (access) => {
  const billing = await call("GET", `NOUNS/${tenant}/billing`, null, access);
  if (!billing) return;
  ask.hidden = use.hidden = true;
  portal.hidden = false;
  say(`Plan ${billing.plan}, subscription ${billing.subscription_status}, standing ${billing.standing}.`);
};
portal.addEventListener("click", async () => {
  const result = await call("POST", `NOUNS/${tenant}/billing/portal`, null, access);
  if (result) location.assign(result.url);
});
if (!/^[0-9a-f-]{36}$/i.test(tenant)) {
  for (const form of document.forms) form.hidden = true;
  say("This link is not complete. Open it again from where you found it.");
} else {
  const outcome = {
    done: "Thank you. The plan changes as soon as Stripe has told the server of the payment. ",
    left: "Nothing was bought. ",
  }[query.get("checkout")] ?? "";
  say(`${outcome}Sign in to see what the NOUN pays for.`);
}
"##;

/// Returns the billing page of a tenant, for an owner who signs in on it. It takes the tenant's id as the query parameter
/// that is named like the noun.
pub(crate) fn page(noun: Noun) -> Page {
    let body = format!("{SIGN_IN_FORMS}{PORTAL}");
    let script = SCRIPT.replace("NOUNS", noun.many()).replace("NOUN", noun.one());
    Page::new("Billing", &body, &format!("{script}{SIGN_IN}"))
}
