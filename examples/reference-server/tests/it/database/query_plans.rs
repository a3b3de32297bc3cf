//! Query plans: hot queries use indexes that begin with the tenant, so their cost does not grow with other
//! tenants.
//!
//! The statements are overheard from the server, so that what is explained is what is sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use mt_core::testing::{Relay, TestDatabase};
use reference_server::schema;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use crate::support::Server;

/// A statement as the server has prepared it, and one call of it.
struct Statement {
    prepare: String,
    execute: String,
}

struct Fixture {
    db: Arc<TestDatabase>,
    org: String,
    owner: String,
    statements: BTreeMap<&'static str, Statement>,
}

impl Fixture {
    /// A server with one org, and what it says for each hot request.
    async fn new() -> Self {
        let db = Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap());
        let relay = Relay::start(&db.login()).await.unwrap();
        let url = relay.url_through(db.login());
        let one = [("DATABASE_URL", url.as_str()), ("DATABASE_MAX_CONNECTIONS", "1")];
        let server = Server::start_on(Arc::clone(&db), &one).await;
        let owner = server.sign_in("owner").await;
        let org = server.org(&owner).await;
        let projects = format!("{org}/projects");
        let project = server.make(&projects, &owner, json!({"name": "One"})).await;
        let tasks = format!("{projects}/{project}/tasks");
        let mut task = String::new();
        for number in 0..60 {
            task = server.make(&tasks, &owner, json!({"title": format!("Task {number}")})).await;
        }
        let mut statements = BTreeMap::new();
        let mut said = relay.take_round_trips();
        for (name, table, path) in [
            ("facts", "from (select 1) one", org.clone()),
            ("a page of tasks", "from app.tasks", tasks.clone()),
            ("a page of tasks of a status", "and status = $5", format!("{tasks}?status=todo")),
            ("a task", "from app.tasks where tenant_id = $1 and id", format!("{org}/tasks/{task}")),
            ("a page of projects", "from app.projects", projects.clone()),
            (
                "a project",
                "from app.projects where tenant_id = $1 and id = $2",
                format!("{projects}/{project}"),
            ),
        ] {
            let answer = server.send(Method::GET, &path, Some(&owner.token), None).await;
            assert_eq!(answer.status, 200, "{path}");
            let new = relay.take_round_trips();
            let statement = find(&said, &new, table);
            said.extend(new);
            statements.insert(name, statement.unwrap_or_else(|| panic!("{name}: {said:#?}")));
        }
        server.stop().await;
        let owner = owner.id.clone();
        let org = org.trim_start_matches("/orgs/").to_owned();
        Self { db, org, owner, statements }
    }

    /// More orgs, each with as many tasks as ours.
    async fn others(&self, orgs: u32) {
        self.run(&format!(
            "with made as (insert into mt.tenants (id, name) \
                 select gen_random_uuid(), 'Other' from generate_series(1, {orgs}) returning id), \
             people as (insert into mt.users (id, email) \
                 select id, id || '@example.org' from made), \
             members as (insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
                 select id, id, 'owner', true from made), \
             projects as (insert into app.projects (tenant_id, id, name) \
                 select id, id, 'One' from made) \
             insert into app.tasks (tenant_id, id, project_id, title, created_by) \
                 select id, gen_random_uuid(), id, 'Task', id \
                 from made, generate_series(1, 60)"
        ))
        .await;
        self.run("vacuum analyze").await;
    }

    async fn run(&self, sql: &str) {
        self.db.admin().execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    }

    /// How a statement is carried out, as its plan for any values, in a transaction like the server's.
    async fn plan(&self, statement: &Statement) -> Plan {
        let mut conn = self.db.admin().acquire().await.unwrap();
        let role = if statement.prepare.contains("mt.users") { "mt_authority" } else { "mt_app" };
        say(
            &mut conn,
            format!(
                "begin; set local plan_cache_mode = force_generic_plan; \
                 call mt.seal('{}', '{}', ''); set local role {role}; {}",
                self.org, self.owner, statement.prepare
            ),
        )
        .await;
        let explain =
            format!("explain (analyze, buffers, timing off, format json) {}", statement.execute);
        // The first execution reads the catalogue too, and so does one after autovacuum has changed it. Those pages do
        // not belong to the plan, so the least of a few executions counts.
        let mut least: Option<Plan> = None;
        for _ in 0..5 {
            let said: Value = sqlx::query_scalar(AssertSqlSafe(explain.clone()))
                .fetch_one(&mut *conn)
                .await
                .unwrap();
            let plan = Plan::read(&said[0]["Plan"]);
            if least.as_ref().is_none_or(|least| plan.blocks < least.blocks) {
                least = Some(plan);
            }
        }
        let name = statement.prepare.split(['(', ' ']).nth(1).unwrap();
        say(&mut conn, format!("rollback; deallocate {name}")).await;
        least.unwrap()
    }
}

async fn say(conn: &mut PgConnection, sql: String) {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
}

/// What was prepared last whose text holds `part`, among what was said before and what was said new, and how
/// it was called now.
fn find(said: &[String], new: &[String], part: &str) -> Option<Statement> {
    let all = || said.iter().chain(new).flat_map(|trip| trip.split("; "));
    let prepare = all().filter(|sql| sql.starts_with("prepare ") && sql.contains(part)).last()?;
    let name = prepare.split(['(', ' ']).nth(1)?;
    let execute = new.iter().flat_map(|trip| trip.split("; "));
    let call = format!("execute {name}(");
    let execute = execute.filter(|sql| sql.starts_with(&call)).last()?;
    Some(Statement { prepare: prepare.to_owned(), execute: execute.to_owned() })
}

#[derive(Debug, Default)]
struct Plan {
    /// Pages that were looked at.
    blocks: u64,
    nodes: Vec<String>,
    /// Scans with what they go by in the index.
    scans: Vec<(String, String)>,
}

impl Plan {
    fn read(root: &Value) -> Self {
        let blocks = |name: &str| root[name].as_u64().unwrap_or(0);
        let blocks = blocks("Shared Hit Blocks") + blocks("Shared Read Blocks");
        let mut plan = Self { blocks, ..Self::default() };
        plan.add(root);
        plan
    }

    fn add(&mut self, node: &Value) {
        let text = |name: &str| node[name].as_str().unwrap_or_default().to_owned();
        self.nodes.push(text("Node Type"));
        // What was not carried out costs nothing.
        if node["Relation Name"].is_string() && node["Actual Loops"] != 0 {
            let scan = format!("{} on {}", text("Node Type"), text("Relation Name"));
            self.scans.push((scan, text("Index Cond")));
        }
        for child in node["Plans"].as_array().into_iter().flatten() {
            self.add(child);
        }
    }

    /// The part of the plan that grows with other tenants.
    fn offences(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (scan, condition) in &self.scans {
            // A user's row belongs to no tenant: it is found by its id.
            let by_tenant = ["tenant_id = ", "(id = "].iter().any(|by| condition.contains(by));
            if !scan.starts_with("Index") || !by_tenant {
                found.push(format!("{scan} by `{condition}`"));
            }
        }
        found.extend(self.nodes.iter().filter(|node| node.contains("Sort")).cloned());
        found
    }
}

#[tokio::test]
async fn hot_queries_use_indexes_that_begin_with_the_tenant() {
    let fixture = Fixture::new().await;
    fixture.others(100).await;
    let mut few = BTreeMap::new();
    for (name, statement) in &fixture.statements {
        few.insert(*name, fixture.plan(statement).await.blocks);
    }
    fixture.others(900).await;
    for (name, statement) in &fixture.statements {
        let plan = fixture.plan(statement).await;
        assert_eq!(plan.offences(), Vec::<String>::new(), "{name}: {plan:#?}");
        // Ten times the tenants may make each index that is walked a level deeper, and rows may lie across
        // the border of two pages.
        let slack = 2 * u64::try_from(plan.scans.len()).unwrap();
        let before = few[name];
        assert!(plan.blocks <= before + slack, "{name}: {before} blocks, then {plan:#?}");
    }

    // The control: without its index a list is another thing, and is found out.
    fixture.run("drop index app.tasks_project_idx, app.tasks_project_status_idx").await;
    let spoilt = fixture.plan(&fixture.statements["a page of tasks"]).await;
    assert!(
        !spoilt.offences().is_empty() || spoilt.blocks > 2 * few["a page of tasks"],
        "{spoilt:#?}"
    );
    fixture.run("alter table app.projects drop constraint projects_pkey cascade").await;
    let spoilt = fixture.plan(&fixture.statements["a page of projects"]).await;
    assert!(!spoilt.offences().is_empty(), "{spoilt:#?}");
}
