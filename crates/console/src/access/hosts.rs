//! Host names of the console. A page of another site could otherwise read the console through a name that
//! resolves to loopback (DNS rebinding).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// Accepted host names, with any port: the port of a tunnel or a container differs from the listener's.
#[derive(Clone, Debug)]
pub struct OwnHosts {
    bound: IpAddr,
    names: Arc<[String]>,
}

impl OwnHosts {
    /// Accepts loopback, the listener's address, and these names in lower case.
    pub fn new(address: SocketAddr, names: &[String]) -> Self {
        Self { bound: address.ip(), names: names.into() }
    }

    /// Returns whether a request names exactly one host, and that host is the console's.
    pub fn accept(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut named = headers.get_all(header::HOST).iter();
        match (uri.authority(), named.next(), named.next()) {
            (Some(authority), host, None) => {
                self.have(authority.as_str())
                    && host.is_none_or(|host| host.to_str().is_ok_and(|host| self.have(host)))
            }
            (None, Some(host), None) => host.to_str().is_ok_and(|host| self.have(host)),
            _ => false,
        }
    }

    fn have(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback() || address == self.bound,
            Err(_) => host == "localhost" || self.names.iter().any(|name| name == host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_hosts_are_accepted() {
        let address = "192.0.2.7:3001".parse().expect("address");
        let hosts = OwnHosts::new(address, &["console.example.org".to_owned()]);
        let cases = [
            ("localhost", true),
            ("LOCALHOST:3001", true),
            ("127.0.0.1:9", true),
            ("127.8.8.8", true),
            ("[::1]:3001", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("console.example.org.", true),
            ("console.example.org:443", true),
            ("example.org", false),
            ("localhost.evil.example", false),
            ("evil@localhost", false),
            ("", false),
        ];
        for (host, accepted) in cases {
            assert_eq!(hosts.have(host), accepted, "{host}");
        }
    }

    #[test]
    fn two_hosts_or_none_are_refused() {
        let hosts = OwnHosts::new("127.0.0.1:3001".parse().expect("address"), &[]);
        let uri: Uri = "/".parse().expect("path");
        let mut headers = HeaderMap::new();
        assert!(!hosts.accept(&uri, &headers));
        headers.append(header::HOST, "localhost".parse().expect("value"));
        assert!(hosts.accept(&uri, &headers));
        headers.append(header::HOST, "localhost".parse().expect("value"));
        assert!(!hosts.accept(&uri, &headers));
        let absolute: Uri = "http://evil.example/".parse().expect("address");
        assert!(!hosts.accept(&absolute, &HeaderMap::new()));
    }
}
