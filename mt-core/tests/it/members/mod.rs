//! Members of a tenant: roles, invites and the mail that invites send.

mod invite_mail;
mod invites;
mod roles;
