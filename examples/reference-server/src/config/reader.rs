//! Reads variables and collects errors.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::error::{ConfigError, Got};
use super::secret::Secret;

/// Reads one variable after another. For a value that does not parse it records the error and returns the default, so
/// that one run reports every problem.
pub(super) struct Reader<F> {
    vars: F,
    errors: Vec<ConfigError>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    pub(super) fn new(vars: F) -> Self {
        Self { vars, errors: Vec::new() }
    }

    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }

    /// Returns the value of `name`; `None` if it is empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.vars)(name).filter(|value| !value.is_empty())
    }

    /// Records that the value of `name` is not one that it `takes`.
    pub(super) fn refuse(&mut self, name: &'static str, got: Got, takes: impl Into<String>) {
        self.errors.push(ConfigError::new(name, got, takes));
    }

    /// Records that the value of the secret `name` is not one that it `takes`.
    pub(super) fn refuse_secret(&mut self, name: &'static str, takes: &str) {
        let got = self.text(name).map_or(Got::Unset, |value| Got::Secret(value.len()));
        self.refuse(name, got, takes);
    }

    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        takes: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.text(name)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            self.refuse(name, Got::Plain(value), takes);
        }
        parsed
    }

    /// Reads a secret that must satisfy `is_valid`.
    pub(super) fn secret(
        &mut self,
        name: &'static str,
        takes: &str,
        is_valid: impl FnOnce(&str) -> bool,
    ) -> Option<Secret> {
        let value = self.text(name)?;
        if is_valid(&value) {
            return Some(Secret::new(value));
        }
        self.refuse_secret(name, takes);
        None
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.optional(name, "`true` or `false`", |value| value.parse().ok())
    }

    /// Reads a whole number in `range`.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> u32 {
        let takes = format!("a whole number from {} to {}", range.start(), range.end());
        let number =
            self.optional(name, &takes, |value| digits(value).filter(|n| range.contains(n)));
        number.unwrap_or(default)
    }

    /// Reads a number from 1 to `most`.
    pub(super) fn count(&mut self, name: &'static str, default: u32, most: u32) -> NonZeroU32 {
        NonZeroU32::new(self.number(name, default, 1..=most)).unwrap_or(NonZeroU32::MIN)
    }

    pub(super) fn seconds(
        &mut self,
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Duration {
        Duration::from_secs(self.number(name, default, range).into())
    }

    /// Reads a number of days; 0 means for ever.
    pub(super) fn days(&mut self, name: &'static str, default: u32) -> Option<Duration> {
        match self.number(name, default, 0..=36_500) {
            0 => None,
            days => Some(Duration::from_hours(24 * u64::from(days))),
        }
    }

    /// Reads a quota; 0 means unlimited.
    pub(super) fn quota(&mut self, name: &'static str, default: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(self.number(name, default, 0..=1_000_000))
    }

    /// Reads items separated by commas; spaces around them are ignored.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        takes: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let items = |value: &str| value.split(',').map(|item| parse(item.trim())).collect();
        self.optional(name, takes, items).unwrap_or_default()
    }
}

/// Parses a number without a sign, which `FromStr` would accept.
fn digits<T: FromStr>(value: &str) -> Option<T> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}
