//! What endpoints work with.

use mt_core::access::AccessModel;
use mt_core::pg::{Principals, System, Tenants};

use crate::{EndpointOptions, Noun};

/// The ways to the database, and the settings.
#[derive(Debug)]
pub(crate) struct Context<M: AccessModel> {
    pub(crate) noun: Noun,
    pub(crate) tenants: Tenants<M>,
    pub(crate) principals: Principals,
    pub(crate) system: System,
    pub(crate) options: EndpointOptions,
}
