//! Serves the notebooks. `mt::axum::Service` lists the variables of the environment.

#[tokio::main]
async fn main() -> Result<(), mt::axum::ServiceError> {
    notebook::service().run().await
}
