//! Builds the service from the settings, for `serve`, `demo` and the tests.

pub mod database;

use std::sync::Arc;
use std::time::Duration;

use embedded_postgres::EmbeddedPostgres;
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::StandingPolicy;
use mt_core::pg::api_keys::ApiKeys;
use mt_core::pg::jobs::JobStats;
use mt_core::pg::portable::archive::Exports;
use mt_core::pg::{Database, roles};
use mt_core::token::TokenHasher;
use mt_http::body::BodyBudget;
use mt_http::{Cursors, EndpointOptions, MAX_DELIVERY, Webhooks};
use mt_mail::{MailLimits, Mailer, Seal};
use mt_service::metrics::Sources;
use mt_service::observe::Observers;
use mt_service::workers::{Background, BackgroundOptions, OutboxHandlers, Retention};
use mt_stripe::billing::StripeBilling;
use salvo::{Router, Service, async_trait};

use crate::app::App;
use crate::billing::{billing, billing_url};
use crate::config::{AppEnv, AuthConfig, Config};
use crate::endpoints;
use crate::http::body_limits::BodyLimits;
use crate::http::service::{ShellOptions, service};
use crate::inventory::inventory;
use crate::layers::Layers;
use crate::limits::{Limiter, mail_limits};
use crate::metrics::{failures, metrics};
use crate::model::Product;
use crate::routes;
use crate::routes::health::{Checks, Readiness};

/// The issuer and the audience of tokens.
const ISSUER: &str = "mt";
/// What API keys begin with.
const API_KEYS: &str = "mt";
/// How long a start waits for Redis before it continues without.
const REDIS_BUDGET: Duration = Duration::from_secs(1);
/// How long the shutdown waits for events and messages in progress.
const WORKER_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The error of a server that did not start: one line for people, with its sources.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// A server that is ready to serve.
pub struct Started {
    /// The service.
    pub service: Service,
    /// Its readiness.
    pub readiness: Readiness,
    /// The resources to stop after the last request.
    pub behind: Behind,
    /// The service at `METRICS_ADDR`, if configured.
    pub metrics: Option<Service>,
}

/// The resources of a service, which outlive its last request.
#[derive(Debug)]
pub struct Behind {
    database: Database,
    embedded: Option<EmbeddedPostgres>,
    background: Background,
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started").field("behind", &self.behind).finish_non_exhaustive()
    }
}

impl Behind {
    /// Returns whether the database is embedded.
    #[must_use]
    pub const fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Stops the workers and then closes the connections, within `within`; it does not wait longer for a database
    /// that does not respond. The embedded engine is always stopped.
    ///
    /// # Errors
    ///
    /// When the embedded engine had failed.
    pub async fn stop(self, within: Duration) -> Result<(), StartError> {
        let stopping = async {
            self.background.stop(WORKER_STOP_TIMEOUT.min(within)).await;
            self.database.close().await;
        };
        if tokio::time::timeout(within, stopping).await.is_err() {
            tracing::warn!("the database did not close in time; stopping without it");
        }
        if let Some(embedded) = self.embedded {
            embedded.stop().await?;
        }
        Ok(())
    }
}

/// The data directory of an embedded database.
#[derive(Clone, Copy, Debug)]
pub enum Embedded {
    /// The user's own directory, which later starts use again.
    Persistent,
    /// A temporary directory.
    Temporary,
}

/// Opens the database, checks its schema and builds the server.
///
/// # Errors
///
/// [`StartError`] when the database is down, out of date or refused, custom roles of orgs name a permission that the
/// product does not have, or a setting cannot be used.
pub async fn start(config: &Config, embedded: Embedded) -> Result<Started, StartError> {
    let (database, embedded) = database::open(config, embedded).await?;
    roles::check::<Product>(&database.system()).await?;
    let limiter = limiter(config).await?;
    let billing = billing(database.system(), config)?;
    let mailer = mailer(config)?;
    let counted = limiter.clone();
    let sources = Sources {
        database: database.clone(),
        limiter: Box::new(move || failures(&counted)),
        ledger: billing.ledger().clone(),
        mail: mailer.stats().clone(),
        jobs: JobStats::default(),
    };
    let metrics = Arc::new(metrics(sources, config.metrics_addr.is_some()));
    let mail_limits = mail_limits(limiter.clone(), &config.rate_limits, metrics.limits.clone());
    let tokens = Arc::new(tokens(config.app_env, &config.auth)?);
    let app = Arc::new(app(config, &database, mailer, billing));
    let checks = Dependencies { database: database.clone(), limiter: limiter.clone() };
    let readiness = Readiness::new(checks, config.redis.required_for_ready);
    let limits = config.rate_limits.clone();
    let keys = keys(&database, &config.auth);
    let credentials = keys.clone().or(Arc::clone(&tokens));
    let layers = Layers::new(credentials, app.tenants.clone(), limiter, limits, &metrics);
    let in_org = layers.in_org();
    let guards = layers.of_endpoints(Arc::clone(&in_org), config.admin_token.as_ref());
    let options = options(config, &app, tokens, mail_limits.clone()).api_keys(keys);
    let endpoints =
        endpoints::service(&database, app.tenants.clone(), guards, options, app.has_operators);
    let handlers = handlers(config, &app, mail_limits);
    // The embedded engine has one connection; a second worker would wait for it for ever.
    let connections = if embedded.is_some() { 1 } else { usize::MAX };
    let options = BackgroundOptions {
        workers: usize::try_from(config.webhooks.workers.get()).unwrap_or(1),
        keep_bodies: config.webhooks.retention,
        retention: Retention {
            audit_entries: config.growth.audit_entries,
            invites: config.growth.invites,
            messages: config.outbox_retention,
        },
        connections,
    };
    let background = Background::start(&app.system, &app.billing, &app.mailer, handlers, options);
    let observers = Observers::one(Arc::clone(&metrics.requests) as _);
    let (here, apart) = match config.metrics_addr {
        Some(_) => (None, Some(metrics)),
        None => (Some(metrics), None),
    };
    let router = routes::router(app, &endpoints, in_org, readiness.clone(), here);
    let metrics = apart.map(|metrics| {
        service(Router::new().push(routes::metrics::routes(metrics)), ShellOptions::default())
    });
    let options = ShellOptions {
        body_limits: BodyLimits::default().with(Webhooks::PATH, MAX_DELIVERY),
        body_budget: BodyBudget::default(),
        cors_origins: config.cors_origins.clone(),
        observers,
        trusted_proxies: config.rate_limits.trusted_proxies.clone(),
    };
    let behind = Behind { database, embedded, background };
    Ok(Started { service: service(router, options), readiness, behind, metrics })
}

/// The handlers of outbox messages.
fn handlers(
    config: &Config,
    app: &App,
    limits: MailLimits<Limiter>,
) -> OutboxHandlers<Product, Limiter> {
    let base_url = config.base_url.as_str().to_owned();
    let billing_url = move |org| billing_url(&base_url, org);
    OutboxHandlers::new(app.system.clone(), &app.billing, &app.mailer, limits, billing_url)
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

/// Returns the seal of emails for these settings, for the server and for commands.
#[must_use]
pub(crate) fn seal(auth: &AuthConfig) -> Seal {
    let previous = auth.jwt_secret_previous.as_ref().map(|secret| secret.reveal().as_bytes());
    Seal::new(auth.jwt_secret.reveal().as_bytes(), previous).named("JWT_SECRET")
}

fn app(config: &Config, database: &Database, mailer: Mailer, billing: StripeBilling) -> App {
    App {
        tenants: database.tenants(standing(config)),
        principals: database.principals(),
        system: database.system(),
        cursors: cursors(&config.auth),
        mailer,
        billing,
        exports: Exports::new(database.clone(), inventory(), config.exports),
        has_operators: config.admin_token.is_some(),
        reveal_tokens: !config.app_env.is_prod(),
    }
}

fn standing(config: &Config) -> StandingPolicy {
    StandingPolicy::default().with_grace(config.billing_grace)
}

/// The settings of the ready-made endpoints.
fn options(
    config: &Config,
    app: &App,
    tokens: Arc<JwtAuthenticator>,
    mail_limits: MailLimits<Limiter>,
) -> EndpointOptions {
    let auth = &config.auth;
    let options =
        EndpointOptions::new(auth.jwt_secret.reveal().as_bytes(), config.base_url.as_str())
            .tokens(tokens)
            .stripe(app.billing.clone())
            .mailer(app.mailer.clone())
            .mail_limits(mail_limits)
            .trusted_proxies(config.rate_limits.trusted_proxies.iter().copied())
            .standing(standing(config))
            .links_live_for(auth.magic_link_ttl)
            .invites_live_for(auth.invite_ttl)
            .max_owned(config.growth.orgs_per_user)
            .insecure_reveal_tokens(app.reveal_tokens);
    match &auth.jwt_secret_previous {
        Some(previous) => options.previous_secret(previous.reveal().as_bytes()),
        None => options,
    }
}

/// Returns the cursors for these settings, for the server and for commands.
#[must_use]
pub fn cursors(auth: &AuthConfig) -> Cursors {
    let cursors = Cursors::new(auth.jwt_secret.reveal().as_bytes());
    match &auth.jwt_secret_previous {
        Some(previous) => cursors.with_previous(previous.reveal().as_bytes()),
        None => cursors,
    }
}

/// Returns the API keys of these settings, for the server and for commands.
#[must_use]
pub fn keys(database: &Database, auth: &AuthConfig) -> ApiKeys {
    // Keys outlive every token. With a secret of their own, they outlive `JWT_SECRET` too; those from before it was set
    // are hashed with that one.
    let (current, previous) = match &auth.api_key_secret {
        Some(secret) => (secret, Some(&auth.jwt_secret)),
        None => (&auth.jwt_secret, auth.jwt_secret_previous.as_ref()),
    };
    let hasher = TokenHasher::new(current.reveal().as_bytes());
    let hasher = match previous {
        Some(previous) => hasher.with_previous(previous.reveal().as_bytes()),
        None => hasher,
    };
    database.api_keys(API_KEYS, hasher)
}

fn tokens(env: AppEnv, auth: &AuthConfig) -> Result<JwtAuthenticator, StartError> {
    // Production has refused a weak secret already; elsewhere it is convenient.
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
