//! The shared state of handlers. It opens transactions and gives out no connection.

use std::sync::Arc;

use mt_core::pg::portable::archive::Exports;
use mt_core::pg::{Principals, System, Tenants};
use mt_http::Cursors;
use mt_mail::Mailer;
use mt_stripe::billing::StripeBilling;
use salvo::Depot;

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
    /// Places in lists.
    pub cursors: Cursors,
    /// Mail, where it is set up.
    pub mailer: Mailer,
    /// Billing through Stripe.
    pub billing: StripeBilling,
    /// How many orgs are read out at once, and what of each.
    pub exports: Exports,
    /// Whether there are routes for operators.
    pub has_operators: bool,
    /// Whether answers hold the tokens that mails hold: in development and tests only.
    pub reveal_tokens: bool,
}

impl App {
    /// The parts that `depot` carries.
    pub(crate) fn of(depot: &Depot) -> Arc<Self> {
        depot.get_typed::<Arc<Self>>().cloned().expect("the router injects the App at its root")
    }
}
