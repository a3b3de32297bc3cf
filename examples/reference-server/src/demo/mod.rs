//! The demo: a scenario over HTTP that shows what the server does and what it refuses.
//!
//! It uses the API only, so it runs against any server in development or test mode, and may be repeated against the
//! same server, because its addresses are unique. Each step prints what it shows; a failure prints what was expected
//! and what the server returned.

mod billing;
mod client;
mod runner;
mod team;
mod work;

use std::io::{self, Write};

use self::client::Client;
use self::runner::Runner;

/// The server that the demo runs against.
#[derive(Clone, Debug)]
pub struct DemoTarget {
    /// Its base URL, such as `http://127.0.0.1:8000`.
    pub base_url: String,
    /// The secret that signs its webhooks; `None` if it does not check signatures.
    pub webhook_secret: Option<String>,
}

/// Runs the demo and writes its steps to `out`.
///
/// # Errors
///
/// [`DemoFailure`] at the first response that is not the expected one.
pub async fn run(target: DemoTarget, out: &mut (impl Write + Send)) -> Result<(), DemoFailure> {
    let client = Client::new(&target.base_url)?;
    let mut runner = Runner::new(client, target.webhook_secret, out);
    runner.section("The server is up")?;
    runner.get("/health", None).await?.shows(200, "the process answers")?;
    runner.get("/ready", None).await?.shows(200, "and reaches its dependencies")?;

    let users = team::sign_up(&mut runner).await?;
    let projects = work::fill_the_free_plan(&mut runner, &users).await?;
    billing::upgrade(&mut runner, &users).await?;
    work::share_tasks(&mut runner, &users, &projects).await?;
    billing::lapse_and_recover(&mut runner, &users).await?;
    team::leave(&mut runner, &users).await?;
    runner.summary()
}

/// The error of a demo that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoFailure {
    /// The output could not be written.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
    /// The server returned something unexpected.
    #[error("{step}\n  expected {expected}\n  got      {got}")]
    Unexpected {
        /// The request.
        step: String,
        /// The expected response.
        expected: String,
        /// The response, without secrets.
        got: String,
    },
    /// The server did not respond.
    #[error("{step}: no response")]
    Unreachable {
        /// The request.
        step: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
}
