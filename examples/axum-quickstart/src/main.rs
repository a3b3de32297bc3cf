//! Serves the quickstart on port 8001. `DATABASE_URL` is a login, `MIGRATE_DATABASE_URL` one that may create roles and
//! tables, `JWT_SECRET` a secret of at least 32 bytes.

use axum_quickstart::{Notebook, SCHEMA, routes};
use mt::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt::billing::StandingPolicy;
use mt::pg::{Database, DatabaseOptions, Migration, ServerLogin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let env = |name| std::env::var(name).map_err(|_| format!("`{name}` is not set"));
    let login: sqlx::postgres::PgConnectOptions = env("DATABASE_URL")?.parse()?;
    let migration = Migration::library().with_product(SCHEMA);
    let migration = migration.for_login(ServerLogin::Existing(login.get_username()));
    migration.run(&env("MIGRATE_DATABASE_URL")?.parse()?).await?;
    let database = Database::connect(DatabaseOptions::new(login.clone())).await?;
    let tokens =
        JwtAuthenticator::new(JwtConfig::new("mt", "mt", JwtKey::hs256(&env("JWT_SECRET")?)?))?;
    let app = routes().into_router(database.tenants::<Notebook>(StandingPolicy::default()), tokens);
    Ok(axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8001").await?, app).await?)
}
