//! Credentials: JSON Web Tokens, tokens of identity providers, and credentials that are bound to one tenant.

mod jwt;
mod openid;
mod tenant_bound_credentials;
