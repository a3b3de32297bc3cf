//! The settings in force, without secrets: `serve --print-config`.
//!
//! The groups are destructured field by field, so that a setting which is not shown does not compile. A test compares
//! the names with those that are read and with `.env.example`.

use super::{Config, MailConfig, Setting};

impl Config {
    /// Returns every variable that is read, with its value.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let Self {
            app_env,
            app_env_is_set: _,
            listen,
            base_url,
            http,
            database,
            redis,
            auth,
            billing_grace,
            rate_limits,
            exports,
            stripe,
            webhooks,
            growth,
            mail,
            outbox_retention,
            admin_token,
            cors_origins,
            metrics_addr,
            log,
            traces,
            shutdown_grace,
        } = self;
        let origins = cors_origins.iter().map(|origin| String::from_utf8_lossy(origin.as_bytes()));
        let mut shown = vec![
            Setting::new("APP_ENV", app_env.as_str()),
            Setting::new("APP_HOST", listen.ip()),
            Setting::new("APP_PORT", listen.port()),
            Setting::new("BASE_URL", base_url.as_str()),
        ];
        shown.extend(http.shown());
        shown.extend(database.shown());
        shown.extend(redis.shown());
        shown.extend(auth.shown());
        shown.push(Setting::seconds("BILLING_GRACE_SECONDS", *billing_grace));
        shown.extend(rate_limits.shown());
        shown.extend(super::exports::shown(*exports));
        shown.extend(stripe.shown());
        shown.extend(webhooks.shown());
        shown.extend(growth.shown());
        shown.extend(MailConfig::shown(mail.as_ref()));
        shown.extend([
            Setting::days("OUTBOX_RETENTION_DAYS", *outbox_retention),
            Setting::secret("ADMIN_TOKEN", admin_token.as_ref()),
            Setting::list("CORS_ORIGINS", origins),
            Setting::optional("METRICS_ADDR", *metrics_addr),
        ]);
        shown.extend(log.shown());
        shown.extend(traces.shown());
        shown.push(Setting::seconds("SHUTDOWN_GRACE_SECONDS", *shutdown_grace));
        shown
    }
}
