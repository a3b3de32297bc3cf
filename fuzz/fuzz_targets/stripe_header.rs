//! A `Stripe-Signature` header, and what lies behind the first line feed as the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use test_support::stripe_input;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (header, body) = input.split_at(end);
    stripe_input::verify(header, body);
});
