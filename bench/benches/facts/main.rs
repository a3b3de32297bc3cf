//! What the facts of a decision cost Postgres, by credential, with custom roles and without.
//!
//! A page is one query of 50 rows by `Tenants::read`: a message that opens the transaction, reads the facts, runs the query
//! and commits. The messages are recorded on the wire and sent again, all on one connection, since two server processes
//! differ by some percent. Its CPU time is read before and after: it does not contain waits for a busy machine. The
//! statement of the facts alone is executed many times in one transaction.
//!
//! | who | what |
//! | --- | --- |
//! | member, without the column | a member, by the statement as it was before custom roles: the base of all ratios |
//! | the same again | the control: its ratio shows what the measurement itself is off by |
//! | member | a member without a custom role |
//! | member with a custom role | |
//! | key | an API key of a member |
//! | key of an agent | a service account's key, on behalf of a member |
//!
//! Figures are medians of the rounds, in each of which all take turns, with the middle half of the rounds. A ratio is the
//! median of the ratios within rounds, and behind `±` is how far off it is with 95 % confidence. The last ratio is that of
//! the least figures, which a busy machine disturbs least. `make bench WHAT=facts` runs it; the last figures are in
//! `bench/results/facts.md`. Postgres runs on Linux.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

#[path = "../shared/cpu_time.rs"]
mod cpu_time;
mod replay;
mod world;

use mt_bench::spread::Spread;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use self::replay::Replay;
use self::world::World;

/// How many messages with many executions of the facts a round sends for each.
const MESSAGES: u32 = 4;
/// How many pages a round reads for each.
const PAGES: u32 = 100;

const NAMES: [&str; 6] = [
    "member, without the column",
    "the same again",
    "member",
    "member with a custom role",
    "key",
    "key of an agent",
];

fn main() {
    // The harness of cargo passes `--bench`.
    if std::env::var_os("MT_TEST_DATABASE_URL").is_none() {
        println!("SKIPPED: facts needs `MT_TEST_DATABASE_URL`; `make bench WHAT=facts` sets it");
        return;
    }
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(151);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run(rounds));
}

async fn run(rounds: usize) {
    let world = World::new().await;
    let member = world.member().await;
    let cases = [
        (member, true),
        (member, true),
        (member, false),
        (world.custom_member().await, false),
        (world.key().await, false),
        (world.agent().await, false),
    ];
    let options = world.db.admin().connect_options();
    let mut conn = PgConnection::connect_with(&options).await.expect("a connection");
    let mut replays = Vec::with_capacity(cases.len());
    for (place, (principal, before)) in cases.into_iter().enumerate() {
        let name = format!("case_{place}");
        replays.push(Replay::new(&mut conn, &name, &world, principal, before).await);
    }
    let (mut facts, mut pages) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (mut fact_times, mut page_times) = ([0.0; NAMES.len()], [0.0; NAMES.len()]);
        for turn in 0..NAMES.len() {
            // Another one begins each round, and each has either neighbour before it.
            let place = (turn + round) % NAMES.len();
            let place = if round.is_multiple_of(2) { place } else { NAMES.len() - 1 - place };
            fact_times[place] = replays[place].facts(&mut conn, MESSAGES).await;
            page_times[place] = replays[place].page(&mut conn, PAGES).await;
        }
        // The first one warms up.
        if round > 0 {
            facts.push(fact_times);
            pages.push(page_times);
        }
    }
    println!("{rounds} rounds; µs of Postgres's CPU time, median (middle half)");
    for (what, found) in [("the facts", facts), ("a whole page", pages)] {
        println!("{what}:");
        let times = |place: usize| found.iter().map(move |round| round[place]);
        let least = Spread::of(times(0)).least;
        for (place, name) in NAMES.into_iter().enumerate() {
            let half = middle_half(times(place));
            let ratios = || found.iter().map(|round| round[place] / round[0]);
            let ratio = middle_half(ratios());
            println!(
                "  {name:<27} {:>6.1} ({:.1} to {:.1})   x{:.3} ±{:.3} ({:.3} to {:.3}), least x{:.3}",
                half.median,
                half.least,
                half.most,
                ratio.median,
                uncertainty(ratios()),
                ratio.least,
                ratio.most,
                Spread::of(times(place)).least / least
            );
        }
    }
}

/// The spread of the middle half of these figures: a round that a busy machine has disturbed is in neither end.
fn middle_half(figures: impl Iterator<Item = f64>) -> Spread {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let quarter = figures.len() / 4;
    Spread::of(figures[quarter..figures.len() - quarter].iter().copied())
}

/// How far the median of these figures is from that of endless rounds, with 95 % confidence: half of the distance between
/// the order statistics at 0.98 √n to each side of the median. Figures of any distribution will do.
fn uncertainty(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    // `ceil(0.98 √n)`, as the least whole number whose square is at least 0.96 n.
    let away = (0..=middle).find(|away| away * away * 25 >= figures.len() * 24).unwrap_or(middle);
    (figures[(middle + away).min(figures.len() - 1)] - figures[middle - away]) / 2.0
}
