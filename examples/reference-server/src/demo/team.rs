//! Signing in, an org, an invite, and who may do none of it.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::DemoFailure;
use super::stage::{Stage, text};

/// Who is in the story.
pub(super) struct Cast {
    pub(super) org: String,
    pub(super) owner: Person,
    pub(super) member: Person,
    pub(super) stranger: Person,
}

/// Somebody who has signed in.
pub(super) struct Person {
    pub(super) id: String,
    pub(super) token: String,
}

pub(super) async fn assemble(stage: &mut Stage<'_>) -> Result<Cast, DemoFailure> {
    stage.chapter("Signing in by magic link")?;
    let owner = sign_in(stage, "owner", true).await?;

    stage.chapter("An org, and who may see it")?;
    let created = stage.post("/orgs", Some(&owner.token), json!({"name": "  Demo Works "})).await?;
    let created = created
        .has("/name", &json!("Demo Works"))?
        .has("/role", &json!("owner"))?
        .has("/plan", &json!("free"))?
        .shows(201, "whoever makes an org owns it, on the free plan")?;
    let org = text(&created, "/id")?;
    let stranger = sign_in(stage, "stranger", false).await?;
    let path = format!("/orgs/{org}");
    let hidden = stage.get(&path, Some(&stranger.token)).await?;
    let bytes = hidden.bytes();
    hidden.refuses(404, "not-found", "a stranger does not learn that the org exists")?;
    let random = format!("/orgs/{}", Uuid::now_v7());
    stage.get(&random, Some(&stranger.token)).await?.has_the_bytes(&bytes)?.refuses(
        404,
        "not-found",
        "and a random id gets the same bytes",
    )?;
    stage.get(&path, None).await?.refuses(401, "unauthenticated", "without a token: sign in")?;

    stage.chapter("Inviting a member")?;
    let member = sign_in(stage, "member", false).await?;
    let invites = format!("{path}/invites");
    let invite = json!({"email": stage.email("member"), "role": "member"});
    let invited = stage
        .post(&invites, Some(&owner.token), invite)
        .await?
        .has("/status", &json!("pending"))?
        .shows(201, "an invite is bound to an address and a role")?;
    let token = json!({"token": text(&invited, "/token")?});
    stage.post("/invites/accept", Some(&stranger.token), token.clone()).await?.refuses(
        403,
        "forbidden",
        "whoever else holds the token cannot use it",
    )?;
    stage
        .post("/invites/accept", Some(&member.token), token.clone())
        .await?
        .has("/role", &json!("member"))?
        .shows(200, "the invited one becomes a member")?;
    stage.post("/invites/accept", Some(&member.token), token).await?.refuses(
        400,
        "invite-invalid",
        "an invite works once",
    )?;
    let more = json!({"email": stage.email("friend"), "role": "member"});
    stage.post(&invites, Some(&member.token), more).await?.refuses(
        403,
        "forbidden",
        "a member cannot invite",
    )?;
    let up = json!({"role": "owner"});
    stage
        .send(
            Method::PATCH,
            &format!("{path}/members/{}", member.id),
            Some(&member.token),
            Some(up),
        )
        .await?
        .refuses(403, "forbidden", "nor make themself an owner")?;
    Ok(Cast { org, owner, member, stranger })
}

/// Signs somebody in; with `prove`, shows too that a link works once.
async fn sign_in(stage: &mut Stage<'_>, name: &str, prove: bool) -> Result<Person, DemoFailure> {
    let email = stage.email(name);
    let sent = stage
        .post("/auth/request-link", None, json!({"email": email}))
        .await?
        .has("/sent", &json!(true))?
        .shows(202, &format!("a link for the {name}, shown here in development only"))?;
    let link = json!({"token": text(&sent, "/token")?});
    let redeemed = stage
        .post("/auth/redeem", None, link.clone())
        .await?
        .has("/token_type", &json!("bearer"))?
        .shows(200, "the link becomes an access token")?;
    let token = text(&redeemed, "/access_token")?;
    if prove {
        stage.post("/auth/redeem", None, link).await?.refuses(
            400,
            "magic-link-used",
            "and works once",
        )?;
    }
    let me = stage
        .get("/me", Some(&token))
        .await?
        .has("/email", &Value::String(email))?
        .shows(200, "the token says who, and nothing about what they may do")?;
    Ok(Person { id: text(&me, "/id")?, token })
}

pub(super) async fn say_goodbye(stage: &mut Stage<'_>, cast: &Cast) -> Result<(), DemoFailure> {
    stage.chapter("Leaving")?;
    let path = format!("/orgs/{}", cast.org);
    let membership = format!("{path}/members/{}", cast.owner.id);
    stage.send(Method::DELETE, &membership, Some(&cast.owner.token), None).await?.refuses(
        409,
        "last-owner",
        "an org keeps at least one owner",
    )?;
    stage.get(&path, Some(&cast.member.token)).await?.refuses(
        404,
        "not-found",
        "the member has left: their token lives on and opens nothing here",
    )?;
    stage
        .send(Method::POST, "/auth/logout", Some(&cast.stranger.token), None)
        .await?
        .shows(204, "signing out")?;
    stage.get("/me", Some(&cast.stranger.token)).await?.refuses(
        401,
        "unauthenticated",
        "ends the tokens that were issued before",
    )?;
    stage
        .send(Method::DELETE, &path, Some(&cast.owner.token), None)
        .await?
        .shows(204, "the owner deletes the org, and everything in it")?;
    Ok(())
}
