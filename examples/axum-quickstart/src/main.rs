//! Serves the quickstart on port 8001. `DATABASE_URL` names a database that `mt-server migrate` and
//! `notes.sql` have been run on, `JWT_SECRET` a secret of at least 32 bytes.

use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::StandingPolicy;
use mt_core::pg::{Database, DatabaseOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let login = std::env::var("DATABASE_URL")?.parse()?;
    let database = Database::connect(DatabaseOptions::new(login)).await?;
    let key = JwtKey::hs256(&std::env::var("JWT_SECRET")?)?;
    let tokens = JwtAuthenticator::new(JwtConfig::new("mt", "mt", key))?;
    let app = axum_quickstart::router(database.tenants(StandingPolicy::default()), tokens);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8001").await?;
    Ok(axum::serve(listener, app).await?)
}
