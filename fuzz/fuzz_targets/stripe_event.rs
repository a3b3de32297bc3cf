//! The body of a verified delivery, as far as a tenant's state.

#![no_main]

use libfuzzer_sys::fuzz_target;
use test_support::stripe_input;

fuzz_target!(|body: &[u8]| stripe_input::parse(body));
