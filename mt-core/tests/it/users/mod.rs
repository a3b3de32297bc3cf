//! Users: magic links, identities at providers, signing in, signing out and deletion.

mod deletion;
mod identities;
mod sign_in;
