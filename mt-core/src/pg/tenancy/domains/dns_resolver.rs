//! TXT records by a resolver of the network.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as Answer, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::system_conf::read_system_conf;

use super::txt_resolver::{DnsError, TxtResolver};

/// How long a lookup may take, over all attempts and name servers.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long one attempt waits.
const ATTEMPT: Duration = Duration::from_millis(1500);

/// A [`TxtResolver`] that asks recursive name servers, by UDP and, for long answers, by TCP.
///
/// It follows aliases (`CNAME`), so a tenant may keep its records in another zone. It keeps no cache: an answer is as
/// old as that of the name server. It does not validate DNSSEC itself; use a name server that does.
#[derive(Clone)]
pub struct DnsResolver {
    resolver: TokioResolver,
    deadline: Duration,
}

impl DnsResolver {
    /// Creates a resolver that asks the name servers of the system (`/etc/resolv.conf`), for 5 seconds at most.
    ///
    /// # Errors
    ///
    /// [`io::Error`] if the system's settings cannot be read.
    pub fn system() -> io::Result<Self> {
        let (config, _) = read_system_conf().map_err(io::Error::other)?;
        Self::build(config)
    }

    /// Creates a resolver that asks these name servers, for 5 seconds at most.
    ///
    /// # Errors
    ///
    /// [`io::Error`] if there are none.
    pub fn asking(name_servers: &[SocketAddr]) -> io::Result<Self> {
        if name_servers.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "name at least one name server",
            ));
        }
        let config = name_servers.iter().map(|address| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            let connections = connections.map(|mut connection| {
                connection.port = address.port();
                connection
            });
            NameServerConfig::new(address.ip(), true, connections.into())
        });
        Self::build(ResolverConfig::from_name_servers(config.collect()))
    }

    /// Gives a lookup this long, over all attempts and name servers.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    fn build(config: ResolverConfig) -> io::Result<Self> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = ATTEMPT;
        options.attempts = 2;
        // A user who has just added the record tries again within seconds.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.case_randomization = true;
        let resolver = builder.build().map_err(io::Error::other)?;
        Ok(Self { resolver, deadline: DEADLINE })
    }
}

impl TxtResolver for DnsResolver {
    async fn txt_records<'a>(&'a self, name: &'a str) -> Result<Vec<String>, DnsError> {
        // With the dot of the root, the name is not looked for below the search domains of the system.
        let lookup = self.resolver.txt_lookup(format!("{name}."));
        let answer = match tokio::time::timeout(self.deadline, lookup).await {
            Ok(answer) => answer,
            Err(elapsed) => return Err(DnsError::new(elapsed)),
        };
        match answer {
            Ok(found) => {
                Ok(found.answers().iter().filter_map(|record| text(&record.data)).collect())
            }
            Err(error) if says_there_is_none(&error) => Ok(Vec::new()),
            Err(error) => Err(DnsError::new(error)),
        }
    }
}

/// Returns the text of a TXT record: its strings, which have at most 255 bytes each, joined.
fn text(data: &RData) -> Option<String> {
    let RData::TXT(txt) = data else { return None };
    let joined = txt.txt_data.concat();
    Some(String::from_utf8_lossy(&joined).into_owned())
}

/// Whether the error is the name server's answer that the name does not exist or has no TXT records, and not a failure
/// to answer.
fn says_there_is_none(error: &NetError) -> bool {
    match error {
        NetError::Dns(Answer::NoRecordsFound(none)) => {
            matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
        }
        _ => false,
    }
}

impl std::fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsResolver").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
