//! Serves on port 8003. `DATABASE_URL` names the database and the server's login, `JWT_SECRET` a secret
//! of at least 32 bytes. With `MIGRATE_DATABASE_URL`, a login that may do so migrates it first.

use std::env;
use std::num::NonZeroU32;

use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::StandingPolicy;
use mt_core::limit::Quota;
use mt_core::pg::{Database, DatabaseOptions, migrate};
use tokio::net::TcpListener;

const PER_MINUTE: NonZeroU32 = NonZeroU32::new(600).unwrap();

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let login = env::var("DATABASE_URL")?;
    if let Ok(migrator) = env::var("MIGRATE_DATABASE_URL") {
        migrate(&migrator, &login, &[tonic_service::schema()]).await?;
    }
    let database = Database::connect(DatabaseOptions::new(login.parse()?)).await?;
    let tenants = database.tenants(StandingPolicy::default());
    let key = JwtKey::hs256(&env::var("JWT_SECRET")?)?;
    let tokens = JwtAuthenticator::new(JwtConfig::new("mt", "mt", key))?;
    let listener = TcpListener::bind("127.0.0.1:8003").await?;
    let stop = async {
        // Without signal handlers, the process is stopped from outside.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let quota = Quota::per_minute(PER_MINUTE);
    Ok(tonic_service::serve(listener, tenants, tokens, quota, stop).await?)
}
