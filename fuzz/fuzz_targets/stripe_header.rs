//! A `Stripe-Signature` header, and what lies behind the first line feed as the body.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../mt-stripe/tests/it/exercise.rs"]
mod exercise;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (header, body) = input.split_at(end);
    exercise::header(header, body);
});
