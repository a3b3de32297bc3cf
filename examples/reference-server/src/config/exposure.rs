//! What a server outside of production exposes to other machines.
//!
//! In `dev` and `test` anyone who reaches the server can sign in as any user. On a loopback address only this machine
//! reaches it. On any other address `APP_ENV` is required, so that a server without settings exposes nothing.

use mt_service::settings::guessable::is_guessable;
use mt_service::settings::{Reader, Secret};

use super::Config;
use super::known_secrets::KNOWN;

impl Config {
    /// Returns whether `APP_HOST` is reachable from other machines.
    #[must_use]
    pub fn listens_to_others(&self) -> bool {
        !self.listen.ip().to_canonical().is_loopback()
    }

    /// Returns what this server does and a production server does not, a sentence each. Empty in production.
    #[must_use]
    pub fn dev_behaviours(&self) -> Vec<&'static str> {
        if self.app_env.is_prod() {
            return Vec::new();
        }
        let is_public = |secret: &Secret| is_guessable(secret.reveal(), KNOWN);
        let webhooks = &self.stripe.webhook_secrets;
        let behaviours = [
            (
                true,
                "answers hold the tokens of sign-in links and invites: anyone can sign in as anyone",
            ),
            (
                is_public(&self.auth.jwt_secret)
                    || self.auth.jwt_secret_previous.as_ref().is_some_and(is_public),
                "`JWT_SECRET` is public: anyone can sign access tokens",
            ),
            (
                self.admin_token.as_ref().is_some_and(is_public),
                "`ADMIN_TOKEN` is public: anyone can use /admin",
            ),
            (
                webhooks.is_empty(),
                "`STRIPE_WEBHOOK_SECRET` is not set: webhooks are taken without a signature",
            ),
            (
                webhooks.iter().any(is_public),
                "`STRIPE_WEBHOOK_SECRET` is public: anyone can sign webhooks",
            ),
            (
                self.stripe.secret_key.is_none(),
                "`STRIPE_SECRET_KEY` is not set: Stripe is simulated, and plans cost nothing",
            ),
            (
                self.database.url.is_none(),
                "`DATABASE_URL` is not set: the database is the embedded Postgres, which serves one \
                 connection and does not flush to the disk",
            ),
        ];
        behaviours.into_iter().filter(|(holds, _)| *holds).map(|(_, text)| text).collect()
    }
}

/// Reports a missing `APP_ENV` if other machines may reach the server.
pub(super) fn check(r: &mut Reader<'_>, config: &Config) {
    if config.listens_to_others() && !config.app_env_is_set {
        let takes = format!(
            "`prod`, or `dev` or `test` set outright, where `APP_HOST` ({}) is not a loopback address: in \
             both, anyone who reaches the server can sign in as anyone",
            config.listen.ip()
        );
        r.refuse_unset("APP_ENV", takes);
    }
}
