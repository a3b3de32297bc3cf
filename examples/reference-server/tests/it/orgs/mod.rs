//! Orgs: memberships, caps, suspension, export, import and deletion.

mod archive;
mod caps;
mod deletion;
mod fixture;
mod invalid_archives;
mod memberships;
mod suspension;
