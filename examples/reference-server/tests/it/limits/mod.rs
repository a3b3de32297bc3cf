//! Rate limits: requests, sign-in links, mail, and the answers that refuse.

mod mail;
mod redis_tls;
mod requests;
pub(crate) mod responses;
mod sign_in_links;
