//! Serves the helpdesk. `mt::axum::Service` lists the variables of the environment.

#[tokio::main]
async fn main() -> Result<(), mt::axum::ServiceError> {
    helpdesk::service().run().await
}
