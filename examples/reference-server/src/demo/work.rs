//! Projects up to the cap, and tasks that belong to somebody.

use reqwest::Method;
use serde_json::json;

use super::DemoFailure;
use super::stage::{Stage, text};
use super::team::Cast;

/// Makes as many projects as the free plan allows, and one more.
pub(super) async fn fill_the_free_plan(
    stage: &mut Stage<'_>,
    cast: &Cast,
) -> Result<Vec<String>, DemoFailure> {
    stage.chapter("The free plan has room for three projects")?;
    let path = format!("/orgs/{}/projects", cast.org);
    let owner = Some(cast.owner.token.as_str());
    stage.post(&path, Some(&cast.member.token), json!({"name": "Mine"})).await?.refuses(
        403,
        "forbidden",
        "projects are for owners and admins",
    )?;
    let mut projects = Vec::new();
    for (number, name) in ["Launch", "Website", "Garden"].into_iter().enumerate() {
        let made = stage
            .post(&path, owner, json!({"name": name}))
            .await?
            .shows(201, &format!("project {} of 3", number + 1))?;
        projects.push(text(&made, "/id")?);
    }
    stage
        .post(&path, owner, json!({"name": "Too many"}))
        .await?
        .has("/resource", &json!("projects"))?
        .has("/cap", &json!(3))?
        .refuses(402, "cap-reached", "the fourth needs another plan")?;
    stage.post(&path, owner, json!({"name": "", "colour": "red"})).await?.refuses(
        422,
        "invalid-fields",
        "what is wrong with a body is said field by field",
    )?;
    Ok(projects)
}

/// Tasks: everybody makes them, members change their own.
pub(super) async fn share_tasks(
    stage: &mut Stage<'_>,
    cast: &Cast,
    projects: &[String],
) -> Result<(), DemoFailure> {
    stage.chapter("Tasks")?;
    let (owner, member) = (cast.owner.token.as_str(), cast.member.token.as_str());
    let project = projects.first().map_or("", String::as_str);
    let tasks = format!("/orgs/{}/projects/{project}/tasks", cast.org);
    let task = |id: &str| format!("/orgs/{}/tasks/{id}", cast.org);

    let theirs = stage
        .post(&tasks, Some(owner), json!({"title": "Sign the lease"}))
        .await?
        .has("/status", &json!("todo"))?
        .shows(201, "the owner makes a task")?;
    let theirs = text(&theirs, "/id")?;
    let own = stage
        .post(&tasks, Some(member), json!({"title": "Paint the door", "description": "Blue."}))
        .await?
        .has("/created_by", &json!(cast.member.id))?
        .shows(201, "the member makes another")?;
    let own = text(&own, "/id")?;
    let done = json!({"status": "done"});
    stage
        .send(Method::PATCH, &task(&own), Some(member), Some(done.clone()))
        .await?
        .has("/status", &json!("done"))?
        .shows(200, "and finishes it: it is their own")?;
    stage.send(Method::PATCH, &task(&theirs), Some(member), Some(done.clone())).await?.refuses(
        403,
        "forbidden",
        "the owner's task is not",
    )?;
    let assign = json!({"assigned_to": cast.member.id});
    stage
        .send(Method::PATCH, &task(&theirs), Some(owner), Some(assign))
        .await?
        .shows(200, "until it is assigned to them")?;
    stage
        .send(Method::PATCH, &task(&theirs), Some(member), Some(done))
        .await?
        .shows(200, "now it is")?;
    let outsider = json!({"title": "Spy", "assigned_to": cast.stranger.id});
    stage.post(&tasks, Some(owner), outsider).await?.refuses(
        422,
        "invalid-fields",
        "nobody outside the org can be given work",
    )?;

    let page = stage
        .get(&format!("{tasks}?limit=1"), Some(member))
        .await?
        .has("/items/0/id", &json!(own))?
        .shows(200, "lists come newest first, page by page")?;
    let cursor = text(&page, "/next_cursor")?;
    stage
        .get(&format!("{tasks}?limit=1&cursor={cursor}"), Some(member))
        .await?
        .has("/items/0/id", &json!(theirs))?
        .has("/next_cursor", &json!(null))?
        .shows(200, "and end")?;
    stage.get(&task(&own), Some(&cast.stranger.token)).await?.refuses(
        404,
        "not-found",
        "a stranger sees none of it",
    )?;
    Ok(())
}
