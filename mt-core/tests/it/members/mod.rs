//! Members of a tenant: roles, invites and the mail that invites send.

mod handing_out;
mod invite_mail;
mod invites;
mod roles;
