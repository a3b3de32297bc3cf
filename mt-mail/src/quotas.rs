//! The quotas of the limits on emails.

use std::num::NonZeroU32;

/// The quotas of [`MailLimits`](crate::MailLimits). A limit whose quota is `None` is off; by default all are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MailQuotas {
    /// Emails an hour to one address from one network.
    pub to_one_recipient: Option<NonZeroU32>,
    /// Invites an hour by one principal, on a plan whose factor is one.
    pub by_one_sender: Option<NonZeroU32>,
    /// Emails a minute in all.
    pub in_all: Option<NonZeroU32>,
}
