//! From settings to a service that is ready to be put on a socket: the same for `serve`, `demo` and
//! the tests.

pub mod database;

use std::sync::Arc;
use std::time::Duration;

use mt_core::access::AccessCache;
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::StandingPolicy;
use mt_core::pg::Database;
use mt_core::token::TokenHasher;
use salvo::{Router, Service, async_trait};

use crate::app::App;
use crate::archive::Exports;
use crate::billing::{Background, Billing};
use crate::config::{AppEnv, AuthConfig, Config};
use crate::embedded::EmbeddedPostgres;
use crate::http::body::BodyLimits;
use crate::http::observe::Observers;
use crate::http::page::Cursors;
use crate::http::service::{ShellOptions, service};
use crate::layers::Layers;
use crate::limits::{Limiter, Limits};
use crate::mail::{Mailer, Seal};
use crate::metrics::{Metrics, Sources};
use crate::routes::health::{Checks, Readiness};
use crate::routes::{self, webhooks};

/// Names the issuer and the audience of tokens.
const ISSUER: &str = "mt";
/// How many memberships are remembered, where they are: some 15 MB at most.
const REMEMBERED_MEMBERSHIPS: usize = 100_000;
/// How long a start waits for Redis before it goes on without.
const REDIS_BUDGET: Duration = Duration::from_secs(1);
/// How long events and messages that are worked on at the end still are, at most.
const WORKER_PATIENCE: Duration = Duration::from_secs(5);

/// Why a server did not start: one line for people, with its causes.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// A server that is ready to be put on a socket.
pub struct Started {
    /// What answers.
    pub service: Service,
    /// Whether it should be asked.
    pub readiness: Readiness,
    /// What is to be stopped when it has answered for the last time.
    pub behind: Behind,
    /// What answers at `METRICS_ADDR`, where there is one.
    pub metrics: Option<Service>,
}

/// What stands behind the service, and outlives its last request.
#[derive(Debug)]
pub struct Behind {
    database: Database,
    embedded: Option<EmbeddedPostgres>,
    background: Background,
    access_changes: Option<tokio::task::JoinHandle<()>>,
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started").field("behind", &self.behind).finish_non_exhaustive()
    }
}

impl Behind {
    /// Whether the database is in this process.
    #[must_use]
    pub const fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Ends the workers and then the connections, for as long as `within`; a database that does not answer
    /// is not waited for any longer. The embedded engine is always brought to its end.
    ///
    /// # Errors
    ///
    /// When the embedded engine had failed.
    pub async fn stop(self, within: Duration) -> Result<(), StartError> {
        let stopping = async {
            self.background.stop(WORKER_PATIENCE.min(within)).await;
            if let Some(task) = self.access_changes {
                task.abort();
            }
            self.database.close().await;
        };
        if tokio::time::timeout(within, stopping).await.is_err() {
            tracing::warn!("stopped without waiting any longer for the database");
        }
        if let Some(embedded) = self.embedded {
            embedded.stop().await?;
        }
        Ok(())
    }
}

/// Where an embedded database keeps its data.
#[derive(Clone, Copy, Debug)]
pub enum Embedded {
    /// In the user's own directory, for the next start to find.
    Persistent,
    /// Nowhere for long.
    Temporary,
}

/// Opens the database, checks its schema and puts the server together.
///
/// # Errors
///
/// [`StartError`]: the database is away, behind or refused, or a setting cannot be used.
pub async fn start(config: &Config, embedded: Embedded) -> Result<Started, StartError> {
    let (database, embedded) = database::open(config, embedded).await?;
    let limiter = limiter(config).await?;
    let billing = Billing::new(database.system(), config)?;
    let mailer = mailer(config)?;
    let sources = Sources {
        database: database.clone(),
        limiter: limiter.clone(),
        ledger: billing.processor().ledger().clone(),
        mail: mailer.stats().clone(),
    };
    let metrics = Arc::new(Metrics::new(sources, config.metrics_addr.is_some()));
    let limits = Limits::new(limiter.clone(), &config.rate_limits, metrics.limits.clone());
    let mut app = app(config, &database, limits, mailer, billing)?;
    let access_changes = match config.database.access_cache {
        Duration::ZERO => None,
        ttl => {
            let cache = AccessCache::new(REMEMBERED_MEMBERSHIPS, ttl);
            app.tenants = app.tenants.with_access_cache(cache.clone());
            // The embedded engine has one connection and one process, which sees its own changes.
            embedded.is_none().then(|| tokio::spawn(database.access_changes().tell(cache)))
        }
    };
    let app = Arc::new(app);
    let checks = Dependencies { database: database.clone(), limiter: limiter.clone() };
    let readiness = Readiness::new(checks, config.redis.required_for_ready);
    let seats = config.database.org_max_in_flight;
    let layers = Layers::new(&app, limiter, config.rate_limits.clone(), seats, &metrics);
    // The embedded engine has one, and two who wait for it would be one too many.
    let connections = if embedded.is_some() { 1 } else { usize::MAX };
    let background = Background::start(&app, config, connections);
    let observers = Observers::one(Arc::clone(&metrics.requests) as _);
    let (here, apart) = match config.metrics_addr {
        Some(_) => (None, Some(metrics)),
        None => (Some(metrics), None),
    };
    let router = routes::router(app, &layers, readiness.clone(), here);
    let metrics = apart.map(|metrics| {
        service(Router::new().push(routes::metrics::routes(metrics)), ShellOptions::default())
    });
    let options = ShellOptions {
        body_limits: BodyLimits::default().with(webhooks::PATH, webhooks::MAX_BYTES),
        cors_origins: config.cors_origins.clone(),
        observers,
    };
    let behind = Behind { database, embedded, background, access_changes };
    Ok(Started { service: service(router, options), readiness, behind, metrics })
}

async fn limiter(config: &Config) -> Result<Limiter, StartError> {
    let Some(url) = &config.redis.url else { return Ok(Limiter::in_process()) };
    let limiter = Limiter::redis(url.reveal())?;
    if !tokio::time::timeout(REDIS_BUDGET, limiter.is_reachable()).await.unwrap_or(false) {
        tracing::warn!(
            "`REDIS_URL` does not answer: rate limits are counted in the process until it does"
        );
    }
    Ok(limiter)
}

fn mailer(config: &Config) -> Result<Mailer, StartError> {
    let Some(mail) = &config.mail else { return Ok(Mailer::none()) };
    Ok(Mailer::smtp(mail.smtp_url.reveal(), &mail.from.to_string(), seal(&config.auth))?)
}

/// What seals the letters of a server, or of a command beside it, with these settings.
#[must_use]
pub(crate) fn seal(auth: &AuthConfig) -> Seal {
    let previous = auth.jwt_secret_previous.as_ref().map(|secret| secret.reveal().as_bytes());
    Seal::new(auth.jwt_secret.reveal().as_bytes(), previous)
}

fn app(
    config: &Config,
    database: &Database,
    limits: Limits,
    mailer: Mailer,
    billing: Billing,
) -> Result<App, StartError> {
    let standing = StandingPolicy::default().with_grace(config.billing_grace);
    let auth = &config.auth;
    let mut hasher = TokenHasher::new(auth.jwt_secret.reveal().as_bytes());
    if let Some(previous) = &auth.jwt_secret_previous {
        hasher = hasher.with_previous(previous.reveal().as_bytes());
    }
    let cursors = cursors(auth);
    Ok(App {
        tenants: database.tenants(standing.clone()),
        principals: database.principals(),
        system: database.system(),
        standing,
        hasher,
        cursors,
        tokens: Arc::new(tokens(config.app_env, auth)?),
        mailer,
        billing,
        exports: Exports::of(database.clone()),
        limits,
        admin_token: config.admin_token.clone(),
        base_url: config.base_url.as_str().to_owned(),
        magic_link_ttl: auth.magic_link_ttl,
        invite_ttl: auth.invite_ttl,
        reveal_tokens: !config.app_env.is_prod(),
    })
}

/// The cursors of a server, or of a command beside it, with these settings.
#[must_use]
pub fn cursors(auth: &AuthConfig) -> Cursors {
    let cursors = Cursors::new(auth.jwt_secret.reveal().as_bytes());
    match &auth.jwt_secret_previous {
        Some(previous) => cursors.with_previous(previous.reveal().as_bytes()),
        None => cursors,
    }
}

fn tokens(env: AppEnv, auth: &AuthConfig) -> Result<JwtAuthenticator, StartError> {
    // Production has refused a weak secret already; elsewhere one is a convenience.
    let key = |secret: &str| match env {
        AppEnv::Prod => JwtKey::hs256(secret),
        AppEnv::Dev | AppEnv::Test => Ok(JwtKey::insecure_hs256(secret)),
    };
    let mut jwt =
        JwtConfig::new(ISSUER, ISSUER, key(auth.jwt_secret.reveal())?).with_ttl(auth.jwt_ttl);
    if let Some(previous) = &auth.jwt_secret_previous {
        jwt = jwt.also_accept(key(previous.reveal())?);
    }
    Ok(JwtAuthenticator::new(jwt)?)
}

struct Dependencies {
    database: Database,
    limiter: Limiter,
}

#[async_trait]
impl Checks for Dependencies {
    async fn database(&self) -> bool {
        self.database.ping().await.is_ok()
    }

    async fn redis(&self) -> bool {
        self.limiter.is_reachable().await
    }
}
