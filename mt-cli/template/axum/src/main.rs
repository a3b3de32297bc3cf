//! Serves on port 8001. `DATABASE_URL` is the server's login, `MIGRATE_DATABASE_URL` one that may create roles and tables,
//! `JWT_SECRET` a secret of at least 32 bytes.

use notebook::{Notebook, SCHEMA, routes};
use mt::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt::billing::StandingPolicy;
use mt::pg::{Database, DatabaseOptions, migrate};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let env = |name| std::env::var(name).map_err(|_| format!("`{name}` is not set"));
    let login = env("DATABASE_URL")?;
    migrate(&env("MIGRATE_DATABASE_URL")?, &login, &[SCHEMA]).await?;
    let database = Database::connect(DatabaseOptions::new(login.parse()?)).await?;
    let key = JwtKey::hs256(&env("JWT_SECRET")?)?;
    let tokens = JwtAuthenticator::new(JwtConfig::new("mt", "mt", key))?;
    let app = routes().into_router(database.tenants::<Notebook>(StandingPolicy::default()), tokens);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8001").await?;
    Ok(axum::serve(listener, app).await?)
}
