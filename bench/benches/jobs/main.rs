//! How fast jobs run, against `pgbench` with the very same statements.
//!
//! A job is claimed, its transaction is opened as a member, its handler inserts one row, and the commit marks it as done.
//! Each round runs on one Postgres, one after the other, each part with [`JOBS`](world::JOBS) jobs that are ready:
//!
//! | what | stands for |
//! | --- | --- |
//! | engine, 1 and 4 workers | the library; 4 workers claim what they have room for in one statement |
//! | pgbench, 1 and 4 clients | the same statements, each a message; one job a claim |
//! | pgbench, pipelined | the same, but from the opening on, the statements of a message of the library are sent together |
//! | claims | the CPU time that a claim alone costs Postgres, with the jobs of 1, 100 and 10 000 tenants |
//!
//! Then it counts the claims until the one job of a tenant is claimed, behind 100 000 of another, by turns and first in,
//! first out. The statements are recorded on the wire, so they are those that the library sends; `pgbench.rs` fills in
//! the ids. Figures are medians of the rounds, and a ratio is the median of the ratios within rounds. `make bench
//! WHAT=jobs` runs it; the last figures are in `bench/results/jobs.md`.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

mod claims;
#[path = "../shared/cpu_time.rs"]
mod cpu_time;
mod engine;
mod pgbench;
mod world;

use std::time::Duration;

use mt_bench::spread::Spread;

use self::claims::Claims;
use self::pgbench::Messages;
use self::world::{TENANTS, World};

/// How long each part of a round takes: short, so that a busy machine disturbs the parts of a round alike.
const PART: Duration = Duration::from_secs(1);
/// Over how many tenants jobs are spread, where that is not what is measured.
const SOME: u32 = 100;
/// How many jobs are before the one of another tenant.
const FLOOD: u32 = 100_000;
/// After how many claims the count ends.
const MOST_CLAIMS: u32 = 200;

/// The parts of a round: a name, and the part that its ratio is to.
const PARTS: [(&str, Option<usize>); 9] = [
    ("pgbench, 1 client", None),
    ("pgbench, 1 client, pipelined", Some(0)),
    ("engine, 1 worker", Some(0)),
    ("pgbench, 4 clients", None),
    ("pgbench, 4 clients, pipelined", Some(3)),
    ("engine, 4 workers", Some(3)),
    ("µs a claim, 1 tenant", None),
    ("µs a claim, 100 tenants", Some(6)),
    ("µs a claim, 10 000 tenants", Some(6)),
];

fn main() {
    // The harness of cargo passes `--bench`.
    if std::env::var_os("MT_TEST_DATABASE_URL").is_none() {
        println!("SKIPPED: jobs needs `MT_TEST_DATABASE_URL`; `make bench WHAT=jobs` sets it");
        return;
    }
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(15);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run(rounds));
}

async fn run(rounds: usize) {
    let world = World::new().await;
    let messages = Messages::overhear(&world).await;
    let (whole, pipelined) = (messages.whole(&world).await, messages.pipelined(&world).await);
    let mut claims = Claims::new(&world, messages.claim()).await;
    let database = world.db.connect(16).await.expect("a pool");
    let jobs = engine::jobs(&database);
    let mut found = Vec::new();
    for round in 0..=rounds {
        let mut figures = [0.0; PARTS.len()];
        for (place, figure) in figures.iter_mut().enumerate() {
            let tenants = [SOME, SOME, SOME, SOME, SOME, SOME, 1, SOME, TENANTS][place];
            world.fill(tenants).await;
            *figure = match place {
                0 => whole.run(1).await,
                1 => pipelined.run(1).await,
                2 => engine::work(&jobs, &world, 1).await,
                3 => whole.run(4).await,
                4 => pipelined.run(4).await,
                5 => engine::work(&jobs, &world, 4).await,
                _ => claims.cost().await,
            };
        }
        // The first one warms up.
        if round > 0 {
            found.push(figures);
        }
    }
    println!("{rounds} rounds, {} s each; jobs a second, median (least to most)", PART.as_secs());
    for (place, (name, base)) in PARTS.into_iter().enumerate() {
        let figures = Spread::of(found.iter().map(|round| round[place]));
        let ratio = base.map_or_else(String::new, |base| {
            let ratio = Spread::of(found.iter().map(|round| round[place] / round[base]));
            format!("   x{:.2} ({:.2} to {:.2})", ratio.median, ratio.least, ratio.most)
        });
        let Spread { median, least, most } = figures;
        println!("{name:<31} {median:>6.0} ({least:.0} to {most:.0}){ratio}");
    }
    let by_turn = messages.claim().to_vec();
    let in_order =
        |sql: &String| sql.replace("order by turn, id limit", "order by created_at, id limit");
    let by_age: Vec<String> = by_turn.iter().map(in_order).collect();
    assert_ne!(by_turn, by_age, "the control claims in another order");
    for (name, claim) in [("by turns", by_turn), ("first in, first out", by_age)] {
        world.empty().await;
        world.add(FLOOD, 1).await;
        world.add_from(1, 1, 2).await;
        world.run("analyze mt.jobs").await;
        let claims = Claims::new(&world, &claim).await.until(2, MOST_CLAIMS).await;
        let claims = claims.map_or_else(|| format!("more than {MOST_CLAIMS}"), |n| n.to_string());
        println!("claims until one job runs behind {FLOOD} of another tenant, {name}: {claims}");
    }
}
