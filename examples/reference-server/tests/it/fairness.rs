//! Attacks by a user, an org or an anonymous client do not take the service from other orgs.
//!
//! The server is a process of its own. The members of a measured org read and write, first alone and then during one
//! kind of attack ([`attacks`]). Each of their requests succeeds, and the 99th percentile is at most three
//! times that of the undisturbed org. `make fairness` is the long version with a release server and the figures in
//! `bench/results/fairness.md`; a run of all tests has a short one, for which a request that waits for a share, a connection or a
//! lock counts as a failure and a busy machine does not.

mod attacks;
mod measured_org;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use test_support::report::{publish, table};
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::attacks::{Attack, AttackRun, SILENT, Victim, Without};
use self::measured_org::Measurement;
use self::setup::Setup;

/// The highest ratio of the 99th percentile during an attack to the one without it.
const TIMES: u32 = 3;
/// The time that a request may take in any case in a short run, on a busy machine. Requests that wait for
/// a resource that an attack holds completely wait for two seconds.
const SHORT_RUN: Duration = Duration::from_millis(900);
/// The memory that an attack may cost, in bytes: the budget of bodies is a third of it; copies of bodies and what
/// connections read ahead add to that. Without the budget, long webhooks cost 268 MiB.
const MEMORY: u64 = 192 * 1024 * 1024;

fn is_long() -> bool {
    std::env::var_os("MT_FAIRNESS_PAGE").is_some()
}

/// How long the measured org is served, alone and during an attack.
fn spans() -> (Duration, Duration) {
    let seconds = if is_long() { (10, 15) } else { (2, 3) };
    (Duration::from_secs(seconds.0), Duration::from_secs(seconds.1))
}

/// The measurements of the org, and the memory of the server.
#[derive(Debug)]
struct Outcome {
    alone: Measurement,
    beside: Measurement,
    memory: u64,
}

impl Outcome {
    /// The limits that were exceeded. A 99th percentile below `ignored` is accepted.
    fn violations(&self, ignored: Duration) -> Vec<String> {
        let mut all = Vec::new();
        for (when, measurement) in [("alone", &self.alone), ("beside the attack", &self.beside)] {
            if let Some(first) = measurement.failures.first() {
                all.push(format!("{} requests failed {when}: {first}", measurement.failures.len()));
            }
        }
        let (alone, beside) = (self.alone.p99(), self.beside.p99());
        if beside > (alone * TIMES).max(ignored) {
            all.push(format!("p99 {beside:?}, and {alone:?} alone"));
        }
        if self.memory > MEMORY {
            all.push(format!("{} MiB of memory", self.memory / 1024 / 1024));
        }
        all
    }

    fn row(&self, attack: &Attack) -> Vec<String> {
        let millis = |measurement: &Measurement| {
            format!("{:.1} ms", measurement.p99().as_secs_f64() * 1000.0)
        };
        let ratio = self.beside.p99().as_secs_f64() / self.alone.p99().as_secs_f64();
        vec![
            attack.name.to_owned(),
            self.beside.count().to_string(),
            self.beside.failures.len().to_string(),
            millis(&self.alone),
            millis(&self.beside),
            format!("{ratio:.1}"),
            format!("{} MiB", self.memory / 1024 / 1024),
        ]
    }
}

/// The runtime of the attacking clients, with threads of the lowest priority. In production they have machines
/// of their own; here the test measures only what they cost the server.
fn attacking_clients() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(|| {
            rustix::process::nice(19).unwrap();
        })
        .build()
        .unwrap()
}

/// Measures an org alone and then during `attack`, with its guard or without.
async fn outcome(attack: &Attack, is_guarded: bool) -> Outcome {
    // A server that accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let (settings, sql) = match attack.without {
        Without::Settings(settings) if !is_guarded => (settings, None),
        Without::Sql(sql) if !is_guarded => (&[][..], Some(sql)),
        Without::Both(settings, sql) if !is_guarded => (settings, Some(sql)),
        _ => (&[][..], None),
    };
    // The limit on requests runs before every other guard.
    let limits = if is_guarded { &[][..] } else { &[("RATE_LIMIT_API_PER_MIN", "0")] };
    let named = |(name, value): &(&'static str, &'static str)| {
        (*name, if *value == SILENT { address.clone() } else { (*value).to_owned() })
    };
    let settings: Vec<_> =
        attack.settings.iter().chain(settings).chain(limits).map(named).collect();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let setup = Arc::new(Setup::new(&settings).await);
    if let Some(sql) = sql {
        setup.sql(sql).await;
    }
    let (quiet, noisy) = (setup.person("quiet").await, setup.person("noisy").await);
    let noisy = match attack.beside {
        Victim::AnotherOrg => noisy,
        Victim::TheSameOrg => setup.join(&quiet, &noisy).await,
    };
    let (alone_for, beside_for) = spans();
    let base_url = setup.base_url();
    let alone = Measurement::of(base_url, &quiet.org, tokio::time::sleep(alone_for)).await;
    let memory = setup.memory();

    let (over, until) = watch::channel(false);
    let clients = attacking_clients();
    let run = AttackRun::new(&Arc::new(setup.with_other_connections()), noisy, until);
    let begun = run.begun();
    let going = clients.spawn((attack.start)(run));
    begun.notified().await;
    let beside = Measurement::of(base_url, &quiet.org, tokio::time::sleep(beside_for)).await;
    let memory = setup.memory().saturating_sub(memory);
    over.send_replace(true);
    going.await.unwrap();
    clients.shutdown_background();
    drop(silent);
    Outcome { alone, beside, memory }
}

/// The attacks of this run. Those of a short run meet different guards.
fn attacks() -> Vec<Attack> {
    let mut all = attacks::all();
    if !is_long() {
        all.retain(|attack| attack.is_short);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measured_org_is_served_during_each_attack() {
    let mut rows = Vec::new();
    let mut violations = Vec::new();
    let (ignored, tries) = if is_long() { (Duration::ZERO, 1) } else { (SHORT_RUN, 2) };
    for attack in attacks() {
        let mut outcome = outcome(&attack, true).await;
        // In a short run the machine may have been busy.
        for _ in 1..tries {
            if !outcome.violations(ignored).is_empty() {
                outcome = self::outcome(&attack, true).await;
            }
        }
        let all = outcome.violations(ignored).into_iter();
        violations.extend(all.map(|violation| format!("{}: {violation}", attack.name)));
        rows.push(outcome.row(&attack));
    }
    let head = ["attack", "requests", "failed", "p99 alone", "p99 beside it", "ratio", "memory"];
    publish("MT_FAIRNESS_PAGE", "figures of abuses", &table(&head, &rows));
    assert!(violations.is_empty(), "{violations:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_protection_each_attack_is_measurable() {
    let mut undetected = Vec::new();
    for attack in attacks() {
        if !matches!(attack.without, Without::Elsewhere) {
            // The machine may have been busy while the org was measured alone.
            let mut last = outcome(&attack, false).await;
            for _ in 1..3 {
                if last.violations(Duration::ZERO).is_empty() {
                    last = outcome(&attack, false).await;
                }
            }
            if last.violations(Duration::ZERO).is_empty() {
                undetected.push(last.row(&attack));
            }
        }
    }
    assert!(undetected.is_empty(), "{undetected:#?}");
}
