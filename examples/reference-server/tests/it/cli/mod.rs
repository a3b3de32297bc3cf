//! Subcommands of `mt-server`.

mod billing;
mod demo;
mod doctor;
mod mail;
mod seed;
mod webhooks;
