//! Credentials: JSON Web Tokens, and credentials that are bound to one tenant.

mod jwt;
mod tenant_bound_credentials;
