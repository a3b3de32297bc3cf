//! Subcommands of `mt-server`.

mod billing;
mod demo;
mod doctor;
mod jobs;
mod mail;
mod seed;
mod webhooks;
