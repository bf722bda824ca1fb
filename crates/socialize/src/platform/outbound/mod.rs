//! HTTP client for addresses that customers choose.
//!
//! Every call leaves one record, carries the trace context, and has a timeout for each stage. It follows no
//! redirects, ignores proxy variables, and reads only the status, the headers and a few KiB of the body.
//! Private addresses are rejected both in URLs and in resolved names. The connection uses exactly the
//! addresses that were checked, which prevents DNS rebinding.
//!
//! Long because one call has five stages, each with its timeout and error.

mod addresses;
mod resolver;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use catalogue::labels::Peer;
use clap::{ArgAction, Args};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use telemetry::http_client::HttpClient;
use telemetry::{Attributes, ErrorType, Telemetry};
use tokio::time::timeout;
use url::{Host, Url};

pub use self::resolver::{Lookup, system_lookup};

use self::addresses::AddressRules;
use self::resolver::{GuardedResolver, ResolveError};
use crate::platform::causes::cause;
use crate::platform::settings::{FileContent, Networks, boolean, file_content, networks};
use crate::platform::version::VERSION;

/// Number of bytes of a response body that are read and discarded, so that a peer that is still sending does
/// not see a reset.
const READ_BYTES: usize = 8 << 10;
/// W3C headers that propagate the trace.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Settings of outbound calls.
#[derive(Args, Clone, Debug, Default)]
pub struct OutboundSettings {
    /// Your own networks that workspaces may publish to, even without TLS, e.g.
    /// 10.1.0.0/16,127.0.0.1. Otherwise only HTTPS to public addresses is allowed [default: none]
    #[arg(long = "publishing-allowed-networks", value_name = "NETWORKS")]
    #[arg(env = "SOCIALIZE_PUBLISHING_ALLOWED_NETWORKS")]
    #[arg(default_value = "", hide_default_value = true, value_parser = networks)]
    pub allowed_networks: Networks,
    /// PEM file with additional trusted certificates for publishing endpoints, besides those that
    /// the machine trusts
    #[arg(long = "publishing-ca-file", value_name = "FILE", env = "SOCIALIZE_PUBLISHING_CA_FILE")]
    #[arg(value_parser = file_content)]
    pub extra_root_certificates: Option<FileContent>,
    /// Send traceparent and tracestate to publishing endpoints, true or false. They belong to
    /// customers, who then see trace ids and sampling
    #[arg(
        long = "publishing-trace-context",
        value_name = "BOOL",
        env = "SOCIALIZE_PUBLISHING_TRACE_CONTEXT"
    )]
    #[arg(default_value = "false", value_parser = boolean, action = ArgAction::Set)]
    pub sends_trace_context: bool,
    #[arg(skip)]
    pub timeouts: OutboundTimeouts,
}

/// Maximum duration of each stage of a call.
#[derive(Clone, Copy, Debug)]
pub struct OutboundTimeouts {
    /// Name resolution.
    pub resolve: Duration,
    /// Name resolution, connection and TLS handshake together.
    pub connect: Duration,
    /// From the start until the response headers have arrived.
    pub response: Duration,
    /// Reading the beginning of the body.
    pub body: Duration,
}

impl Default for OutboundTimeouts {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(5),
            connect: Duration::from_secs(10),
            response: Duration::from_secs(20),
            body: Duration::from_secs(2),
        }
    }
}

/// Reasons why the client cannot be set up, for the operator at startup.
#[derive(Debug, thiserror::Error)]
pub enum OutboundSetupError {
    /// The additional certificates are unusable.
    #[error("the certificates for publishing endpoints cannot be used: they must be a PEM file")]
    RootCertificates,
    /// The HTTP library rejects the configuration.
    #[error("no client for publishing endpoints can be prepared")]
    Client,
}

/// Reasons to reject a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlRefusal {
    /// It is neither HTTPS nor allowed without encryption.
    NotHttps,
    /// It contains a user name or password, which would leak into logs.
    Credentials,
    /// Its host is an address that may not be called.
    ForbiddenAddress,
}

/// Response of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundResponse {
    pub status: StatusCode,
    /// Kind of failure; `None` for a success.
    pub error_type: Option<ErrorType>,
    /// Delay that the peer requests before the next call.
    pub retry_after: Option<Duration>,
}

pub struct Post {
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Divisor of the response timeout.
    pub haste: u32,
}

/// Sends outbound requests; cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
}

struct Inner {
    rules: AddressRules,
    timeouts: OutboundTimeouts,
    sends_trace_context: bool,
    encrypted: reqwest::Client,
    plain: reqwest::Client,
    calls: HttpClient<Peer>,
}

impl Outbound {
    /// Prepares the client without connecting.
    ///
    /// # Errors
    /// Returns an error if the certificates are unusable.
    pub fn new(settings: &OutboundSettings, telemetry: &Telemetry) -> Result<Self, OutboundSetupError> {
        Self::with_lookup(settings, telemetry, system_lookup())
    }

    /// Like [`Self::new`], with another resolver.
    ///
    /// # Errors
    /// Returns an error if the certificates are unusable.
    pub fn with_lookup(
        settings: &OutboundSettings,
        telemetry: &Telemetry,
        lookup: Lookup,
    ) -> Result<Self, OutboundSetupError> {
        let rules = AddressRules { allowed_networks: settings.allowed_networks.clone() };
        let tls = tls_configuration(settings.extra_root_certificates.as_deref())?;
        let client = |is_encrypted| {
            let limit = settings.timeouts.resolve;
            let (rules, lookup) = (rules.clone(), lookup.clone());
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Arc::new(GuardedResolver { rules, is_encrypted, limit, lookup }))
                .https_only(is_encrypted)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                // One connection per call: cancelling a call closes it, and the address rules apply to each.
                .http1_only()
                .pool_max_idle_per_host(0)
                .connect_timeout(settings.timeouts.connect)
                .user_agent(format!("Socialize/{VERSION}"))
                .build()
                .map_err(|_| OutboundSetupError::Client)
        };
        let inner = Inner {
            encrypted: client(true)?,
            plain: client(false)?,
            rules,
            timeouts: settings.timeouts,
            sends_trace_context: settings.sends_trace_context,
            calls: HttpClient::new(telemetry, "POST"),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Checks a URL without resolving its name.
    ///
    /// # Errors
    /// The reason to reject it.
    pub fn check(&self, url: &Url) -> Result<(), UrlRefusal> {
        let rules = &self.inner.rules;
        let is_encrypted = match url.scheme() {
            "https" => true,
            // Its name must resolve into one of these networks, which the resolver checks.
            "http" if !rules.allowed_networks.is_empty() => false,
            _ => return Err(UrlRefusal::NotHttps),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRefusal::Credentials);
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(UrlRefusal::NotHttps),
        };
        if rules.allows(address, is_encrypted) { Ok(()) } else { Err(UrlRefusal::ForbiddenAddress) }
    }

    /// Sends a request to a peer of this kind and returns the response, which may be an error status.
    /// `describe` adds ids to the record.
    ///
    /// # Errors
    /// The reason why there was no response.
    pub async fn post(
        &self,
        peer: Peer,
        describe: impl FnOnce(&mut Attributes),
        mut post: Post,
    ) -> Result<OutboundResponse, ErrorType> {
        let mut call = self.inner.calls.begin(peer);
        call.describe(describe);
        if self.inner.sends_trace_context {
            let state = call.trace_state().and_then(|state| HeaderValue::from_str(state.as_str()).ok());
            let parent = HeaderValue::from_str(&call.context().to_traceparent()).ok();
            post.headers.extend(parent.map(|parent| (TRACEPARENT, parent)));
            post.headers.extend(state.map(|state| (TRACESTATE, state)));
        }
        match self.send(post).await {
            Ok(response) => {
                let (status, retry_after) = (response.status(), retry_after(response.headers()));
                let error_type = call.responded(status.as_u16());
                // Only the status matters; the rest of the response is ignored.
                let _ = timeout(self.inner.timeouts.body, discard(response)).await;
                Ok(OutboundResponse { status, error_type, retry_after })
            }
            Err(error_type) => {
                call.failed(error_type);
                Err(error_type)
            }
        }
    }

    async fn send(&self, post: Post) -> Result<reqwest::Response, ErrorType> {
        // Checked for every call: the operator may have changed the rules since the URL was stored.
        self.check(&post.url).map_err(|_| ErrorType::ForbiddenAddress)?;
        let client = if post.url.scheme() == "https" { &self.inner.encrypted } else { &self.inner.plain };
        let sending = client.post(post.url).headers(post.headers).body(post.body).send();
        match timeout(self.inner.timeouts.response / post.haste.max(1), sending).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(reduce(&error)),
            Err(_elapsed) => Err(ErrorType::Timeout),
        }
    }
}

/// TLS with the platform's certificates, never a bundled list, because operators have certificates of their
/// own.
fn tls_configuration(extra: Option<&[u8]>) -> Result<ClientConfig, OutboundSetupError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = extra {
        let (added, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
        if added == 0 {
            return Err(OutboundSetupError::RootCertificates);
        }
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| OutboundSetupError::Client)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Reads and discards the beginning of the body.
async fn discard(mut response: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read >= READ_BYTES {
            return;
        }
    }
}

/// Parses `Retry-After` in both forms. A date is compared with the peer's own clock, which may differ from
/// this machine's.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let retry_after = text(header::RETRY_AFTER)?.trim();
    if let Ok(seconds) = retry_after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(retry_after).ok()?;
    let now: SystemTime = httpdate::parse_http_date(text(header::DATE)?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// Classifies an error. The library's message, which quotes the URL, is dropped here.
fn reduce(error: &reqwest::Error) -> ErrorType {
    if let Some(ResolveError(error_type)) = cause(error) {
        return *error_type;
    }
    if error.is_timeout() {
        return ErrorType::Timeout;
    }
    if cause::<rustls::Error>(error).is_some() {
        return ErrorType::TlsFailure;
    }
    if let Some(error) = cause::<hyper::Error>(error) {
        if error.is_parse() || error.is_parse_too_large() {
            return ErrorType::Protocol;
        }
        if error.is_incomplete_message() {
            return ErrorType::ConnectionReset;
        }
    }
    if let Some(mut error) = cause::<std::io::Error>(error) {
        // The library wraps connection errors into its own.
        while let Some(wrapped) = error.get_ref().and_then(|wrapped| wrapped.downcast_ref()) {
            error = wrapped;
        }
        return match ErrorType::from_io(error) {
            // Here it means that the firewall or the system forbids the connection.
            ErrorType::PermissionDenied => ErrorType::Unavailable,
            other => other,
        };
    }
    ErrorType::Internal
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::TelemetrySettings;

    fn outbound(networks: &[&str]) -> Outbound {
        let allowed_networks = networks.iter().map(|network| network.parse().expect("a network")).collect();
        let settings = OutboundSettings { allowed_networks, ..OutboundSettings::default() };
        Outbound::new(&settings, &Telemetry::new(TelemetrySettings::default())).expect("a client")
    }

    #[test]
    fn only_encrypted_urls_without_credentials_and_private_addresses_are_called() {
        let outbound = outbound(&[]);
        let check = |url: &str| outbound.check(&url.parse().expect(url));
        for url in [
            "https://example.com",
            "https://example.com:8443/a?b=c",
            "https://1.1.1.1/",
            "https://[2606:4700::1111]/",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for url in [
            "http://example.com",
            "ftp://example.com",
            "file:///etc/passwd",
            "data:text/plain,a",
            "http://1.1.1.1",
        ] {
            assert_eq!(check(url), Err(UrlRefusal::NotHttps), "{url}");
        }
        for url in ["https://user@example.com", "https://:password@example.com", "https://a:b@1.1.1.1"] {
            assert_eq!(check(url), Err(UrlRefusal::Credentials), "{url}");
        }
        // Every notation of an address that browsers accept.
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "0",
            "１２７.０.０.１",
            "169.254.169.254",
            "0xa9fea9fe",
            "10.0.0.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:a9fe:a9fe]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
        ] {
            assert_eq!(check(&format!("https://{host}/")), Err(UrlRefusal::ForbiddenAddress), "{host}");
        }
    }

    #[test]
    fn what_the_operator_allows_may_be_called_without_encryption() {
        let outbound = outbound(&["127.0.0.0/8"]);
        let check = |url: &str| outbound.check(&url.parse().expect(url));
        for url in ["http://127.0.0.1:8080/a", "https://127.1.2.3", "http://receiver.internal"] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for url in ["http://10.0.0.1", "https://10.0.0.1", "http://1.1.1.1", "https://[::1]"] {
            assert_eq!(check(url), Err(UrlRefusal::ForbiddenAddress), "{url}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let headers = |pairs: &[(HeaderName, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            retry_after(&pairs.collect()).map(|wait| wait.as_secs())
        };
        let date = (header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(headers(&[]), None);
        assert_eq!(headers(&[(header::RETRY_AFTER, "120")]), Some(120));
        assert_eq!(headers(&[(header::RETRY_AFTER, "-1")]), None);
        assert_eq!(headers(&[(header::RETRY_AFTER, "soon")]), None);
        assert_eq!(headers(&[(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:50:00 GMT")]), None);
        assert_eq!(headers(&[date, (header::RETRY_AFTER, "Sun, 06 Nov 1994 08:50:00 GMT")]), Some(23));
    }
}
