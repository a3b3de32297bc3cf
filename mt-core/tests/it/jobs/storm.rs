//! Each job has its effect exactly once while workers and Postgres are killed.
//!
//! Several processes run jobs on one Postgres server of the test. They are killed at any moment, Postgres crashes in the
//! middle, and some attempts fail after their effect. Jobs are enqueued meanwhile by transactions, some of which are rolled
//! back. The effect is a row that is not idempotent: in the end there is one for each job that was committed.
//!
//! The control commits the effect in a transaction of its own, and must be caught. `make bench WHAT=job-storm` is the long
//! version.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use mt_core::billing::StandingPolicy;
use mt_core::pg::jobs::JobWorkers;
use mt_core::pg::{Database, DatabaseOptions, Tenants};
use mt_core::testing::TestDatabase;
use test_support::postgres::{PostgresServer, Shutdown};

use super::*;

const DATABASE: &str = "MT_STORM_DATABASE";
const SPLIT: &str = "MT_STORM_SPLIT";

/// Not a test: the entry point of the child processes. Without the variable it does nothing.
#[test]
#[ignore = "the tests start it as a child process"]
fn process() {
    let Ok(url) = std::env::var(DATABASE) else { return };
    // The parent holds the other end, which is closed when the parent ends.
    std::thread::spawn(|| {
        _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let database = loop {
            // Postgres may be restarting.
            let options = DatabaseOptions::new(url.parse().unwrap()).max_connections(8);
            match Database::connect(options).await {
                Ok(database) => break database,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        let tenants = database.tenants(StandingPolicy::default());
        let split = std::env::var_os(SPLIT).map(|_| tenants.clone());
        // The control needs two connections for each job, out of the share of one service.
        let count = if split.is_some() { 1 } else { 4 };
        let retry = RetryPolicy {
            max_attempts: 100_000,
            backoff: Duration::from_millis(20),
            lease: Duration::from_secs(1),
            ..RetryPolicy::default()
        };
        let policy = JobPolicy { retry, ..JobPolicy::default() };
        let jobs = Jobs::new(&tenants, policy).register::<ServiceNote, _>(Counting { split });
        let poll = Duration::from_millis(50);
        let workers = JobWorkers { count, poll, ..JobWorkers::default() };
        Arc::new(jobs).work(workers, std::future::pending()).await;
    });
}

struct Counting {
    /// Where the control commits its effect.
    split: Option<Tenants<Acme>>,
}

impl JobHandler<ServiceNote> for Counting {
    async fn handle(
        &self,
        job: ServiceNote,
        tx: &mut JobTx<ServiceNote>,
        _: &JobRun,
    ) -> Result<(), JobError> {
        match &self.split {
            None => write_note(tx, &job.0.text).await,
            Some(tenants) => {
                let own = tenants.begin_as::<Archivist, NotesWrite>(tx.tenant()).await;
                let failed = |_| JobError::Failed(Failure::new("begin", "it did not open"));
                let mut own = own.map_err(failed)?;
                write_note(&mut own, &job.0.text).await;
                own.commit().await?;
            }
        }
        if uuid::Uuid::new_v4().as_u128().is_multiple_of(10) {
            // After the effect, which has to be rolled back with the attempt.
            return Err(JobError::Failed(Failure::new("injected", "an injected failure")));
        }
        Ok(())
    }
}

fn spawn(url: &str, is_split: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["jobs::storm::process", "--exact", "--ignored", "--nocapture"])
        .env(DATABASE, url)
        // Closed when this process ends, for any reason.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if is_split {
        command.env(SPLIT, "1");
    }
    command.spawn().unwrap()
}

/// The processes that run jobs. They are killed when dropped.
struct Processes(Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

#[derive(Debug)]
struct Figures {
    jobs: i64,
    effects: i64,
    killed: usize,
    restarts: usize,
    attempts: i64,
}

/// Enqueues a batch in one transaction. An error may come from a crash: the batch is committed as a whole or not at all.
async fn enqueue_batch(
    world: &World,
    owner: Principal,
    tenant: TenantId,
    numbers: std::ops::Range<u32>,
) {
    let request = AccessRequest::<NotesWrite>::new(owner, tenant);
    let Ok(mut tx) = world.tenants.begin(request).await else { return };
    for number in numbers.clone() {
        let job = ServiceNote(note(&number.to_string(), ""));
        if enqueue(&mut tx, &job).await.is_err() {
            return;
        }
    }
    _ = if numbers.start.is_multiple_of(3) { tx.rollback().await } else { tx.commit().await };
}

async fn blow(batches: u32, restarts: usize, is_split: bool) -> Figures {
    let mut server = PostgresServer::start().await;
    let db = match &server {
        Some(server) => TestDatabase::create_on(server.superuser(), &[]).await,
        None => TestDatabase::create().await,
    };
    let world = World::on(db.unwrap(), 4).await;
    let owner = world.user("ada").await;
    let mut tenants = Vec::new();
    for _ in 0..4 {
        tenants.push(world.tenant(owner).await);
    }
    let url = world.db.login_url();
    let mut processes = Processes((0..3).map(|_| spawn(&url, is_split)).collect());
    let (mut killed, mut restarted) = (0, 0);
    for batch in 0..batches {
        let tenant = tenants[batch as usize % tenants.len()];
        enqueue_batch(&world, owner, tenant, batch * 10..batch * 10 + 10).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
        if batch % 4 == 0 {
            let victim = killed % processes.0.len();
            processes.0[victim].kill().unwrap();
            processes.0[victim].wait().unwrap();
            processes.0[victim] = spawn(&url, is_split);
            killed += 1;
        }
        let is_due = (restarted + 1) * batches as usize <= (restarts + 1) * batch as usize;
        if let Some(server) = server.as_mut().filter(|_| restarted < restarts && is_due) {
            server.stop(Shutdown::Immediate).await;
            server.restart().await;
            restarted += 1;
        }
    }
    let left = "select count(*) from mt.jobs where status <> 'done'";
    let draining = async {
        while sqlx::query_scalar::<_, i64>(left).fetch_one(world.db.admin()).await.ok() != Some(0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), draining).await.expect("jobs are left over");
    drop(processes);
    let pairs = "select count(*) from mt.jobs j join public.notes n \
         on n.tenant_id = j.tenant_id and n.text = j.payload ->> 'text'";
    assert!(world.count(pairs).await >= world.count("select count(*) from mt.jobs").await);
    Figures {
        jobs: world.count("select count(*) from mt.jobs").await,
        effects: world.count("select count(*) from public.notes").await,
        killed,
        restarts: restarted,
        attempts: world.count("select sum(attempts)::bigint from mt.jobs").await,
    }
}

fn from_env(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_job_has_its_effect_exactly_once_despite_kills() {
    let restarts = from_env("MT_STORM_RESTARTS", 1) as usize;
    for round in 1..=from_env("MT_STORM_ROUNDS", 1) {
        let figures = blow(from_env("MT_STORM_EVENTS", 600) / 10, restarts, false).await;
        println!("round {round}: {figures:?}");
        assert!(figures.jobs > 0 && figures.killed > 0, "{figures:?}");
        assert_eq!(figures.effects, figures.jobs, "round {round}: {figures:?}");
        assert!(figures.attempts > figures.jobs, "no attempt failed: {figures:?}");
        assert!(figures.restarts <= restarts, "{figures:?}");
    }
}

/// The control.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effect_in_a_transaction_of_its_own_happens_twice() {
    let figures = blow(20, 0, true).await;
    assert!(figures.effects > figures.jobs, "the test would not have noticed: {figures:?}");
}
