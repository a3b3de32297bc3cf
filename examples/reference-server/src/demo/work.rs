//! Projects up to the cap, and tasks with assignees.

use reqwest::Method;
use serde_json::json;

use super::DemoFailure;
use super::runner::{Runner, text};
use super::team::Users;

/// Creates as many projects as the free plan allows, and one more.
pub(super) async fn fill_the_free_plan(
    runner: &mut Runner<'_>,
    users: &Users,
) -> Result<Vec<String>, DemoFailure> {
    runner.section("The free plan has room for three projects")?;
    let path = format!("/orgs/{}/projects", users.org);
    let owner = Some(users.owner.token.as_str());
    runner.post(&path, Some(&users.member.token), json!({"name": "Mine"})).await?.refuses(
        403,
        "forbidden",
        "projects are for owners and admins",
    )?;
    let mut projects = Vec::new();
    for (number, name) in ["Launch", "Website", "Garden"].into_iter().enumerate() {
        let made = runner
            .post(&path, owner, json!({"name": name}))
            .await?
            .shows(201, &format!("project {} of 3", number + 1))?;
        projects.push(text(&made, "/id")?);
    }
    runner
        .post(&path, owner, json!({"name": "Too many"}))
        .await?
        .has("/resource", &json!("projects"))?
        .has("/cap", &json!(3))?
        .refuses(402, "cap-reached", "the fourth needs another plan")?;
    runner.post(&path, owner, json!({"name": "", "colour": "red"})).await?.refuses(
        422,
        "invalid-fields",
        "an invalid body gets an error for each field",
    )?;
    Ok(projects)
}

/// Creates and changes tasks: every member may create them, and members change their own.
pub(super) async fn share_tasks(
    runner: &mut Runner<'_>,
    users: &Users,
    projects: &[String],
) -> Result<(), DemoFailure> {
    runner.section("Tasks")?;
    let (owner, member) = (users.owner.token.as_str(), users.member.token.as_str());
    let project = projects.first().map_or("", String::as_str);
    let tasks = format!("/orgs/{}/projects/{project}/tasks", users.org);
    let task = |id: &str| format!("/orgs/{}/tasks/{id}", users.org);

    let theirs = runner
        .post(&tasks, Some(owner), json!({"title": "Sign the lease"}))
        .await?
        .has("/status", &json!("todo"))?
        .shows(201, "the owner creates a task")?;
    let theirs = text(&theirs, "/id")?;
    let own = runner
        .post(&tasks, Some(member), json!({"title": "Paint the door", "description": "Blue."}))
        .await?
        .has("/created_by", &json!(users.member.id))?
        .shows(201, "the member creates another")?;
    let own = text(&own, "/id")?;
    let done = json!({"status": "done"});
    runner
        .send(Method::PATCH, &task(&own), Some(member), Some(done.clone()))
        .await?
        .has("/status", &json!("done"))?
        .shows(200, "and finishes it: it is their own")?;
    runner.send(Method::PATCH, &task(&theirs), Some(member), Some(done.clone())).await?.refuses(
        403,
        "forbidden",
        "the owner's task is not",
    )?;
    let assign = json!({"assigned_to": users.member.id});
    runner
        .send(Method::PATCH, &task(&theirs), Some(owner), Some(assign))
        .await?
        .shows(200, "until it is assigned to them")?;
    runner
        .send(Method::PATCH, &task(&theirs), Some(member), Some(done))
        .await?
        .shows(200, "now it is")?;
    let outsider = json!({"title": "Spy", "assigned_to": users.stranger.id});
    runner.post(&tasks, Some(owner), outsider).await?.refuses(
        422,
        "invalid-fields",
        "tasks can be assigned to members only",
    )?;

    let page = runner
        .get(&format!("{tasks}?limit=1"), Some(member))
        .await?
        .has("/items/0/id", &json!(own))?
        .shows(200, "lists come newest first, page by page")?;
    let cursor = text(&page, "/next_cursor")?;
    runner
        .get(&format!("{tasks}?limit=1&cursor={cursor}"), Some(member))
        .await?
        .has("/items/0/id", &json!(theirs))?
        .has("/next_cursor", &json!(null))?
        .shows(200, "and end")?;
    runner.get(&task(&own), Some(&users.stranger.token)).await?.refuses(
        404,
        "not-found",
        "a stranger sees none of it",
    )?;
    Ok(())
}
