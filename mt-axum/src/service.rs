//! A whole service: migrations, ready-made endpoints, the application's routes, and a graceful stop.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use mt_core::auth::Authenticator;
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::StandingPolicy;
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::jobs::{JobWorkers, Jobs};
use mt_core::pg::{Database, DatabaseOptions, Migration, ProductSchema, Tenants, migrate, roles};
use mt_core::token::TokenHasher;
use mt_http::{EndpointOptions, Endpoints, Group, Guards, Noun};
use mt_service::serve::{ConnectionLimits, Timeouts, shutdown_signal};
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::service_error::ServiceError;
use crate::span::in_span;
use crate::{Routes, endpoints, serve};

/// Makes the jobs of a service.
type MakeJobs<M> = fn(&Tenants<M>) -> Result<Arc<Jobs<M>>, ServiceError>;

/// Issuer and audience of the access tokens.
const ISSUER: &str = "mt";

/// A whole service: it migrates its database, and serves the application's [`Routes`] and the ready-made endpoints that are
/// mounted.
///
/// Slow and idle clients are cut off, one address has half of the connections at most, and a stop takes bounded time:
/// see [`mt_service::serve`].
///
/// [`run`](Self::run) takes its settings from the environment:
///
/// | variable | holds |
/// | --- | --- |
/// | `DATABASE_URL` | the server's login, a role that owns nothing |
/// | `MIGRATE_DATABASE_URL` | a login that may create roles and tables, to migrate at the start; without it a database that lacks a migration is refused |
/// | `JWT_SECRET` | at least 32 bytes, which sign access tokens, links and cursors |
/// | `LISTEN` | the address; by default `127.0.0.1:8000` |
/// | `BASE_URL` | what links begin with; by default `http://` and the address |
/// | `INSECURE_REVEAL_TOKENS` | `yes` shows the tokens of links and invites in responses, for development without mail |
///
/// Each request has a span and a line in the log, with the id that is also in its answer. `main` starts the log
/// ([`mt_service::log::init_from_env`]), whose level `RUST_LOG` sets.
///
/// ```no_run
/// use mt_axum::{Routes, Service, ServiceError};
/// use mt_core::pg::ProductSchema;
/// use mt_http::SignIn;
/// # mt_core::model! {
/// #     pub Notebook;
/// #     roles Role { Owner = "owner" (owner), Reader = "reader" }
/// #     plans Plan { Free = "free" (initial) }
/// #     permissions Action { NotesRead = "notes.read" [yes yes] [yes] exempt read; }
/// # }
/// # fn routes() -> Routes<Notebook> { Routes::under("/notebooks/{notebook_id}") }
/// # static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT;
///
/// #[tokio::main]
/// async fn main() -> Result<(), ServiceError> {
///     let schema = ProductSchema { name: "notebook", migrator: &MIGRATIONS };
///     Service::new(schema, routes()).mount(SignIn).run().await
/// }
/// ```
#[must_use]
pub struct Service<M: MemberPolicy> {
    schema: ProductSchema<'static>,
    routes: Routes<M>,
    endpoints: Endpoints<M>,
    options: fn(EndpointOptions) -> EndpointOptions,
    key_prefix: Option<&'static str>,
    jobs: Option<MakeJobs<M>>,
    limits: Option<ConnectionLimits>,
    timeouts: Timeouts,
}

impl<M: MemberPolicy> Service<M> {
    /// Creates a service of `routes`, whose tables are in `schema`. The prefix of the routes says what tenants are called:
    /// with `/shops/{shop_id}` they are shops.
    ///
    /// # Panics
    ///
    /// If the prefix does not end like `/shops/{shop_id}`.
    pub fn new(schema: ProductSchema<'static>, routes: Routes<M>) -> Self {
        let noun = noun(routes.prefix()).unwrap_or_else(|| {
            panic!("`{}` does not end like `/shops/{{shop_id}}`", routes.prefix())
        });
        Self {
            schema,
            routes,
            endpoints: Endpoints::new(noun),
            options: |options| options,
            key_prefix: None,
            jobs: None,
            limits: None,
            timeouts: Timeouts::default(),
        }
    }

    /// Adds the endpoints of `group`.
    ///
    /// # Panics
    ///
    /// If one of them is there already.
    pub fn mount(self, group: impl Group<M>) -> Self {
        Self { endpoints: self.endpoints.mount(group), ..self }
    }

    /// Changes the settings of the endpoints, such as the mailer.
    pub fn with_options(self, options: fn(EndpointOptions) -> EndpointOptions) -> Self {
        Self { options, ..self }
    }

    /// Accepts API keys that begin with `prefix`, beside access tokens. Mount `ApiKeys` of `mt-http` to issue them. Their
    /// hashes are made with the secret of the service, so replacing it ends them.
    pub fn with_api_keys(self, prefix: &'static str) -> Self {
        Self { key_prefix: Some(prefix), ..self }
    }

    /// Has [`run`](Self::run) run these jobs beside the requests, in each process of the service.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// use mt_axum::ServiceError;
    /// use mt_core::access::AccessModel;
    /// use mt_core::pg::Tenants;
    /// use mt_core::pg::jobs::{JobPolicy, Jobs};
    ///
    /// fn jobs<M: AccessModel>(tenants: &Tenants<M>) -> Result<Arc<Jobs<M>>, ServiceError> {
    ///     // Register the handlers of jobs here, and schedules.
    ///     Ok(Arc::new(Jobs::new(tenants, JobPolicy::default())))
    /// }
    /// ```
    #[expect(clippy::type_complexity, reason = "a name for it would hide it in the documentation")]
    pub fn with_jobs(self, jobs: fn(&Tenants<M>) -> Result<Arc<Jobs<M>>, ServiceError>) -> Self {
        Self { jobs: Some(jobs), ..self }
    }

    /// Limits the connections of clients. Without it there are as many as the process may have open files, and half of
    /// them from one address. Behind a reverse proxy, name it in `limits.proxies`.
    pub fn with_connection_limits(self, limits: ConnectionLimits) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// Sets how long the service waits for its clients, and for requests under way when it stops.
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// Returns the router of a database, for a server or a test of your own. `secret` signs access tokens, links and
    /// cursors, and `base_url` is what links begin with.
    ///
    /// # Errors
    ///
    /// When the secret is shorter than 32 bytes.
    pub fn into_router(
        self,
        database: &Database,
        secret: &str,
        base_url: &str,
    ) -> Result<Router, ServiceError> {
        let key =
            JwtKey::hs256(secret).map_err(|error| format!("the secret of tokens: {error}"))?;
        let tokens = Arc::new(JwtAuthenticator::new(JwtConfig::new(ISSUER, ISSUER, key))?);
        let options = EndpointOptions::new(secret.as_bytes(), base_url).tokens(Arc::clone(&tokens));
        let reveals = optional("INSECURE_REVEAL_TOKENS").is_some_and(|value| value == "yes");
        let options = options.insecure_reveal_tokens(reveals);
        Ok(match self.key_prefix {
            None => self.router(database, tokens, options),
            Some(prefix) => {
                let keys = database.api_keys(prefix, TokenHasher::new(secret.as_bytes()));
                self.router(database, keys.clone().or(tokens), options.api_keys(keys))
            }
        })
    }

    fn router(
        self,
        database: &Database,
        credentials: impl Authenticator + Clone,
        options: EndpointOptions,
    ) -> Router {
        let tenants = database.tenants::<M>(StandingPolicy::default());
        let guards = Guards::new(&tenants, credentials.clone());
        let options = (self.options)(options);
        let service = self.endpoints.into_service(database, tenants.clone(), guards, options);
        let router = self.routes.into_router(tenants, credentials).merge(endpoints(&service));
        router.layer(from_fn_with_state(self.limits.map(Arc::new), in_span))
    }

    /// Migrates and serves until SIGINT or SIGTERM, and then lets requests and jobs under way finish, for 10 seconds at most
    /// where [`with_timeouts`](Self::with_timeouts) says nothing else. A job that takes longer is rolled back, and runs
    /// again when its lease is over.
    ///
    /// # Errors
    ///
    /// When a variable is missing or not valid, when the jobs cannot be made, when the database cannot be migrated or reached
    /// or lacks a migration, when
    /// custom roles of tenants name a permission that the model does not have ([`roles::check`]), and when the address cannot
    /// be listened on.
    pub async fn run(self) -> Result<(), ServiceError> {
        let login = required("DATABASE_URL")?;
        let secret = required("JWT_SECRET")?;
        let address = optional("LISTEN").unwrap_or_else(|| "127.0.0.1:8000".to_owned());
        let base_url = optional("BASE_URL").unwrap_or_else(|| format!("http://{address}"));
        if let Some(url) = optional("MIGRATE_DATABASE_URL") {
            migrate(&url, &login, &[self.schema]).await?;
        }
        let login = login.parse().map_err(|error| format!("`DATABASE_URL`: {error}"))?;
        refuse_old(&login, self.schema).await?;
        let database = Database::connect(DatabaseOptions::new(login)).await?;
        roles::check::<M>(&database.system()).await?;
        let jobs = self.jobs.map(|jobs| jobs(&database.tenants(StandingPolicy::default())));
        let jobs = jobs.transpose()?;
        let (limits, timeouts) = (self.limits.clone(), self.timeouts);
        let limits = limits.unwrap_or_else(|| ConnectionLimits::of_process(of_database(&database)));
        let app = self.into_router(&database, &secret, &base_url)?;
        let listener = TcpListener::bind(&address)
            .await
            .map_err(|error| format!("cannot listen on `LISTEN={address}`: {error}"))?;
        let stop = shutdown_signal()?;
        let (stop_jobs, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let working = jobs.map(|jobs| tokio::spawn(jobs.work(JobWorkers::default(), stopped)));
        let stop = async {
            stop.await;
            drop(stop_jobs);
        };
        tracing::info!("listening on http://{}", listener.local_addr()?);
        serve(listener, limits, timeouts, app, stop).await;
        if let Some(mut working) = working
            && timeout(timeouts.stop, &mut working).await.is_err()
        {
            working.abort();
        }
        database.close().await;
        Ok(())
    }
}

/// Refuses a database that lacks migrations, on which requests would fail with 500.
async fn refuse_old(
    login: &PgConnectOptions,
    schema: ProductSchema<'_>,
) -> Result<(), ServiceError> {
    let pending = Migration::library().with_product(schema).pending(login).await?;
    let Some(first) = pending.first() else { return Ok(()) };
    let (count, name, login) = (pending.len(), schema.name, login.get_username());
    Err(ServiceError::from(format!(
        "the database lacks migrations: {count}, the first is `{first}`; set `MIGRATE_DATABASE_URL`, or run \
         `mt migrate --schema {name}=migrations --login {login}`"
    )))
}

/// What tenants are called, by the end of the path of one.
fn noun(prefix: &'static str) -> Option<Noun> {
    let (rest, parameter) = prefix.rsplit_once('/')?;
    let one = parameter.strip_prefix('{')?.strip_suffix("_id}")?;
    let many = rest.rsplit('/').next()?;
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
    (is_word(one) && is_word(many)).then(|| Noun::new(one, many))
}

fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &str) -> Result<String, String> {
    optional(name).ok_or_else(|| format!("the variable `{name}` is not set"))
}

/// The most files that the connections to Postgres take: the pool is replaced while its old connections close.
fn of_database(database: &Database) -> usize {
    usize::try_from(database.pool_stats().max).unwrap_or(usize::MAX).saturating_mul(2)
}

impl<M: MemberPolicy> fmt::Debug for Service<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("routes", &self.routes)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_called_what_the_prefix_says() {
        assert_eq!(noun("/shops/{shop_id}"), Some(Noun::new("shop", "shops")));
        assert_eq!(noun("/v1/companies/{company_id}"), Some(Noun::new("company", "companies")));
        for other in
            ["/shops/{shop}", "/{shop_id}", "/shops", "/shops/{_id}", "/my-shops/{shop_id}"]
        {
            assert_eq!(noun(other), None, "{other}");
        }
    }
}
