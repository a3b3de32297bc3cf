//! Events: processing, malformed input, and the API versions that render them.

mod api_versions;
mod malformed;
mod processor;
