//! Rules for outbound addresses. Customers choose the destinations, so they must not be able to choose an
//! address that only this server can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Exceptions configured by the operator.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressRules {
    /// The operator's networks that may be called, even without encryption.
    pub(super) allowed_networks: Vec<IpNet>,
}

impl AddressRules {
    /// Returns whether the operator has explicitly allowed the address.
    pub(super) fn allows_explicitly(&self, address: IpAddr) -> bool {
        self.allowed_networks.iter().any(|network| network.contains(&address))
    }

    /// Returns whether the address may be called. Without encryption it must be explicitly allowed.
    pub(super) fn allows(&self, address: IpAddr, is_encrypted: bool) -> bool {
        self.allows_explicitly(address) || (is_encrypted && is_public(address))
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// The IANA special-purpose registry, and an address of one cloud.
const NOT_PUBLIC_V4: &[Ipv4Net] = &[
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    // Carrier-grade NAT; also the metadata service of one cloud.
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    // Link-local, including the metadata service of most clouds.
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    // IPv6 relays, which lead anywhere.
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    // Multicast, reserved and broadcast.
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
    // The host of a virtual machine, which one cloud has at a public address.
    v4(168, 63, 129, 16, 32),
];

const fn v6(first: u16, second: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}

/// All public unicast addresses assigned so far. Excludes loopback, link-local, unique local and multicast
/// addresses, and embedded IPv4 addresses (mapped, compatible, NAT64).
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);

const NOT_PUBLIC_V6: &[Ipv6Net] = &[
    // IETF protocol assignments, including Teredo, which embeds an IPv4 address.
    v6(0x2001, 0, 23),
    v6(0x2001, 0x0db8, 32),
    // 6to4, which embeds an IPv4 address.
    v6(0x2002, 0, 16),
    v6(0x3fff, 0, 20),
];

/// Returns whether an address is on the public Internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
    }

    #[test]
    fn what_is_not_public_is_refused() {
        let refused = "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 \
                       127.255.255.254 169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 \
                       192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1 \
                       203.0.113.255 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16 :: ::1 \
                       ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 \
                       64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:10::1 \
                       2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe::1 3fff::1 3fff:fff::1 5f00::1 fc00::1 \
                       fd00:ec2::254 fdff::1 fe80::1 febf::1 fec0::1 ff02::1";
        for refused in refused.split_whitespace() {
            assert!(!is_public(address(refused)), "{refused}");
            assert!(!AddressRules::default().allows(address(refused), true), "{refused}");
        }
    }

    #[test]
    fn what_is_public_is_not() {
        let public = "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 \
            169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 \
            198.20.0.0 223.255.255.255 168.63.129.15 \
            2001:200::1 2001:4860:4860::8888 2003::1 2400:cb00::1 2606:4700::1111 2a00:1450::1 3ffe::1";
        for public in public.split_whitespace() {
            assert!(is_public(address(public)), "{public}");
        }
    }

    #[test]
    fn what_the_operator_allows_may_be_called_and_nothing_beside_it() {
        let networks = ["10.1.0.0/16", "fd00::/64"].map(|network| network.parse().expect("a network"));
        let rules = AddressRules { allowed_networks: networks.to_vec() };
        for (text, encrypted, plain) in [
            ("10.1.2.3", true, true),
            ("10.2.0.1", false, false),
            ("fd00::1", true, true),
            ("fd00:1::1", false, false),
            ("8.8.8.8", true, false),
            ("127.0.0.1", false, false),
            // Only the network as written is allowed, not its mapped form.
            ("::ffff:10.1.2.3", false, false),
        ] {
            assert_eq!(rules.allows(address(text), true), encrypted, "{text}");
            assert_eq!(rules.allows(address(text), false), plain, "{text} without encryption");
        }
    }
}
