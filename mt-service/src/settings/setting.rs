//! Settings in force, as operators see them.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::time::Duration;

use url::Url;

use super::Secret;

/// A variable and its value in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// The name of the variable.
    pub name: &'static str,
    /// The value, without secrets; `None`: unset, without a default.
    pub value: Option<String>,
}

impl Setting {
    /// A setting that always has a value.
    #[must_use]
    pub fn new(name: &'static str, value: impl Display) -> Self {
        Self { name, value: Some(value.to_string()) }
    }

    /// A setting that may have no value.
    #[must_use]
    pub fn optional(name: &'static str, value: Option<impl Display>) -> Self {
        Self { name, value: value.map(|value| value.to_string()) }
    }

    /// A secret, by its length.
    #[must_use]
    pub fn secret(name: &'static str, secret: Option<&Secret>) -> Self {
        Self::optional(name, secret.map(length))
    }

    /// Several secrets, by their lengths.
    #[must_use]
    pub fn secrets(name: &'static str, secrets: &[Secret]) -> Self {
        Self::list(name, secrets.iter().map(length))
    }

    /// The host of a URL, without the credentials.
    #[must_use]
    pub fn address(name: &'static str, url: Option<&Secret>) -> Self {
        Self::optional(name, url.map(|url| address(url).unwrap_or_else(|| length(url))))
    }

    /// A time in seconds.
    #[must_use]
    pub fn seconds(name: &'static str, duration: Duration) -> Self {
        Self::new(name, duration.as_secs())
    }

    /// A time in days; 0 means for ever.
    #[must_use]
    pub fn days(name: &'static str, duration: Option<Duration>) -> Self {
        Self::new(name, duration.map_or(0, |duration| duration.as_secs() / (24 * 60 * 60)))
    }

    /// A quota; 0 means unlimited.
    #[must_use]
    pub fn quota(name: &'static str, quota: Option<NonZeroU32>) -> Self {
        Self::new(name, quota.map_or(0, NonZeroU32::get))
    }

    /// Items, separated by commas.
    #[must_use]
    pub fn list(name: &'static str, items: impl IntoIterator<Item = impl Display>) -> Self {
        let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
        Self::optional(name, (!items.is_empty()).then(|| items.join(",")))
    }
}

fn length(secret: &Secret) -> String {
    format!("({} bytes)", secret.reveal().len())
}

/// Returns scheme, host, port and path, because the query of a URL may hold a password too.
fn address(url: &Secret) -> Option<String> {
    let url = Url::parse(url.reveal()).ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://…@{}{port}{}", url.scheme(), url.host_str()?, url.path()))
}
