//! Serves the notebooks. `mt::axum::Service` lists the variables of the environment.

#[tokio::main]
async fn main() -> Result<(), mt::axum::ServiceError> {
    axum_quickstart::service().run().await
}
