//! The address of the client, behind proxies too.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;

use super::forwarded::{self, X_FORWARDED_FOR};
use super::{KeyWriter, NoKey, RateKey};
use crate::guard::RequestContext;

/// The other end of the connection. The server puts it into the request's extensions; in axum, a
/// middleware copies it from `ConnectInfo<SocketAddr>`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerAddr(pub SocketAddr);

/// Key that counts each client address. It needs [`PeerAddr`] in the request's extensions.
///
/// # Behind proxies
///
/// `Forwarded` (RFC 7239) and `X-Forwarded-For` are believed only as far as they were written by proxies
/// that are listed. Each proxy appends the address it was called from, so the list is read from the
/// right: past the trusted hops, the first address that is not trusted is the client. Entries that the
/// client wrote itself stand further left and are never reached. An entry that is not an address ends
/// the walk at the proxy that passed it on.
///
/// A request that has both headers has to have one client by both. A proxy writes one of them and
/// passes the other on as it came, so where they differ neither is believed, and the proxy is counted.
/// So a proxy that is listed has to write at least one of the two.
///
/// List the addresses from which proxies really connect, and nothing wider: a client inside a listed
/// network can claim any address. Without proxies the headers are ignored.
///
/// # IPv6
///
/// A client that has one IPv6 address usually has a /64 of them, so these are counted by /64; see
/// [`with_ipv6_prefix`](Self::with_ipv6_prefix). A site has up to a /48 (RFC 6177), which is 65 536 times a /64, so a
/// /48 is counted as well, with twice the quota: some providers give a /48 to one customer, others spread 256 over
/// one. IPv4 addresses mapped into IPv6, as a socket that listens on both shows them, are counted as the IPv4
/// addresses they are.
///
/// ```
/// use http::HeaderMap;
/// use mt_tower::rate_limit::ClientAddress;
///
/// let by_address = ClientAddress::behind(["10.0.0.0/8".parse().unwrap()]);
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", "192.0.2.66, 198.51.100.7, 10.2.0.1".parse().unwrap());
///
/// let client = by_address.client("10.1.0.1".parse().unwrap(), &headers);
/// assert_eq!(client.to_string(), "198.51.100.7", "what stands left of it is hearsay");
///
/// let direct = by_address.client("203.0.113.9".parse().unwrap(), &headers);
/// assert_eq!(direct.to_string(), "203.0.113.9", "no proxy of ours wrote this header");
/// ```
#[derive(Clone, Debug)]
pub struct ClientAddress {
    trusted: Vec<IpNet>,
    // INVARIANT: at most 128.
    ipv6_prefix: u8,
}

impl ClientAddress {
    /// Clients connect directly: the peer is the client.
    #[must_use]
    pub const fn direct() -> Self {
        Self { trusted: Vec::new(), ipv6_prefix: 64 }
    }

    /// Clients may connect through proxies in these networks.
    #[must_use]
    pub fn behind(proxies: impl IntoIterator<Item = IpNet>) -> Self {
        Self { trusted: proxies.into_iter().collect(), ..Self::direct() }
    }

    /// Counts IPv6 clients by networks of this length instead of 64.
    ///
    /// # Panics
    ///
    /// When `length` is more than 128.
    #[must_use]
    pub fn with_ipv6_prefix(mut self, length: u8) -> Self {
        assert!(length <= 128, "an IPv6 prefix has at most 128 bits");
        self.ipv6_prefix = length;
        self
    }

    /// The client's address, for logs and audit trails that should say the same as the limit.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let by_standard =
            headers.contains_key(FORWARDED).then(|| self.walk(peer, forwarded::forwarded(headers)));
        let by_custom = headers
            .contains_key(X_FORWARDED_FOR)
            .then(|| self.walk(peer, forwarded::x_forwarded_for(headers)));
        match (by_standard, by_custom) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(client), _) | (None, Some(client)) => client,
            (None, None) => peer,
        }
    }

    /// The first hop that is not trusted, or the last before one that is not an address.
    fn walk(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut nearest = peer;
        for hop in hops.map_while(|hop| hop) {
            if !self.trusts(nearest) {
                break;
            }
            nearest = hop;
        }
        nearest
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&address))
    }

    /// The network that is counted.
    fn counted(&self, address: IpAddr) -> IpNet {
        network(address, self.ipv6_prefix)
    }

    /// The site that `address` belongs to: of IPv6 its /48, of IPv4 the address alone.
    ///
    /// For limits of which one client should not have several by having several networks.
    #[must_use]
    pub fn site(address: IpAddr) -> IpNet {
        network(address.to_canonical(), SITE_PREFIX)
    }
}

/// The prefix of the largest network that an end site has (RFC 6177, §2).
const SITE_PREFIX: u8 = 48;

/// How many times the quota of one network a site has.
const SITE_FACTOR: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

fn network(address: IpAddr, ipv6_prefix: u8) -> IpNet {
    let length = if address.is_ipv4() { 32 } else { ipv6_prefix };
    IpNet::new(address, length).expect("not longer than the address").trunc()
}

impl RateKey for ClientAddress {
    fn write(&self, request: &RequestContext<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
        let PeerAddr(peer) = request.require()?;
        key.part("a", self.counted(self.client(peer.ip(), request.headers)));
        Ok(())
    }

    fn write_wider(
        &self,
        request: &RequestContext<'_>,
        key: &mut KeyWriter,
    ) -> Result<Option<NonZeroU32>, NoKey> {
        let PeerAddr(peer) = request.require()?;
        let client = self.client(peer.ip(), request.headers);
        if client.is_ipv4() || self.ipv6_prefix <= SITE_PREFIX {
            return Ok(None);
        }
        key.part("site", Self::site(client));
        Ok(Some(SITE_FACTOR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_FORWARDED_FOR, value.parse().unwrap());
        }
        headers
    }

    #[track_caller]
    fn check(peer: &str, forwarded: &[&str], client: &str) {
        let by_address =
            ClientAddress::behind(["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()));
        let found = by_address.client(peer.parse().unwrap(), &headers(forwarded));
        assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
    }

    #[test]
    fn the_rightmost_untrusted_hop_is_the_client() {
        check("10.0.0.1", &["198.51.100.7"], "198.51.100.7");
        check("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7");
        check("10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7");
        check("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7");
        check("10.0.0.1", &["198.51.100.7,10.0.0.2 , 10.0.0.3"], "198.51.100.7");
        check("fd00::1", &["198.51.100.7"], "198.51.100.7");
        check("::ffff:10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7");
        check("10.0.0.1", &["10.0.0.9, 10.0.0.2"], "10.0.0.9");
        check("10.0.0.1", &[], "10.0.0.1");
    }

    #[test]
    fn what_the_client_wrote_is_not_believed() {
        check("203.0.113.9", &["198.51.100.7"], "203.0.113.9");
        check("10.0.0.1", &["192.0.2.66, 198.51.100.7"], "198.51.100.7");
        check("10.0.0.1", &["192.0.2.66", "198.51.100.7"], "198.51.100.7");
        check("10.0.0.1", &["10.0.0.66, 198.51.100.7"], "198.51.100.7");
        check("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.7, , 10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &["198.51.100.7, 999.1.1.1"], "10.0.0.1");
    }

    #[test]
    fn a_header_that_is_not_text_ends_the_walk() {
        let mut headers = headers(&["198.51.100.7"]);
        headers.append(X_FORWARDED_FOR, http::HeaderValue::from_bytes(b"\xff").unwrap());
        let by_address = ClientAddress::behind(["10.0.0.0/8".parse().unwrap()]);
        let proxy = "10.0.0.1".parse().unwrap();
        assert_eq!(by_address.client(proxy, &headers), proxy);
    }

    #[test]
    fn ipv6_is_counted_by_network() {
        let counted = |text: &str| ClientAddress::direct().counted(text.parse().unwrap());
        let network = |text: &str| text.parse::<IpNet>().unwrap();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::/64"));
        assert_eq!(counted("2001:db8:1:2:ffff::"), counted("2001:db8:1:2::1"));
        assert_ne!(counted("2001:db8:1:3::"), counted("2001:db8:1:2::"));
        assert_eq!(counted("198.51.100.7"), network("198.51.100.7/32"));
        let by_48 = ClientAddress::direct().with_ipv6_prefix(48);
        let address = "2001:db8:1:2::1".parse().unwrap();
        assert_eq!(by_48.counted(address), network("2001:db8:1::/48"));
        assert_eq!(ClientAddress::site(address), network("2001:db8:1::/48"));
        let mapped = "::ffff:198.51.100.7".parse().unwrap();
        assert_eq!(ClientAddress::site(mapped), network("198.51.100.7/32"));
    }

    /// The client behind a proxy of ours, by each header, and by both.
    #[track_caller]
    fn both(standard: &[&str], custom: &[&str]) -> String {
        let mut headers = headers(custom);
        for value in standard {
            headers.append(FORWARDED, value.parse().unwrap());
        }
        let by_address = ClientAddress::behind(["10.0.0.0/8".parse().unwrap()]);
        by_address.client("10.0.0.1".parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_standard_header_is_read_in_the_same_way() {
        assert_eq!(both(&["for=198.51.100.7"], &[]), "198.51.100.7");
        assert_eq!(both(&["for=192.0.2.66, for=198.51.100.7"], &[]), "198.51.100.7");
        assert_eq!(both(&["for=192.0.2.66", "for=198.51.100.7;by=10.0.0.1"], &[]), "198.51.100.7");
        assert_eq!(both(&["for=198.51.100.7, for=10.0.0.2"], &[]), "198.51.100.7");
        assert_eq!(both(&["for=198.51.100.7, for=_hidden"], &[]), "10.0.0.1");
        let direct = ClientAddress::direct();
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED, "for=192.0.2.66".parse().unwrap());
        let peer: IpAddr = "203.0.113.9".parse().unwrap();
        assert_eq!(direct.client(peer, &headers), peer, "no proxy of ours wrote it");
    }

    #[test]
    fn a_client_cannot_use_the_header_that_the_proxy_passes_on() {
        // The proxy wrote the one, the client the other: neither way round is the victim counted.
        assert_eq!(both(&["for=192.0.2.66"], &["198.51.100.7"]), "10.0.0.1");
        assert_eq!(both(&["for=198.51.100.7"], &["192.0.2.66"]), "10.0.0.1");
        assert_eq!(both(&["for=198.51.100.7"], &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(both(&["nonsense"], &["198.51.100.7"]), "10.0.0.1");
    }
    proptest::proptest! {
        /// Whatever a client writes, what the proxy adds to it is what counts.
        #[test]
        fn nothing_that_a_client_writes_hides_what_the_proxy_adds(
            standard in "[ -~\\t\\x80-\\xff]{0,40}",
            custom in "[ -~\\t\\x80-\\xff]{0,40}",
            joined: bool,
        ) {
            let mut headers = HeaderMap::new();
            for (name, forged, added) in [
                (&FORWARDED, &standard, "for=198.51.100.7"),
                (&X_FORWARDED_FOR, &custom, "198.51.100.7"),
            ] {
                let forged = forged.chars().map(|c| c as u8).collect::<Vec<_>>();
                let added = added.as_bytes();
                let values =
                    if joined { vec![[&forged, &b", "[..], added].concat()] } else { vec![forged, added.to_vec()] };
                for value in values {
                    headers.append(name, http::HeaderValue::from_bytes(&value).unwrap());
                }
            }
            let by_address = ClientAddress::behind(["10.0.0.0/8".parse().unwrap()]);
            let client = by_address.client("10.0.0.1".parse().unwrap(), &headers);
            proptest::prop_assert_eq!(client.to_string(), "198.51.100.7");
        }
    }
}
