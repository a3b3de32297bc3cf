//! Users: magic links, signing in and signing out.

mod sign_in;
