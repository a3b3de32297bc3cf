//! How fast webhooks are stored and applied, against `pgbench` with the very same statements.
//!
//! Each round runs, on one Postgres and one after the other:
//!
//! | what | stands for |
//! | --- | --- |
//! | pgbench, insert | the insert alone, as a superuser, without a transaction around it |
//! | pgbench, batches | the insert of 32 events in one transaction, from one client: the limit of group commit |
//! | ledger, stored | signed deliveries of distinct events, verified, read, stored and acknowledged, but not applied |
//! | ledger, stored, 64 senders | the same with four times as many deliveries at once |
//! | ledger, applied | two workers apply the stored events |
//! | pgbench, insert and effect | all statements of an event: stored, claimed, applied, marked |
//! | ledger, sustained | deliveries as above, with the workers behind them, until all is applied |
//! | the server, stored over HTTP | the same deliveries as requests to `reference-server`, with its workers |
//!
//! The statements are recorded on the wire, so they are those that the library sends;
//! `pgbench.rs` fills in their parameters. Figures are medians of the rounds, and a
//! ratio is the median of the ratios within rounds. `make bench WHAT=ingest` runs it; the last figures are in
//! `bench/results/ingest.md`.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

mod http;
mod library;
mod pgbench;
mod world;

use std::time::Duration;

use self::http::Http;
use self::library::Library;
use self::pgbench::Pgbench;
use self::world::World;

/// How long each part of a round takes.
const PART: Duration = Duration::from_secs(3);
/// How many deliveries, or clients of pgbench, are under way at once.
const AT_ONCE: usize = 16;
/// How many deliveries are under way in a burst: more than a pool has connections.
const BURST: usize = 64;

fn main() {
    // The harness of cargo passes `--bench`.
    if std::env::var_os("MT_TEST_DATABASE_URL").is_none() {
        println!("SKIPPED: ingest needs `MT_TEST_DATABASE_URL`; `make bench WHAT=ingest` sets it");
        return;
    }
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run(rounds));
}

async fn run(rounds: usize) {
    let world = World::new().await;
    let pgbench = Pgbench::overhear(&world).await;
    let library = Library::new(&world).await;
    let http = Http::start(&world).await;
    let mut found = Vec::new();
    for round in 0..=rounds {
        world.empty().await;
        let inserted = pgbench.insert(&world).await;
        world.empty().await;
        let batched = pgbench.insert_batches().await;
        world.empty().await;
        let burst = library.store(PART, BURST).await;
        world.empty().await;
        let stored = library.store(PART, AT_ONCE).await;
        let drained = library.drain(&world).await;
        world.empty().await;
        let both = pgbench.insert_and_effect(&world).await;
        world.empty().await;
        let sustained = library.sustain(&world, PART).await;
        world.empty().await;
        let served = http.deliver(&world, PART).await;
        // The first one warms up.
        if round > 0 {
            found.push([
                inserted, stored, drained, both, sustained, served.0, served.1, batched, burst,
            ]);
        }
    }
    println!(
        "{rounds} rounds, {AT_ONCE} at once, {} s each; events a second, median (least to most)",
        PART.as_secs()
    );
    for (name, place, base) in [
        ("pgbench, insert", 0, None),
        ("pgbench, batches of 32 from one client", 7, Some(0)),
        ("ledger, stored", 1, Some(0)),
        ("ledger, stored, 64 senders", 8, Some(0)),
        ("the server over HTTP, stored", 5, Some(0)),
        ("pgbench, insert and effect", 3, None),
        ("ledger, applied", 2, Some(3)),
        ("ledger, stored and applied", 4, Some(3)),
        ("the server over HTTP, stored and applied", 6, Some(3)),
    ] {
        let figures = Spread::of(found.iter().map(|round| round[place]));
        let ratio = base.map_or_else(String::new, |base| {
            let ratio = Spread::of(found.iter().map(|round| round[place] / round[base]));
            format!("   x{:.2} ({:.2} to {:.2})", ratio.median, ratio.least, ratio.most)
        });
        println!(
            "{name:<41} {:>6.0} ({:.0} to {:.0}){ratio}",
            figures.median, figures.least, figures.most
        );
    }
    http.stop().await;
}

struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (figures[0], figures[figures.len() - 1]);
        Self { least, median: figures[figures.len() / 2], most }
    }
}
