//! Signing in, an org, an invite, and requests of users who lack permission.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::DemoFailure;
use super::runner::{Runner, text};

/// The users of the demo.
pub(super) struct Users {
    pub(super) org: String,
    pub(super) owner: Person,
    pub(super) member: Person,
    pub(super) stranger: Person,
}

/// A user who has signed in.
pub(super) struct Person {
    pub(super) id: String,
    pub(super) token: String,
}

pub(super) async fn sign_up(runner: &mut Runner<'_>) -> Result<Users, DemoFailure> {
    runner.section("Signing in by magic link")?;
    let owner = sign_in(runner, "owner", true).await?;

    runner.section("An org, and who may see it")?;
    let created =
        runner.post("/orgs", Some(&owner.token), json!({"name": "  Demo Works "})).await?;
    let created = created
        .has("/name", &json!("Demo Works"))?
        .has("/role", &json!("owner"))?
        .has("/plan", &json!("free"))?
        .shows(201, "the creator owns the org, on the free plan")?;
    let org = text(&created, "/id")?;
    let stranger = sign_in(runner, "stranger", false).await?;
    let path = format!("/orgs/{org}");
    let hidden = runner.get(&path, Some(&stranger.token)).await?;
    let bytes = hidden.bytes();
    hidden.refuses(404, "not-found", "a stranger does not learn that the org exists")?;
    let random = format!("/orgs/{}", Uuid::now_v7());
    runner.get(&random, Some(&stranger.token)).await?.has_the_bytes(&bytes)?.refuses(
        404,
        "not-found",
        "and a random id gets the same bytes",
    )?;
    runner.get(&path, None).await?.refuses(401, "unauthenticated", "without a token: sign in")?;

    runner.section("Inviting a member")?;
    let member = sign_in(runner, "member", false).await?;
    let invites = format!("{path}/invites");
    let invite = json!({"email": runner.email("member"), "role": "member"});
    let invited = runner
        .post(&invites, Some(&owner.token), invite)
        .await?
        .has("/status", &json!("pending"))?
        .shows(201, "an invite is bound to an address and a role")?;
    let token = json!({"token": text(&invited, "/token")?});
    runner.post("/invites/accept", Some(&stranger.token), token.clone()).await?.refuses(
        403,
        "forbidden",
        "another user cannot use the token",
    )?;
    runner
        .post("/invites/accept", Some(&member.token), token.clone())
        .await?
        .has("/role", &json!("member"))?
        .shows(200, "the invited user becomes a member")?;
    runner.post("/invites/accept", Some(&member.token), token).await?.refuses(
        400,
        "invite-invalid",
        "an invite works once",
    )?;
    let more = json!({"email": runner.email("friend"), "role": "member"});
    runner.post(&invites, Some(&member.token), more).await?.refuses(
        403,
        "forbidden",
        "a member cannot invite",
    )?;
    let up = json!({"role": "owner"});
    runner
        .send(
            Method::PATCH,
            &format!("{path}/members/{}", member.id),
            Some(&member.token),
            Some(up),
        )
        .await?
        .refuses(403, "forbidden", "nor make themself an owner")?;
    Ok(Users { org, owner, member, stranger })
}

/// Signs a user in; with `prove`, also shows that a link works once.
async fn sign_in(runner: &mut Runner<'_>, name: &str, prove: bool) -> Result<Person, DemoFailure> {
    let email = runner.email(name);
    let sent = runner
        .post("/auth/request-link", None, json!({"email": email}))
        .await?
        .has("/sent", &json!(true))?
        .shows(202, &format!("a link for the {name}, shown here in development only"))?;
    let link = json!({"token": text(&sent, "/token")?});
    let redeemed = runner
        .post("/auth/redeem", None, link.clone())
        .await?
        .has("/token_type", &json!("bearer"))?
        .shows(200, "the link becomes an access token")?;
    let token = text(&redeemed, "/access_token")?;
    if prove {
        runner.post("/auth/redeem", None, link).await?.refuses(
            400,
            "magic-link-used",
            "and works once",
        )?;
    }
    let me = runner
        .get("/me", Some(&token))
        .await?
        .has("/email", &Value::String(email))?
        .shows(200, "the token names the user, and holds no permissions")?;
    Ok(Person { id: text(&me, "/id")?, token })
}

pub(super) async fn leave(runner: &mut Runner<'_>, users: &Users) -> Result<(), DemoFailure> {
    runner.section("Leaving")?;
    let path = format!("/orgs/{}", users.org);
    let membership = format!("{path}/members/{}", users.owner.id);
    runner.send(Method::DELETE, &membership, Some(&users.owner.token), None).await?.refuses(
        409,
        "last-owner",
        "an org keeps at least one owner",
    )?;
    runner.get(&path, Some(&users.member.token)).await?.refuses(
        404,
        "not-found",
        "the member has left: their token lives on and opens nothing here",
    )?;
    runner
        .send(Method::POST, "/auth/logout", Some(&users.stranger.token), None)
        .await?
        .shows(204, "signing out")?;
    runner.get("/me", Some(&users.stranger.token)).await?.refuses(
        401,
        "unauthenticated",
        "ends the tokens that were issued before",
    )?;
    runner
        .send(Method::DELETE, &path, Some(&users.owner.token), None)
        .await?
        .shows(204, "the owner deletes the org, and everything in it")?;
    Ok(())
}
