//! Users: magic links, identities at providers, signing in and signing out.

mod identities;
mod sign_in;
