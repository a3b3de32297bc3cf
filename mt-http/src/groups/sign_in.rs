//! Signing in by a link in a mail, and out.

use http::Method;
use mt_core::access::AccessModel;
use mt_core::auth::PrincipalKind;
use mt_core::clock::{Clock as _, SystemClock};
use mt_core::pg::{SystemReason, Tenant, User};
use mt_core::token::SecretToken;
use mt_mail::{LinkDecision, token_link};
use mt_tower::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answer::{Answer, Object, accepted, json, no_content};
use crate::call::Call;
use crate::fields::{ADDRESS, Email, MAX_ADDRESS, Token};
use crate::group::{Group, Operations};
use crate::guards::Guarded;
use crate::openapi::{Description, Schema, boolean, id, integer, text, text_like};
use crate::operation::{Operation, Requirement};
use crate::{Noun, pages};

const REQUEST_LINK: SystemReason = SystemReason::anonymous("make a magic link");
const REDEEM: SystemReason = SystemReason::anonymous("redeem a magic link");
const LOGOUT: SystemReason = SystemReason::new("sign a user out");

/// How many memberships `GET /me` shows. The response costs no more for a caller with more tenants.
const SHOWN: i64 = 1000;

/// Signing in by a link in a mail: `POST /auth/request-link`, the page `GET /auth/magic` behind the link,
/// `POST /auth/redeem`, `POST /auth/logout` and `GET /me`. It needs [`EndpointOptions::tokens`].
///
/// [`EndpointOptions::tokens`]: crate::EndpointOptions::tokens
#[derive(Clone, Copy, Debug)]
pub struct SignIn;

impl<M: AccessModel> Group<M> for SignIn {
    fn operations(self, noun: Noun) -> Operations<M> {
        Operations(vec![
            Operation::new(Method::POST, "/auth/request-link", about_request_link(), |call| {
                Box::pin(request_link(call))
            })
            .behind(Guarded::RequestLink),
            Operation::new(Method::POST, "/auth/redeem", about_redeem(), |call| {
                Box::pin(redeem(call))
            })
            .with(Requirement::Tokens)
            .behind(Guarded::Redeem),
            Operation::new(Method::GET, "/auth/magic", about_page(), |call| {
                Box::pin(async move { Ok(call.context.options.sign_in_page.to_response()) })
            }),
            Operation::new(Method::POST, "/auth/logout", about_logout(), |call| {
                Box::pin(logout(call))
            })
            .behind(Guarded::SignedIn),
            Operation::new(Method::GET, "/me", about_me(noun), |call| Box::pin(me(call)))
                .behind(Guarded::SignedIn),
        ])
    }
}

fn about_request_link() -> Description {
    let mut email = text_like(ADDRESS);
    email["maxLength"] = json!(MAX_ADDRESS);
    let text = "Mails a sign-in link.\n\nAnswers the same for known and unknown addresses, and when a limit on emails is \
        reached and nothing is mailed.";
    Description::new("auth.request_link", "auth", text)
        .takes(Schema::new("LinkRequest").with("email", email).closed())
        .gives(202, "Accepted: the server will do it.", sent())
}

fn sent() -> Schema {
    Schema::new("Sent").with("sent", boolean()).optional("token", text())
}

fn about_redeem() -> Description {
    Description::new("auth.redeem", "auth", "Signs in with a link, which can be used once.")
        .takes(Schema::new("Redemption").with("token", text_like(r"^[^\u0000]*$")).closed())
        .gives(200, "Signed in.", signed_in())
        .may(&["magic-link-expired", "magic-link-invalid", "magic-link-used"])
}

fn signed_in() -> Schema {
    Schema::new("SignedIn")
        .with("access_token", text())
        .with("token_type", text())
        .with("expires_in", integer())
}

fn about_page() -> Description {
    let text = "The page of a sign-in link. Its button signs in.";
    Description::new("sign_in.show", "auth", text).gives_page()
}

fn about_logout() -> Description {
    let text = "Signs the caller out: all of their tokens become invalid.";
    Description::new("auth.logout", "auth", text).gives_nothing()
}

fn about_me(noun: Noun) -> Description {
    let membership = Schema::new("Membership")
        .with(noun.id_name(), id())
        .with(format!("{}_name", noun.one()), text())
        .with("role", text());
    let me = Schema::new("Me")
        .with("id", id())
        .with("email", text())
        .with_list("memberships", membership);
    let text =
        "Shows the caller and their newest memberships, at most 1000. A service account gets 403.";
    Description::new("me.me", "auth", text).gives(200, "The caller.", me).may(&["forbidden"])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkRequest {
    email: Email,
}

#[derive(Serialize)]
struct Sent {
    sent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

async fn request_link<M: AccessModel>(mut call: Call<'_, M>) -> Answer {
    let LinkRequest { email } = call.json().await?;
    let (context, email) = (call.context, email.as_address());
    let options = &context.options;
    crate::mail_limits::check_address(&options.mailer, email)?;
    let network = call.network();
    let decision = match &options.mail_limits {
        Some(limits) => limits.sign_in(network, email).await?,
        None => LinkDecision::Allowed,
    };
    // The steps are the same whether or not a mail is sent, so that the caller cannot tell, by the duration either,
    // what other callers have asked for.
    let mut tx = context.system.begin(REQUEST_LINK).await?;
    let made =
        User::make_magic_link(&mut tx, &options.hasher, email, options.links_live_for).await?;
    let needs_networks =
        options.mail_limits.as_ref().is_some_and(|limits| limits.needs_known_networks());
    let is_known = needs_networks
        && User::knows_network(&mut tx, &options.hasher, email, &network.to_string()).await?;
    let may_go = match decision {
        LinkDecision::Allowed => made.is_some(),
        LinkDecision::IfKnown => made.is_some() && is_known,
        LinkDecision::Refused => false,
    };
    let token = made.unwrap_or_else(SecretToken::generate);
    let url = token_link(&options.base_url, pages::SIGN_IN_PATH, &token);
    let message = options.mailer.sign_in(&url, options.links_live_for, SystemClock.now());
    let lane = message.lane();
    options.mailer.enqueue(tx.conn(), None, email, message).await?;
    if !may_go {
        tx.rollback().await?;
        return Ok(accepted(&Sent { sent: true, token: None }));
    }
    tx.commit().await?;
    options.mailer.wake_up(lane).notify();
    let token = options.reveals_tokens.then(|| token.reveal().to_owned());
    Ok(accepted(&Sent { sent: true, token }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redemption {
    token: Token,
}

async fn redeem<M: AccessModel>(mut call: Call<'_, M>) -> Answer {
    // The link is used up and that committed before the answer: one that is lost costs a new link.
    let Redemption { token } = call.json().await?;
    let hasher = &call.context.options.hasher;
    let mut tx = call.context.system.begin(REDEEM).await?;
    let user = User::redeem_magic_link(&mut tx, hasher, token.as_str()).await?;
    let network = call.network().to_string();
    user.remember_network(&mut tx, hasher, &network).await?;
    tx.commit().await?;
    let access =
        call.tokens()?.issue(user.id, user.generation).map_err(|e| Problem::internal(&e))?;
    let answer = Object::new()
        .with("access_token", access.token)
        .with("token_type", "bearer")
        .with("expires_in", access.expires_in.as_secs());
    Ok(json(&answer))
}

async fn logout<M: AccessModel>(call: Call<'_, M>) -> Answer {
    let caller = call.caller()?;
    let mut tx = call.context.system.begin_for(caller, LOGOUT).await?;
    User::sign_out(&mut tx, caller.id()).await?;
    tx.commit().await?;
    Ok(no_content())
}

async fn me<M: AccessModel>(call: Call<'_, M>) -> Answer {
    let noun = call.context.noun;
    let caller = call.caller()?;
    if caller.kind() == PrincipalKind::ServiceAccount {
        return Err(Problem::FORBIDDEN.with_detail("a service account is not a user").into());
    }
    let mut tx = call.context.principals.begin(caller).await?;
    let user = User::own(&mut tx).await?;
    let newest = Tenant::of_principal(&mut tx, None, SHOWN).await?;
    tx.commit().await?;
    let memberships = newest.into_iter().map(|summary| {
        Object::new()
            .with(noun.id_name(), summary.tenant.id.to_string())
            .with(format!("{}_name", noun.one()), summary.tenant.name)
            .with("role", summary.role)
    });
    Ok(json(&Me { id: user.id.as_uuid(), email: user.email, memberships: memberships.collect() }))
}

#[derive(Serialize)]
struct Me {
    id: uuid::Uuid,
    email: String,
    memberships: Vec<Object>,
}
