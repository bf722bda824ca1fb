//! Address of the client, for limits.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Address that identifies a client. Of an IPv6 address only the /64 network counts, because a single
/// customer of a provider gets at least that many addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self(network(address.to_canonical()))
    }
}

impl ClientAddress {
    /// The address as bytes, as input of keyed hashes.
    pub fn bytes(&self) -> Vec<u8> {
        match self.0 {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        }
    }

    /// Returns whether the address is not routed on the Internet: loopback or a private network.
    pub fn is_private(&self) -> bool {
        match self.0 {
            IpAddr::V4(address) => {
                let [first, second, ..] = address.octets();
                let is_shared = first == 100 && (64..128).contains(&second);
                address.is_loopback() || address.is_private() || address.is_link_local() || is_shared
            }
            // Of a loopback address only the network is left.
            IpAddr::V6(address) => {
                address.is_unspecified() || address.is_unique_local() || address.is_unicast_link_local()
            }
        }
    }

    /// Returns the address reported by a chain of trusted proxies, or else the peer's address. Each proxy
    /// appends the address of its client, so the list is read from the end while the writer of an entry is
    /// trusted; the client could have written anything before that.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> Self {
        let mut client = peer.to_canonical();
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut entries = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        while trusts(client) {
            let Some(reported) = entries.next().and_then(parse_entry) else { break };
            client = reported;
        }
        Self(network(client))
    }
}

/// Parses an address; some proxies append the port.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let with_port = || entry.parse::<SocketAddr>().map(|address| address.ip());
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = entry.parse().or_else(|_| with_port()).ok().or_else(bracketed);
    address.map(|address: IpAddr| address.to_canonical())
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).expect("a header"));
        }
        let trusted: ipnet::IpNet = "10.0.0.0/8".parse().expect("a network");
        let peer = peer.parse().expect("an address");
        ClientAddress::of(peer, &headers, |address| trusted.contains(&address)).0.to_string()
    }

    #[test]
    fn strangers_are_who_they_are_whatever_they_say() {
        assert_eq!(client("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("::ffff:192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn proxies_are_believed_as_far_as_they_are_ours() {
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.9", "198.51.100.7 ,10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client("10.0.0.1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["::ffff:198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_over() {
        assert_eq!(client("10.0.0.1", &["203.0.113.9, unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, , 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &[""]), "10.0.0.1");
    }

    #[test]
    fn addresses_of_ones_own_networks_are_private() {
        let is_private =
            |text: &str| ClientAddress::from(text.parse::<IpAddr>().expect("an address")).is_private();
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.17.0.1",
            "192.168.1.1",
            "169.254.0.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(is_private(private), "{private}");
        }
        for public in ["192.0.2.1", "100.128.0.1", "172.32.0.1", "2001:db8::1"] {
            assert!(!is_private(public), "{public}");
        }
    }

    #[test]
    fn a_v6_client_is_its_network() {
        assert_eq!(client("2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
        assert_eq!(client("10.0.0.1", &["2001:db8:1:2::9"]), "2001:db8:1:2::");
        assert_eq!(client("10.0.0.1", &["[2001:db8:1:2::9]:443"]), "2001:db8:1:2::");
        assert_eq!(client("10.0.0.1", &["[2001:db8:1:2::9]"]), "2001:db8:1:2::");
    }
}
