//! SIGTERM during a fault.

use std::time::Duration;

use tokio::sync::oneshot;

use super::client::Failure;
use super::fault::Fault;
use super::load::Load;
use super::server::{GRACE, Server, Stop};
use super::setup::Setup;

/// The times after the start of a fault at which servers get SIGTERM, one server each.
const MOMENTS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(30),
    Duration::from_millis(150),
    Duration::from_millis(600),
    Duration::from_millis(1500),
];
/// The connections of each server, so that all fit into one Postgres.
const CONNECTIONS: &str = "8";
/// The clients of each server, one of each kind.
const CLIENTS: usize = 4;

/// Stops servers at different times of `fault` and returns the results. A paused dependency stays
/// paused until all servers have ended.
pub(super) async fn stops(setup: &mut Setup, fault: Fault) -> Vec<Stop> {
    let settings = [("DATABASE_MAX_CONNECTIONS", CONNECTIONS)];
    let starting = MOMENTS.map(|_| Server::start(&setup.dependencies, &settings));
    let running: Vec<_> = futures_util::future::join_all(starting)
        .await
        .into_iter()
        .map(|server| {
            let load = Load::start(server.base_url(), &setup.orgs, &setup.writes, CLIENTS);
            (server, load)
        })
        .collect();
    for (_, load) in &running {
        load.runs(1).await;
    }
    let (all_have_ended, told) = oneshot::channel::<()>();
    let hold = async {
        match fault {
            Fault::PostgresFrozen | Fault::RedisFrozen => drop(told.await),
            _ => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    };
    let stopping = async {
        let all = running.into_iter().zip(MOMENTS).map(|((server, load), moment)| async move {
            tokio::time::sleep(moment).await;
            (server.terminate().await, load)
        });
        let ended = futures_util::future::join_all(all).await;
        drop(all_have_ended);
        ended
    };
    let (ended, _) = tokio::join!(stopping, fault.inject(&mut setup.dependencies, hold));
    let mut stops = Vec::new();
    for (stop, load) in ended {
        let requests = load.stop().await;
        // Connection failures are expected once the process has ended.
        let unexpected: Vec<_> = requests
            .iter()
            .filter(|request| matches!(request.outcome, Err(Failure::Refused(..))))
            .collect();
        assert!(unexpected.is_empty(), "{}: {unexpected:?}", fault.name());
        let Stop { took, succeeded } = stop;
        assert!(succeeded, "{}: no success, after {took:?}", fault.name());
        assert!(took <= GRACE, "{}: {took:?}", fault.name());
        stops.push(stop);
    }
    stops
}
