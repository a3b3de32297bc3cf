//! Signing in by magic link, and out.

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::pg::{SystemReason, User};
use mt_core::token::SecretToken;
use mt_mail::{LinkDecision, token_link};
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::http::answer::{Accepted, NoContent};
use crate::http::caller::Caller;
use crate::http::fields::{Email, Token};
use crate::http::json::Body;
use crate::http::problem::ApiError;
use crate::http::problems::{MagicLinkExpired, MagicLinkInvalid, MagicLinkUsed, RateLimited};
use crate::layers::Layers;
use crate::pages;
use crate::refusals::internal;

const REQUEST_LINK: SystemReason = SystemReason::anonymous("make a magic link");
const REDEEM: SystemReason = SystemReason::anonymous("redeem a magic link");
const LOGOUT: SystemReason = SystemReason::new("sign a user out");

/// The routes that anybody may call.
pub(super) fn open(layers: &Layers) -> Router {
    Router::with_path("auth")
        .push(
            Router::with_path("request-link")
                .hoop(layers.limit_auth("auth-request-link"))
                .post(request_link),
        )
        .push(Router::with_path("redeem").hoop(layers.limit_auth("auth-redeem")).post(redeem))
        .push(Router::with_path("magic").get(pages::sign_in::show))
}

/// The route that needs a token.
pub(super) fn signed_in() -> Router {
    Router::with_path("auth/logout").post(logout)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LinkRequest {
    email: Email,
}

#[derive(Serialize, ToSchema)]
struct Sent {
    sent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[salvo(schema(value_type = String, required = false))]
    token: Option<String>,
}

/// Mails a sign-in link.
///
/// Answers the same for known and unknown addresses, and when a limit on emails is reached and nothing is mailed.
#[endpoint(tags("auth"), responses(RateLimited))]
async fn request_link(
    req: &mut Request,
    wanted: Body<LinkRequest>,
    depot: &mut Depot,
) -> Result<Accepted<Sent>, ApiError> {
    let app = App::of(depot);
    let email = wanted.0.email.into_address();
    app.mailer.accepts(&email)?;
    let network = app.networks.of(req);
    let limits = app.mail_limits.sign_in(network, &email).await?;
    // The steps are the same whether or not a mail is sent, so that the caller cannot tell, by the duration either,
    // what other callers have asked for.
    let mut tx = app.system.begin(REQUEST_LINK).await?;
    let made = User::make_magic_link(&mut tx, &app.hasher, &email, app.magic_link_ttl).await?;
    let is_known = app.mail_limits.needs_known_networks()
        && User::knows_network(&mut tx, &app.hasher, &email, &network.to_string()).await?;
    let may_go = match limits {
        LinkDecision::Allowed => made.is_some(),
        LinkDecision::IfKnown => made.is_some() && is_known,
        LinkDecision::Refused => false,
    };
    let token = made.unwrap_or_else(SecretToken::generate);
    let now = SystemClock.now();
    let url = token_link(&app.base_url, "/auth/magic", &token);
    let message = app.mailer.sign_in(&url, app.magic_link_ttl, now);
    let lane = message.lane();
    app.mailer.enqueue(tx.conn(), None, &email, message).await?;
    if !may_go {
        tx.rollback().await?;
        return Ok(Accepted(Sent { sent: true, token: None }));
    }
    tx.commit().await?;
    app.mailer.wake_up(lane).notify();
    Ok(Accepted(Sent { sent: true, token: app.reveal_tokens.then(|| token.reveal().to_owned()) }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Redemption {
    token: Token,
}

#[derive(Serialize, ToSchema)]
struct SignedIn {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
}

/// Signs in with a link, which can be used once.
#[endpoint(tags("auth"), responses(MagicLinkExpired, MagicLinkInvalid, MagicLinkUsed, RateLimited))]
async fn redeem(
    req: &mut Request,
    redemption: Body<Redemption>,
    depot: &mut Depot,
) -> Result<Json<SignedIn>, ApiError> {
    // The link is used up and that committed before the answer: one that is lost costs a new link.
    let app = App::of(depot);
    let token = redemption.0.token.into_string();
    let mut tx = app.system.begin(REDEEM).await?;
    let user = User::redeem_magic_link(&mut tx, &app.hasher, &token).await?;
    let network = app.networks.of(req).to_string();
    user.remember_network(&mut tx, &app.hasher, &network).await?;
    tx.commit().await?;
    let access = app.tokens.issue(user.id, user.generation).map_err(|error| internal(&error))?;
    Ok(Json(SignedIn {
        access_token: access.token,
        token_type: "bearer",
        expires_in: access.expires_in.as_secs(),
    }))
}

/// Signs the caller out: all of their tokens become invalid.
#[endpoint(tags("auth"))]
async fn logout(caller: Caller, depot: &mut Depot) -> Result<NoContent, ApiError> {
    let app = App::of(depot);
    let mut tx = app.system.begin_for(caller.0, LOGOUT).await?;
    User::sign_out(&mut tx, caller.0.id()).await?;
    tx.commit().await?;
    Ok(NoContent)
}
