//! `mt-server seed`: creates sample data, or data for load tests.
//!
//! It writes to the database of the settings, whether or not a server is running, and names that database on stderr.
//! It may be repeated. Not for production. Exit codes: 0 success; 1 failure; 2 wrong usage.

use clap::{Args, ValueEnum};
use embedded_postgres::DataDir;
use indicatif::{ProgressBar, ProgressStyle};
use mt_core::billing::StandingPolicy;
use mt_core::text_enum::TextEnum as _;
use mt_service::commands::Table;
use mt_service::output::{print, print_json};
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use super::CommandError;
use super::operate::on_database;
use crate::config::Config;
use crate::seed::{ACME, Ground, K6, Known, Size, load, seed};

/// The arguments of `seed`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Adds orgs for load tests: `small` 100 orgs with a thousand tasks in all, `medium` 1 000 with a hundred
    /// thousand, `large` 10 000 with ten million.
    #[arg(long)]
    size: Option<SizeName>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SizeName {
    Small,
    Medium,
    Large,
}

impl From<SizeName> for Size {
    fn from(name: SizeName) -> Self {
        match name {
            SizeName::Small => Self::SMALL,
            SizeName::Medium => Self::MEDIUM,
            SizeName::Large => Self::LARGE,
        }
    }
}

/// The maximum number of concurrent transactions; more would wait for each other's commits.
const CONNECTIONS: usize = 8;

pub(super) async fn run(config: &Config, arguments: Arguments) -> Result<(), CommandError> {
    if config.app_env.is_prod() {
        return Err("`APP_ENV` is `prod`: its well-known users are for dev and test only".into());
    }
    let connections = match &config.database.url {
        Some(_) => CONNECTIONS.min(config.database.max_connections.get() as usize),
        None => 1,
    };
    let size = arguments.size.map(Size::from);
    let seeded = on_database(config, async |database| {
        let standing = StandingPolicy::default().with_grace(config.billing_grace);
        let ground = Ground { system: database.system(), tenants: database.tenants(standing) };
        run_seed(&ground, size, connections).await
    })
    .await?;
    note(&database_name(config)?);
    if arguments.json {
        return print_json(&seeded);
    }
    print(&as_text(&seeded, config.base_url.as_str()))
}

/// Prints a note on stderr, because stdout is for the command's data.
#[expect(clippy::print_stderr, reason = "stdout is for the command's data")]
fn note(database: &str) {
    eprintln!("mt-server: wrote to {database}");
}

/// Returns the name of the database in the settings, without a password.
fn database_name(config: &Config) -> Result<String, CommandError> {
    let Some(url) = &config.database.url else {
        return Ok(match DataDir::of_user(|name| std::env::var_os(name))? {
            DataDir::Persistent(path) => format!("the embedded Postgres in {}", path.display()),
            DataDir::Temporary => "a temporary embedded Postgres".to_owned(),
        });
    };
    let login: PgConnectOptions = url.reveal().parse()?;
    let database = login.get_database().unwrap_or(login.get_username());
    Ok(match login.get_socket() {
        Some(socket) => {
            format!("the database `{database}` of the Postgres at {}", socket.display())
        }
        None => format!(
            "the database `{database}` of the Postgres at {}:{}",
            login.get_host(),
            login.get_port()
        ),
    })
}

async fn run_seed(
    ground: &Ground,
    size: Option<Size>,
    connections: usize,
) -> Result<Seeded, CommandError> {
    seed(ground, &ACME).await?;
    let Some(size) = size else { return Ok(Seeded { known: (&ACME).into(), load: None }) };
    seed(ground, &K6).await?;
    // Shown on stderr if that is a terminal.
    let progress = ProgressBar::new(size.orgs.into());
    progress.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} orgs, {eta} left")?);
    let loaded = load(ground, size, connections, || progress.inc(1)).await;
    progress.finish_and_clear();
    loaded?;
    let tasks = u64::from(size.orgs) * u64::from(size.tasks);
    let load = Load { orgs: size.orgs, tasks, k6: (&K6).into() };
    Ok(Seeded { known: (&ACME).into(), load: Some(load) })
}

/// The result of a seed, for output.
#[derive(Debug, Serialize)]
struct Seeded {
    #[serde(flatten)]
    known: KnownView,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
}

#[derive(Debug, Serialize)]
struct Load {
    orgs: u32,
    tasks: u64,
    k6: KnownView,
}

#[derive(Debug, Serialize)]
struct KnownView {
    org_id: Uuid,
    project_id: Uuid,
    task_id: Uuid,
    users: Vec<UserView>,
}

#[derive(Debug, Serialize)]
struct UserView {
    email: String,
    role: &'static str,
}

impl From<&Known> for KnownView {
    fn from(known: &Known) -> Self {
        let users = known.users().map(|(email, role)| UserView { email, role: role.as_str() });
        Self {
            org_id: known.org,
            project_id: known.project,
            task_id: known.task,
            users: users.collect(),
        }
    }
}

fn as_text(seeded: &Seeded, base_url: &str) -> String {
    let mut text = of_known(&seeded.known);
    if let Some(load) = &seeded.load {
        let (orgs, tasks) = (load.orgs, load.tasks);
        text = format!("{text}\n{orgs} more orgs with {tasks} tasks, and one for k6:\n\n");
        text += &of_known(&load.k6);
    }
    let email = seeded.known.users.first().map_or("", |user| user.email.as_str());
    text + &format!(
        "\nTo sign in, ask for a link. It is mailed where SMTP_URL is set, and here its token is in the \
         answer too:\n\n\
         curl -s {base_url}/auth/request-link -H 'content-type: application/json' \
         -d '{{\"email\":\"{email}\"}}'\n\
         curl -s {base_url}/auth/redeem -H 'content-type: application/json' -d '{{\"token\":\"…\"}}'\n"
    )
}

fn of_known(known: &KnownView) -> String {
    let mut ids = Table::new(&[]);
    for (name, id) in
        [("org", known.org_id), ("project", known.project_id), ("task", known.task_id)]
    {
        ids.row([name.to_owned(), id.to_string()]);
    }
    for user in &known.users {
        ids.row([user.role.to_owned(), user.email.clone()]);
    }
    ids.to_string()
}
