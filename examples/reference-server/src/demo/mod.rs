//! The demo: one story over HTTP that shows what the server does, and what it refuses to do.
//!
//! It knows nothing but the API, so it runs against any server in development or test mode, and can be
//! run again against a living one: its addresses are its own. Each step says what it proves and fails
//! loudly, with what was expected and what came.

mod billing;
mod client;
mod stage;
mod team;
mod work;

use std::io::{self, Write};

use self::client::Client;
use self::stage::Stage;

/// The server that the demo is played to.
#[derive(Clone, Debug)]
pub struct DemoTarget {
    /// Where it listens, such as `http://127.0.0.1:8000`.
    pub base_url: String,
    /// What its webhooks are signed with; `None` where it does not check signatures.
    pub webhook_secret: Option<String>,
}

/// Plays the whole story, and writes what happens to `out`.
///
/// # Errors
///
/// [`DemoFailure`] at the first thing that is not as it should be.
pub async fn run(target: DemoTarget, out: &mut (impl Write + Send)) -> Result<(), DemoFailure> {
    let client = Client::new(&target.base_url)?;
    let mut stage = Stage::new(client, target.webhook_secret, out);
    stage.chapter("The server is up")?;
    stage.get("/health", None).await?.shows(200, "the process answers")?;
    stage.get("/ready", None).await?.shows(200, "and reaches what it depends on")?;

    let cast = team::assemble(&mut stage).await?;
    let projects = work::fill_the_free_plan(&mut stage, &cast).await?;
    billing::upgrade(&mut stage, &cast).await?;
    work::share_tasks(&mut stage, &cast, &projects).await?;
    billing::lapse_and_recover(&mut stage, &cast).await?;
    team::say_goodbye(&mut stage, &cast).await?;
    stage.applause()
}

/// Where the demo stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoFailure {
    /// The story could not be told.
    #[error("cannot write")]
    Output(#[from] io::Error),
    /// The server did something else than it should.
    #[error("{step}\n  expected {expected}\n  got      {got}")]
    Unexpected {
        /// The request.
        step: String,
        /// What should have come.
        expected: String,
        /// What came, with secrets taken out.
        got: String,
    },
    /// The server did not answer.
    #[error("{step}: no answer")]
    Unreachable {
        /// The request.
        step: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}
