//! Each job has its effect exactly once while everything is killed: those who enqueue, workers, and Postgres.
//!
//! Several processes run jobs on one Postgres server of the test, and one enqueues them, in transactions that note what they
//! want and of which some are rolled back. All of them are killed at any moment, Postgres crashes in the middle, and some
//! attempts fail after their effect. The effect is a row that is not idempotent: in the end there is one for each job that
//! a committed transaction wanted, and no other.
//!
//! The control commits the effect in a transaction of its own, and must be caught. `make bench WHAT=job-storm` is the long
//! version.

use std::fmt::Write as _;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use mt_core::billing::StandingPolicy;
use mt_core::id::PrincipalId;
use mt_core::pg::jobs::JobWorkers;
use mt_core::pg::{Database, DatabaseOptions, Tenants};
use mt_core::testing::TestDatabase;
use test_support::postgres::{PostgresServer, Shutdown};

use super::*;

const DATABASE: &str = "MT_STORM_DATABASE";
const SPLIT: &str = "MT_STORM_SPLIT";
/// Whose jobs a process enqueues, in which tenants, and the number of its first one. Without it, it runs jobs.
const ENQUEUES: &str = "MT_STORM_ENQUEUES";

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
        if let Ok(what) = std::env::var(ENQUEUES) {
            return enqueue_forever(&tenants, &what).await;
        }
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

/// What a process is started for.
enum Work<'a> {
    Enqueue(&'a str),
    Run,
    /// The control.
    RunSplit,
}

fn spawn(url: &str, work: &Work<'_>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["jobs::storm::process", "--exact", "--ignored", "--nocapture"])
        .env(DATABASE, url)
        // Closed when this process ends, for any reason.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match work {
        Work::Enqueue(what) => command.env(ENQUEUES, what),
        Work::Run => &mut command,
        Work::RunSplit => command.env(SPLIT, "1"),
    };
    command.spawn().unwrap()
}

/// Processes that are killed when dropped.
struct Processes(Vec<Child>);

impl Processes {
    /// Kills one by SIGKILL, and starts another in its place.
    fn replace(&mut self, place: usize, url: &str, work: &Work<'_>) {
        self.0[place].kill().unwrap();
        self.0[place].wait().unwrap();
        self.0[place] = spawn(url, work);
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// Enqueues batches, one after the other, until the process is killed.
async fn enqueue_forever(tenants: &Tenants<Acme>, what: &str) {
    let mut words = what.split(' ');
    let id = |word: &str| word.parse::<uuid::Uuid>().unwrap();
    let owner = Principal::new(PrincipalId::from_uuid(id(words.next().unwrap())));
    let mut number: u64 = words.next().unwrap().parse().unwrap();
    let places: Vec<TenantId> = words.map(|word| TenantId::from_uuid(id(word))).collect();
    for tenant in places.into_iter().cycle() {
        // An error comes from a crash: the batch is committed as a whole or not at all.
        _ = enqueue_batch(tenants, owner, tenant, number..number + 10).await;
        number += 10;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Enqueues a batch in one transaction, with a note for each job that it wants. One in three is rolled back.
async fn enqueue_batch(
    tenants: &Tenants<Acme>,
    owner: Principal,
    tenant: TenantId,
    numbers: std::ops::Range<u64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut tx = tenants.begin(AccessRequest::<NotesWrite>::new(owner, tenant)).await?;
    let is_wanted = !(numbers.start / 10).is_multiple_of(3);
    for number in numbers {
        sqlx::query("insert into public.notes (tenant_id, text) values ($1, 'wanted ' || $2)")
            .bind(tenant.as_uuid())
            .bind(number.to_string())
            .execute(tx.query::<NotesWrite>())
            .await?;
        enqueue(&mut tx, &ServiceNote(note(&number.to_string(), ""))).await?;
    }
    if is_wanted {
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(())
}

#[derive(Debug)]
struct Figures {
    wanted: i64,
    jobs: i64,
    effects: i64,
    /// Jobs that are wanted and have not exactly one effect.
    wrong: i64,
    killed: usize,
    restarts: usize,
    attempts: i64,
}

const WANTED: &str = "select count(*) from public.notes where text like 'wanted %'";
const WRONG: &str = "select count(*) from public.notes w where w.text like 'wanted %' and 1 <> \
     (select count(*) from public.notes n where n.tenant_id = w.tenant_id and 'wanted ' || n.text = w.text)";

async fn blow(enough: i64, restarts: usize, is_split: bool) -> Figures {
    let mut server = PostgresServer::start().await;
    let db = match &server {
        Some(server) => TestDatabase::create_on(server.superuser(), &[]).await,
        None => TestDatabase::create().await,
    };
    let world = World::on(db.unwrap(), 4).await;
    let owner = world.user("ada").await;
    let mut places = String::new();
    for _ in 0..4 {
        _ = write!(places, " {}", world.tenant(owner).await);
    }
    let url = world.db.login_url();
    let run = if is_split { Work::RunSplit } else { Work::Run };
    let mut workers = Processes((0..3).map(|_| spawn(&url, &run)).collect());
    let enqueues = |start: usize| format!("{} {}{places}", owner.id(), start * 1_000_000);
    let mut enqueuer = Processes(vec![spawn(&url, &Work::Enqueue(&enqueues(0)))]);
    let (mut killed, mut restarted, mut wanted) = (0, 0, 0);
    while wanted < enough {
        // Not for synchronisation: the time between two faults.
        tokio::time::sleep(Duration::from_millis(150)).await;
        match killed % 4 {
            3 => enqueuer.replace(0, &url, &Work::Enqueue(&enqueues(killed))),
            worker => workers.replace(worker, &url, &run),
        }
        killed += 1;
        wanted = sqlx::query_scalar(WANTED).fetch_one(world.db.admin()).await.unwrap_or(wanted);
        let part = enough / (i64::try_from(restarts).unwrap() + 1);
        let is_due = wanted >= part * (i64::try_from(restarted).unwrap() + 1);
        if let Some(server) = server.as_mut().filter(|_| restarted < restarts && is_due) {
            server.stop(Shutdown::Immediate).await;
            server.restart().await;
            restarted += 1;
        }
    }
    drop(enqueuer);
    let left = "select count(*) from mt.jobs where status <> 'done'";
    let draining = async {
        while sqlx::query_scalar::<_, i64>(left).fetch_one(world.db.admin()).await.ok() != Some(0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), draining).await.expect("jobs are left over");
    drop(workers);
    Figures {
        wanted: world.count(WANTED).await,
        jobs: world.count("select count(*) from mt.jobs").await,
        effects: world
            .count("select count(*) from public.notes where text not like 'wanted %'")
            .await,
        wrong: world.count(WRONG).await,
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
        let figures = blow(from_env("MT_STORM_EVENTS", 400).into(), restarts, false).await;
        println!("round {round}: {figures:?}");
        assert!(figures.wanted > 0 && figures.killed > 3, "{figures:?}");
        assert_eq!(figures.jobs, figures.wanted, "round {round}: {figures:?}");
        assert_eq!(figures.effects, figures.wanted, "round {round}: {figures:?}");
        assert_eq!(figures.wrong, 0, "round {round}: {figures:?}");
        assert!(figures.attempts > figures.jobs, "no attempt failed: {figures:?}");
        assert!(figures.restarts <= restarts, "{figures:?}");
    }
}

/// The control.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effect_in_a_transaction_of_its_own_happens_twice() {
    let figures = blow(150, 0, true).await;
    assert!(figures.effects > figures.jobs, "the test would not have noticed: {figures:?}");
    assert!(figures.wrong > 0, "the test would not have noticed: {figures:?}");
}
