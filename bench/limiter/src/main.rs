//! How many requests a second the Redis limiter counts, beside `redis-benchmark` with the same commands.
//!
//! `redis-benchmark` sends the command that `MONITOR` has recorded from the store, on one connection, with as many
//! in flight as the store has callers. `make bench WHAT=limiter` runs both in turn, in rounds. Needs
//! `redis-cli`, `redis-benchmark` and `MT_TEST_REDIS_URL`.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::num::NonZeroU32;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mt_core::limit::{LimitStore as _, Quota};
use mt_core::redis::RedisStore;
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

const ROUNDS: usize = 15;
const PART: Duration = Duration::from_secs(1);

// The same settings as in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let url = std::env::var("MT_TEST_REDIS_URL").map_err(|_| "MT_TEST_REDIS_URL is not set")?;
    let store = Arc::new(RedisStore::lazy(&url)?);
    let quota = Quota::per_minute(NonZeroU32::MAX);
    store.count("bench", quota).await?;
    let command = overheard(&url, &store, quota).await?;
    println!("{command:?}");
    for at_once in [1, 16, 64] {
        let (mut rates, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let ours = count(&store, quota, at_once).await?;
            let limit = redis_benchmark(&url, &command, at_once)?;
            rates.push(ours);
            ratios.push(ours / limit);
        }
        rates.sort_by(f64::total_cmp);
        ratios.sort_by(f64::total_cmp);
        println!(
            "{at_once:>3} at once: {:.0} counts/s, x{:.2} ({:.2} to {:.2}) of redis-benchmark",
            rates[ROUNDS / 2],
            ratios[ROUNDS / 2],
            ratios[0],
            ratios[ROUNDS - 1]
        );
    }
    Ok(())
}

/// Returns the command that the store sends for a count.
async fn overheard(url: &str, store: &RedisStore, quota: Quota) -> Result<Vec<String>, Failure> {
    let mut monitor = Command::new("redis-cli")
        .args(["-u", url, "monitor"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(monitor.stdout.take().ok_or("no output")?).lines();
    // After `OK` the monitor is active.
    lines.next().ok_or("no answer")??;
    store.count("bench", quota).await?;
    let line = lines
        .find(|line| line.as_ref().is_ok_and(|line| line.to_lowercase().contains("\"evalsha\"")));
    let line = line.ok_or("no count was heard")??;
    monitor.kill()?;
    monitor.wait()?;
    // `1700000000.1 [0 127.0.0.1:1] "EVALSHA" "…"`: words in quotes, none of which contains a quote.
    Ok(line.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

async fn count(store: &Arc<RedisStore>, quota: Quota, at_once: usize) -> Result<f64, Failure> {
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..at_once {
        let store = Arc::clone(store);
        callers.spawn(async move {
            let mut counted = 0_u32;
            while began.elapsed() < PART {
                store.count("bench", quota).await?;
                counted += 1;
            }
            Ok::<_, mt_core::limit::StoreError>(counted)
        });
    }
    let mut counted = 0;
    for caller in callers.join_all().await {
        counted += caller?;
    }
    Ok(f64::from(counted) / began.elapsed().as_secs_f64())
}

fn redis_benchmark(url: &str, command: &[String], at_once: usize) -> Result<f64, Failure> {
    // Once to choose the number of requests, once to measure.
    let mut rate = 5_000.0;
    for seconds in [0.3, PART.as_secs_f64()] {
        let number = format!("{:.0}", rate * seconds);
        let output = Command::new("redis-benchmark")
            .args(["-u", url, "-c", "1", "-P", &at_once.to_string(), "-n", &number, "--csv"])
            .args(command)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().last().ok_or("redis-benchmark says nothing")?;
        rate = line.split('"').nth(3).and_then(|rate| rate.parse().ok()).ok_or(said.clone())?;
    }
    Ok(rate)
}
