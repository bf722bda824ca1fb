//! The target of a simulation. A load generator in the wrong hands, or with a typo in its target,
//! is an attack.

use std::net::{IpAddr, SocketAddr};

use url::Url;

/// A Socialize that may be driven.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    base: String,
    host: String,
    addresses: Vec<SocketAddr>,
}

/// Reasons why a target must not, or cannot, be driven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// The host is not this machine.
    #[error(
        "{host} is not this machine ({address}). Simulated people load a Socialize and fill its database: add \
         --i-own-this-host if you may do that"
    )]
    Foreign {
        /// The host as given.
        host: String,
        /// The address to which it resolves.
        address: IpAddr,
    },
    /// The host's name cannot be resolved.
    #[error("the address of {host} cannot be found: {source}")]
    Unknown {
        /// The host as given.
        host: String,
        /// The error of the resolver.
        source: std::io::Error,
    },
    /// The URL is not a base URL for HTTP requests.
    #[error("the target must be a URL such as http://127.0.0.1:8080")]
    NotHttp,
}

impl Target {
    /// Resolves the host once, so that its name cannot lead elsewhere later.
    ///
    /// # Errors
    /// Returns an error if the host cannot be resolved, or if it is another machine and that was
    /// not allowed.
    pub(crate) async fn find(url: &Url, any_host: bool) -> Result<Self, TargetError> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(TargetError::NotHttp);
        };
        // The brackets of an IPv6 address belong to the URL.
        let host = host.trim_matches(['[', ']']).to_owned();
        let found = tokio::net::lookup_host((host.as_str(), port)).await.map(Vec::from_iter);
        let addresses: Vec<SocketAddr> =
            found.map_err(|source| TargetError::Unknown { host: host.clone(), source })?;
        let foreign = addresses.iter().map(SocketAddr::ip).find(|address| !is_loopback(*address));
        if let Some(address) = foreign.filter(|_| !any_host) {
            return Err(TargetError::Foreign { host, address });
        }
        Ok(Self { base: url.as_str().trim_end_matches('/').to_owned(), host, addresses })
    }

    /// Returns the URL to which every path is appended.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn is_ipv4_loopback(&self) -> bool {
        self.addresses.iter().all(|address| address.is_ipv4() && address.ip().is_loopback())
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn find(url: &str, any_host: bool) -> Result<Target, TargetError> {
        Target::find(&url.parse().expect("a URL"), any_host).await
    }

    #[tokio::test]
    async fn this_machine_may_be_driven() {
        for url in [
            "http://127.0.0.1:8080",
            "http://127.9.9.9:1/",
            "http://[::1]:8080",
            "http://[::ffff:127.0.0.1]/",
        ] {
            let target = find(url, false).await.unwrap_or_else(|error| panic!("{url}: {error}"));
            assert!(!target.base().ends_with('/'), "{}", target.base());
        }
    }

    #[tokio::test]
    async fn another_machine_may_not() {
        for url in ["http://192.0.2.1:8080", "https://0.0.0.0/", "http://[2001:db8::1]/", "http://10.0.0.1/"]
        {
            let error = find(url, false).await.expect_err(url);
            assert!(matches!(error, TargetError::Foreign { .. }), "{url}: {error}");
            assert!(error.to_string().contains("--i-own-this-host"), "{error}");
            find(url, true).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        }
    }
}
