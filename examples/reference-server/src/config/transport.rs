//! Settings that send secrets unencrypted or trust every proxy.

use super::{Config, MailConfig};

impl Config {
    /// Returns the risks on the way to other services, a sentence each: traffic that can be read or forged. `doctor`
    /// shows them, and the server logs them when it starts.
    ///
    /// They are warnings, because the network may be private, as in Compose.
    #[must_use]
    pub fn transport_risks(&self) -> Vec<String> {
        let mail = self.mail.as_ref().and_then(MailConfig::transport_risk);
        let others = [
            self.redis.transport_risk(),
            mail,
            self.traces.transport_risk(),
            self.rate_limits.transport_risk(),
        ];
        self.database.transport_risks().chain(others.into_iter().flatten()).collect()
    }
}
