//! Serves two shops on port 8002, of which one has not paid, and prints how to call them. They are gone
//! with the process.

use std::io::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;

use hyper_minimal::{Shops, serve, service};
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::Standing;
use mt_core::id::PrincipalId;
use mt_core::limit::Quota;
use mt_core::token::SecretToken;
use mt_service::serve::shutdown_signal;
use tokio::net::TcpListener;

const ADDRESS: &str = "127.0.0.1:8002";
const PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let key = JwtKey::hs256(SecretToken::generate().reveal())?;
    let tokens = JwtAuthenticator::new(JwtConfig::new("mt", "mt", key))?;
    let keeper = PrincipalId::generate();
    let token = tokens.issue(keeper, 0)?.token;
    let shops = Arc::new(Shops::default());
    let mut out = std::io::stdout();
    for standing in [Standing::Good, Standing::Lapsed] {
        let shop = shops.open(keeper, standing);
        writeln!(out, "curl -X POST -H 'authorization: Bearer {token}' {ADDRESS}/shops/{shop}")?;
    }
    let listener = TcpListener::bind(ADDRESS).await?;
    let stop = shutdown_signal()?;
    serve(listener, service(shops, tokens, Quota::per_minute(PER_MINUTE)), stop).await;
    Ok(())
}
