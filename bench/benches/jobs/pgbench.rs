//! pgbench, with the statements that the library sends for one job.

use std::path::PathBuf;
use std::str::FromStr as _;

use mt_core::pg::{Database, DatabaseOptions, Statements};
use mt_core::testing::Relay;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};
use tokio::process::Command;

use super::PART;
use super::engine::jobs;
use super::world::{TEXT, World};

/// A script of pgbench, and how many transactions a second it says to have run.
pub(crate) struct Script {
    file: PathBuf,
    url: String,
}

/// The messages of one job, as the library sends them: claim, opening, handler, mark. Values are written out in them.
pub(crate) struct Messages {
    claim: Vec<String>,
    run: Vec<Vec<String>>,
}

impl Messages {
    /// Records one job on the wire.
    pub(crate) async fn overhear(world: &World) -> Self {
        let relay = Relay::start(&world.db.login()).await.expect("a relay");
        let options = DatabaseOptions::new(relay.through(world.db.login())).max_connections(1);
        // With names, a message would show values alone.
        let options = options.statements(Statements::Unnamed);
        let database = Database::connect(options).await.expect("a pool");
        let jobs = jobs(&database);
        world.empty().await;
        world.add(2, 1).await;
        // The first one also reads what a process reads once.
        assert!(jobs.run_next().await.expect("a database"), "no job is ready");
        drop(relay.take_round_trips());
        assert!(jobs.run_next().await.expect("a database"), "no job is ready");
        let mut heard = relay.take_round_trips();
        // A statement of sqlx takes two round trips where it is prepared.
        heard.dedup();
        let claim = heard.iter().position(|message| message.contains("with next as"));
        let mut heard = heard.split_off(claim.expect("a claim")).into_iter();
        let mut claim = statements(&heard.next().unwrap_or_default());
        claim.extend(statements(&heard.next().unwrap_or_default()));
        let run: Vec<Vec<String>> = heard.map(|message| statements(&message)).collect();
        assert_eq!(claim.last().map(String::as_str), Some("commit"), "{claim:?}");
        assert_eq!(run.len(), 3, "opening, handler, mark: {run:?}");
        Self { claim, run }
    }

    /// A whole job, a round trip a statement.
    pub(crate) async fn whole(&self, world: &World) -> Script {
        let run = self.filled(world).await;
        Script::write(world, "whole", &(self.claim_script() + &lines(&run.concat())))
    }

    /// A whole job, with the messages of the library sent at once from the opening on.
    pub(crate) async fn pipelined(&self, world: &World) -> Script {
        let mut script = self.claim_script();
        for message in self.filled(world).await {
            script += "\\startpipeline\n";
            script += &lines(&message);
            script += "\\endpipeline\n";
        }
        Script::write(world, "pipelined", &script)
    }

    /// The statements of the claim, in a transaction of their own.
    pub(crate) fn claim(&self) -> &[String] {
        &self.claim
    }

    fn claim_script(&self) -> String {
        let mut script = String::new();
        for sql in &self.claim {
            let sql = sql.replace("j.payload", "j.payload ->> 'ticket' as ticket");
            // The job that was claimed goes into variables.
            script += &sql;
            script += if sql.starts_with("with next") { " \\gset\n" } else { ";\n" };
        }
        script
    }

    /// The messages that run the job, with variables in place of the recorded one's ids.
    async fn filled(&self, world: &World) -> Vec<Vec<String>> {
        let ids = "select j.tenant_id::text, j.principal_id::text, j.id::text from mt.jobs j \
             order by done_at desc limit 1";
        let ids = sqlx::query(ids).fetch_one(world.db.admin()).await.expect("the job");
        let [tenant, principal, job]: [String; 3] = std::array::from_fn(|place| ids.get(place));
        let filled = |sql: &String| {
            if sql.starts_with("call mt.enter(") {
                return "call public.enter(:tenant_id, :principal_id, '', 0, :ticket)".to_owned();
            }
            let sql = match sql.split_once(&format!("mt.finish_job('{job}'")) {
                Some((before, _)) => format!("{before}mt.finish_job(:id, :lease_token)"),
                None => sql.clone(),
            };
            let sql = sql.replace("$1", &format!("'{TEXT}'"));
            let sql = sql.replace(&format!("'{tenant}'"), ":tenant_id");
            let sql = sql.replace(&format!("'{principal}'"), ":principal_id");
            assert!(!sql.contains('$') && !sql.contains(&tenant) && !sql.contains(&job), "{sql}");
            sql
        };
        self.run.iter().map(|message| message.iter().map(filled).collect()).collect()
    }
}

/// The statements of a message, with single blanks.
fn statements(message: &str) -> Vec<String> {
    let single = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    message.split("; ").map(single).collect()
}

/// Statements as lines of a script, each of which pgbench sends as a message.
fn lines(statements: &[String]) -> String {
    statements.join(";\n") + ";\n"
}

impl Script {
    fn write(world: &World, name: &str, text: &str) -> Self {
        let database = world.db.login();
        let database = database.get_database().unwrap_or_default();
        let file = std::env::temp_dir().join(format!("{database}_{name}.sql"));
        std::fs::write(&file, text).expect("a script");
        let mut url = admin(database).to_url_lossy();
        // libpq does not know the parameters that only sqlx has.
        url.set_query(None);
        Self { file, url: url.to_string() }
    }

    /// Runs it for one part, and returns the transactions a second that pgbench reports.
    pub(crate) async fn run(&self, clients: u16) -> f64 {
        let output = Command::new("pgbench")
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=1"])
            .arg(format!("--client={clients}"))
            .arg(format!("--time={}", PART.as_secs()))
            .arg(format!("--file={}", self.file.display()))
            .arg(&self.url)
            .output()
            .await
            .expect("`pgbench`, which comes with Postgres");
        let said = String::from_utf8_lossy(&output.stdout);
        let wrong = String::from_utf8_lossy(&output.stderr);
        let is_well =
            output.status.success() && !wrong.contains("rror") && !wrong.contains("aborted");
        assert!(is_well, "{said}{wrong}");
        let rate = said
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        rate.expect("pgbench says how many")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// The login of a superuser.
pub(crate) fn admin(database: &str) -> PgConnectOptions {
    let server = std::env::var("MT_TEST_DATABASE_URL").expect("it was looked for before");
    PgConnectOptions::from_str(&server).expect("a URL").database(database)
}
