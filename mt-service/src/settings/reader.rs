//! Reads variables and collects errors.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::error::{ConfigError, ConfigErrors, Got};
use super::secret::Secret;

/// Returns the value of a variable.
type Vars<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// Reads one variable after another. For a value that does not parse it records the error and returns the default, so
/// that one run reports every problem.
pub struct Reader<'a> {
    vars: Vars<'a>,
    errors: Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    /// Reads by `vars`, which returns the value of a variable.
    pub fn new(vars: impl Fn(&str) -> Option<String> + 'a) -> Self {
        Self { vars: Box::new(vars), errors: Vec::new() }
    }

    /// Returns `settings` if none was refused.
    ///
    /// # Errors
    ///
    /// [`ConfigErrors`] with every setting that was refused.
    pub fn finish<T>(self, settings: T) -> Result<T, ConfigErrors> {
        if self.errors.is_empty() { Ok(settings) } else { Err(ConfigErrors(self.errors)) }
    }

    /// Returns the value of `name`; `None` if it is empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        (self.vars)(name).filter(|value| !value.is_empty())
    }

    /// Records that `name` is not set, or that what it means when it is not set is not one that it `takes`.
    pub fn refuse_unset(&mut self, name: &'static str, takes: impl Into<String>) {
        self.errors.push(ConfigError::new(name, Got::Unset, takes));
    }

    /// Records that `value` is not one that `name` `takes`. The error shows the value.
    pub fn refuse(
        &mut self,
        name: &'static str,
        value: impl Into<String>,
        takes: impl Into<String>,
    ) {
        self.errors.push(ConfigError::new(name, Got::Plain(value.into()), takes));
    }

    /// Records that the value of the secret `name` is not one that it `takes`. The error shows its length.
    pub fn refuse_secret(&mut self, name: &'static str, takes: impl Into<String>) {
        let got = self.text(name).map_or(Got::Unset, |value| Got::Secret(value.len()));
        self.errors.push(ConfigError::new(name, got, takes));
    }

    /// Records each of `names` that is not set, with what it takes.
    pub fn require(&mut self, names: &[(&'static str, &str)]) {
        for (name, takes) in names {
            if self.text(name).is_none() {
                self.refuse_unset(name, *takes);
            }
        }
    }

    /// Reads a value that `parse` accepts; `takes` says in the error what that is.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        takes: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.text(name)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            self.refuse(name, value, takes);
        }
        parsed
    }

    /// Reads a secret that must satisfy `is_valid`.
    pub fn secret(
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

    /// Reads `true` or `false`.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.optional(name, "`true` or `false`", |value| value.parse().ok())
    }

    /// Reads a whole number in `range`.
    pub fn number(&mut self, name: &'static str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let takes = format!("a whole number from {} to {}", range.start(), range.end());
        let number =
            self.optional(name, &takes, |value| digits(value).filter(|n| range.contains(n)));
        number.unwrap_or(default)
    }

    /// Reads a number from 1 to `most`.
    pub fn count(&mut self, name: &'static str, default: u32, most: u32) -> NonZeroU32 {
        NonZeroU32::new(self.number(name, default, 1..=most)).unwrap_or(NonZeroU32::MIN)
    }

    /// Reads a whole number of seconds in `range`.
    pub fn seconds(
        &mut self,
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Duration {
        Duration::from_secs(self.number(name, default, range).into())
    }

    /// Reads a number of days; 0 means for ever.
    pub fn days(&mut self, name: &'static str, default: u32) -> Option<Duration> {
        match self.number(name, default, 0..=36_500) {
            0 => None,
            days => Some(Duration::from_hours(24 * u64::from(days))),
        }
    }

    /// Reads a quota; 0 means unlimited.
    pub fn quota(&mut self, name: &'static str, default: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(self.number(name, default, 0..=1_000_000))
    }

    /// Reads items separated by commas; spaces around them are ignored.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        takes: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let items = |value: &str| value.split(',').map(|item| parse(item.trim())).collect();
        self.optional(name, takes, items).unwrap_or_default()
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("errors", &self.errors).finish_non_exhaustive()
    }
}

/// Parses a number without a sign, which `FromStr` would accept.
fn digits<T: FromStr>(value: &str) -> Option<T> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}
