//! The body of a verified delivery, as far as a tenant's state.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../mt-stripe/tests/it/exercise.rs"]
mod exercise;

fuzz_target!(|body: &[u8]| exercise::event(body));
