//! The shared state of handlers. It opens transactions and gives out no connection.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use mt_core::auth::jwt::JwtAuthenticator;
use mt_core::billing::StandingPolicy;
use mt_core::pg::{Principals, System, Tenants};
use mt_core::token::TokenHasher;
use mt_mail::{MailLimits, Mailer};
use mt_stripe::billing::StripeBilling;
use salvo::Depot;

use crate::archive::Exports;
use crate::config::Secret;
use crate::http::page::Cursors;
use crate::limits::{ClientNetworks, Limiter};
use crate::model::Product;

/// The parts of a running server.
#[derive(Debug)]
pub struct App {
    /// Transactions in an org.
    pub tenants: Tenants<Product>,
    /// Transactions of one user, over their orgs.
    pub principals: Principals,
    /// Transactions across orgs, each with a reason.
    pub system: System,
    /// What a subscription's status means.
    pub standing: StandingPolicy,
    /// Hashes of links and invites.
    pub hasher: TokenHasher,
    /// Places in lists.
    pub cursors: Cursors,
    /// Access tokens.
    pub tokens: Arc<JwtAuthenticator>,
    /// Mail, where it is set up.
    pub mailer: Mailer,
    /// Billing through Stripe.
    pub billing: StripeBilling,
    /// How many orgs are read out at once, and what of each.
    pub exports: Exports,
    /// How many orgs a user may own; `None`: any number.
    pub max_owned_orgs: Option<NonZeroU32>,
    /// The limits on emails, which handlers check.
    pub mail_limits: MailLimits<Limiter>,
    /// The networks of clients, by which sign-in links are limited.
    pub networks: ClientNetworks,
    /// What operators show; none: there are no routes for them.
    pub admin_token: Option<Secret>,
    /// The host of links in mails.
    pub base_url: String,
    /// How long a magic link lives.
    pub magic_link_ttl: Duration,
    /// How long an invite lives.
    pub invite_ttl: Duration,
    /// Whether answers hold the tokens that mails hold: in development and tests only.
    pub reveal_tokens: bool,
}

impl App {
    /// The parts that `depot` carries.
    pub(crate) fn of(depot: &Depot) -> Arc<Self> {
        depot.get_typed::<Arc<Self>>().cloned().expect("the router injects the App at its root")
    }
}
