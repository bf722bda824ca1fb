//! Name resolution. Only the returned addresses are connected to, so an address that is rejected here cannot
//! be reached.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use telemetry::ErrorType;
use tokio::time::timeout;

use super::addresses::AddressRules;

/// Resolves a name without checking the addresses.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync>;

pub fn system_lookup() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) }))
}

/// A failed resolution. Its message contains no names.
#[derive(Debug, thiserror::Error)]
#[error("{}", telemetry::ClosedSet::as_str(self.0))]
pub(super) struct ResolveError(pub(super) ErrorType);

/// Resolves a name to the addresses that may be called.
pub(super) struct GuardedResolver {
    pub(super) rules: AddressRules,
    /// True if the connections will be encrypted.
    pub(super) is_encrypted: bool,
    pub(super) limit: Duration,
    pub(super) lookup: Lookup,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, is_encrypted, limit) = (self.rules.clone(), self.is_encrypted, self.limit);
        let looking = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let found = match timeout(limit, looking).await {
                Ok(Ok(found)) => found,
                Ok(Err(_)) => return Err(ResolveError(ErrorType::DnsFailure).into()),
                Err(_elapsed) => return Err(ResolveError(ErrorType::Timeout).into()),
            };
            if found.is_empty() {
                return Err(ResolveError(ErrorType::DnsFailure).into());
            }
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| rules.allows(address.ip(), is_encrypted)).collect();
            if allowed.is_empty() {
                return Err(ResolveError(ErrorType::ForbiddenAddress).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
