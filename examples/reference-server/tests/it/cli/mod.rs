//! Subcommands of `mt-server`.

mod api_keys;
mod billing;
mod demo;
mod doctor;
mod jobs;
mod mail;
mod seed;
mod webhooks;
