//! Members of a tenant: roles, invites and the mail that invites send.

mod custom_roles;
mod handing_out;
mod invite_mail;
mod invites;
mod roles;
