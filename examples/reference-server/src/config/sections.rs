//! Groups of settings that other services do not have, and how each is read.

use std::num::NonZeroU32;

use mt_service::settings::guessable::{NOT_GUESSABLE, is_guessable};
use mt_service::settings::transport::{is_postgres_url, postgres_risk};
use mt_service::settings::{AppEnv, Reader, Secret, Setting};
use reqwest::Url;

use super::known_secrets::KNOWN;

/// Settings of Postgres.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`; `None`: the embedded engine.
    pub url: Option<Secret>,
    /// `SYSTEM_DATABASE_URL`: the login for work across orgs; `None`: the login of `DATABASE_URL`.
    pub system_url: Option<Secret>,
    /// `MIGRATE_DATABASE_URL`, or else `DATABASE_URL`.
    pub migrate_url: Option<Secret>,
    /// `DATABASE_MAX_CONNECTIONS`: the size of each login's pool.
    pub max_connections: NonZeroU32,
    /// `ORG_MAX_IN_FLIGHT`: how many connections the requests of one org may use at once; `None`: unlimited.
    pub org_max_in_flight: Option<NonZeroU32>,
}

impl DatabaseConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let takes = "a URL such as `postgres://user:password@host:5432/database`";
        let url = r.secret("DATABASE_URL", takes, is_postgres_url);
        let system_url = r.secret("SYSTEM_DATABASE_URL", takes, is_postgres_url);
        let migrate_url = r.secret("MIGRATE_DATABASE_URL", takes, is_postgres_url);
        let max_connections = r.count("DATABASE_MAX_CONNECTIONS", 16, 10_000);
        let most_of_them = (max_connections.get() * 3).div_ceil(4);
        Self {
            migrate_url: migrate_url.or_else(|| url.clone()),
            url,
            system_url,
            max_connections,
            org_max_in_flight: NonZeroU32::new(r.number(
                "ORG_MAX_IN_FLIGHT",
                most_of_them,
                0..=10_000,
            )),
        }
    }

    pub(super) fn shown(&self) -> [Setting; 5] {
        let Self { url, system_url, migrate_url, .. } = self;
        let Self { max_connections, org_max_in_flight, .. } = self;
        [
            Setting::address("DATABASE_URL", url.as_ref()),
            Setting::address("SYSTEM_DATABASE_URL", system_url.as_ref()),
            Setting::address("MIGRATE_DATABASE_URL", migrate_url.as_ref()),
            Setting::new("DATABASE_MAX_CONNECTIONS", max_connections),
            Setting::quota("ORG_MAX_IN_FLIGHT", *org_max_in_flight),
        ]
    }

    /// Returns the risks on the way to each login's Postgres.
    pub(super) fn transport_risks(&self) -> impl Iterator<Item = String> {
        let is_other =
            |url: &&Secret| self.url.as_ref().is_none_or(|main| main.reveal() != url.reveal());
        let [system, migrator] = [&self.system_url, &self.migrate_url];
        let logins = [
            ("DATABASE_URL", self.url.as_ref()),
            ("SYSTEM_DATABASE_URL", system.as_ref().filter(is_other)),
            ("MIGRATE_DATABASE_URL", migrator.as_ref().filter(is_other)),
        ];
        logins.into_iter().filter_map(|(name, url)| postgres_risk(name, url))
    }
}

/// Settings of Stripe.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// `STRIPE_WEBHOOK_SECRET`: several during a rotation. If empty, signatures are not checked, which production
    /// refuses.
    pub webhook_secrets: Vec<Secret>,
    /// `STRIPE_LIVEMODE`: the only mode whose events are processed; `None`: both.
    pub livemode: Option<bool>,
    /// `STRIPE_ACCOUNTS`: the only accounts whose events are processed; `None`: all.
    pub accounts: Option<Vec<String>>,
    /// `STRIPE_SECRET_KEY`; `None`: Stripe is simulated, and in production orgs cannot buy.
    pub secret_key: Option<Secret>,
    /// `STRIPE_API_BASE`: the URL of the API, for a fake Stripe in dev and test.
    pub api_base: Url,
    /// `STRIPE_PRICE_PRO`: the prices that mean the plan `pro`.
    pub pro_prices: Vec<String>,
}

/// The URL of Stripe's API.
const STRIPE: &str = "https://api.stripe.com";

impl StripeConfig {
    pub(super) fn read(r: &mut Reader<'_>, env: AppEnv) -> Self {
        let word = |item: &str| is_word(item).then(|| item.to_owned());
        let accounts = r.list("STRIPE_ACCOUNTS", "account ids, separated by commas", word);
        let prices = r.list("STRIPE_PRICE_PRO", "price ids, separated by commas", word);
        let no_space = "secrets without white space, separated by commas";
        let secrets = r.secret("STRIPE_WEBHOOK_SECRET", no_space, |v| v.split(',').all(is_word));
        let mode = r.optional("STRIPE_LIVEMODE", "`true`, `false` or `any`", |v| match v {
            "any" => Some(None),
            flag => flag.parse().ok().map(Some),
        });
        Self {
            webhook_secrets: secrets
                .map(|list| list.reveal().split(',').map(Secret::new).collect())
                .unwrap_or_default(),
            livemode: mode.unwrap_or(env.is_prod().then_some(true)),
            accounts: Some(accounts).filter(|accounts| !accounts.is_empty()),
            secret_key: r.secret("STRIPE_SECRET_KEY", "a key without white space", is_word),
            api_base: r
                .optional("STRIPE_API_BASE", "an http or https URL", |v| {
                    let url = Url::parse(v).ok()?;
                    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
                })
                .unwrap_or_else(|| Url::parse(STRIPE).expect("the address is one")),
            pro_prices: if prices.is_empty() { vec!["price_pro".to_owned()] } else { prices },
        }
    }

    pub(super) fn shown(&self) -> [Setting; 6] {
        let Self { webhook_secrets, livemode, accounts, secret_key, api_base, pro_prices } = self;
        let livemode = livemode.map_or("any".to_owned(), |mode| mode.to_string());
        [
            Setting::secrets("STRIPE_WEBHOOK_SECRET", webhook_secrets),
            Setting::new("STRIPE_LIVEMODE", livemode),
            Setting::list("STRIPE_ACCOUNTS", accounts.iter().flatten()),
            Setting::secret("STRIPE_SECRET_KEY", secret_key.as_ref()),
            Setting::new("STRIPE_API_BASE", api_base),
            Setting::list("STRIPE_PRICE_PRO", pro_prices),
        ]
    }

    /// Reports what production refuses.
    pub(super) fn check_production(&self, r: &mut Reader<'_>) {
        let is_guessable = |secret: &Secret| is_guessable(secret.reveal(), KNOWN);
        if self.webhook_secrets.iter().any(is_guessable) {
            r.refuse_secret(
                "STRIPE_WEBHOOK_SECRET",
                format!("in prod, secrets with {NOT_GUESSABLE}"),
            );
        }
        if self.secret_key.as_ref().is_some_and(is_guessable) {
            r.refuse_secret("STRIPE_SECRET_KEY", format!("in prod, a key with {NOT_GUESSABLE}"));
        }
        if let Some(base) = r.text("STRIPE_API_BASE") {
            r.refuse("STRIPE_API_BASE", base, "nothing in prod: the key is for Stripe alone");
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|char: char| char.is_whitespace() || char.is_control())
}
