//! Serves the notebooks. `mt::axum::Service` lists the variables of the environment.

fn main() -> Result<(), mt::axum::ServiceError> {
    // Before the runtime, because an exporter of traces starts a thread of its own.
    let _log = mt::service::log::init_from_env("notebook")?;
    run()
}

#[tokio::main]
async fn run() -> Result<(), mt::axum::ServiceError> {
    notebook::service().run().await
}
