//! The client with which Socialize calls addresses that customers choose.
//!
//! Every call is one record, carries the trace context, and has a time limit for each stage. Redirects are not followed, proxies of
//! the environment are not used, and no more of an answer is read than its status, its headers and a few KiB. Private addresses are
//! refused twice: where a URL names one, and where a name leads to one. What a name leads to is looked up by us and is what is
//! connected to, so there is no moment at which it could change.

mod addresses;
mod resolver;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use domain::labels::Peer;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ipnet::IpNet;
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
use crate::causes::cause;
use crate::start::VERSION;

/// How much of an answer's body is read, for nothing: a peer that is still sending should not see its connection break.
const READ_BYTES: usize = 8 << 10;
/// The W3C header that hands the trace on.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How others are called.
#[derive(Clone, Debug, Default)]
pub struct OutboundSettings {
    /// Networks that may be called although they are not public, also without encryption.
    pub allowed_networks: Vec<IpNet>,
    /// Certificates in PEM that are trusted besides the platform's.
    pub extra_root_certificates: Option<Vec<u8>>,
    /// How patient we are.
    pub timeouts: OutboundTimeouts,
}

/// How long each stage may take.
#[derive(Clone, Copy, Debug)]
pub struct OutboundTimeouts {
    /// Looking the name up.
    pub resolve: Duration,
    /// Until there is an encrypted connection: looking up, connecting and agreeing on encryption.
    pub connect: Duration,
    /// Until the headers of the answer have come, from the beginning.
    pub answer: Duration,
    /// Reading what little is read of the body.
    pub body: Duration,
}

impl Default for OutboundTimeouts {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(5),
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(20),
            body: Duration::from_secs(2),
        }
    }
}

/// Why the client cannot be set up. The text is for the operator, at start.
#[derive(Debug, thiserror::Error)]
pub enum OutboundSetupError {
    /// The certificates cannot be used.
    #[error("the certificates for publishing endpoints cannot be used: they must be a PEM file")]
    RootCertificates,
    /// The library refuses what it was told.
    #[error("no client for publishing endpoints can be prepared")]
    Client,
}

/// Why a URL may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlRefusal {
    /// It is not encrypted, or no URL for HTTP at all.
    NotHttps,
    /// It names a user or a password, which would end up in places where secrets do not belong.
    Credentials,
    /// It names an address that may not be called.
    ForbiddenAddress,
}

/// What a peer has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// What kind of failure it is, unless it is a success.
    pub error_type: Option<ErrorType>,
    /// How long the peer asks us to wait before the next call.
    pub retry_after: Option<Duration>,
}

/// What is sent.
pub struct Post {
    /// Where to.
    pub url: Url,
    /// With which headers.
    pub headers: HeaderMap,
    /// What.
    pub body: Bytes,
    /// Divides the time that the answer may take.
    pub haste: u32,
}

/// Calls others; cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
}

struct Inner {
    rules: AddressRules,
    timeouts: OutboundTimeouts,
    encrypted: reqwest::Client,
    plain: reqwest::Client,
    calls: HttpClient<Peer>,
}

impl Outbound {
    /// Prepares the client; connects nowhere yet.
    ///
    /// # Errors
    /// If the certificates cannot be used.
    pub fn new(settings: &OutboundSettings, telemetry: &Telemetry) -> Result<Self, OutboundSetupError> {
        Self::with_lookup(settings, telemetry, system_lookup())
    }

    /// The same, with names looked up elsewhere.
    ///
    /// # Errors
    /// If the certificates cannot be used.
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
                // One call, one connection: giving a call up closes it, and the rules are applied to each.
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
            calls: HttpClient::new(telemetry, "POST"),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether a URL may be called, as far as can be said without looking its name up.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check(&self, url: &Url) -> Result<(), UrlRefusal> {
        let rules = &self.inner.rules;
        let is_encrypted = match url.scheme() {
            "https" => true,
            // A name has to lead into one of these networks, which is seen when it is looked up.
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

    /// Sends a request to a peer of this kind and waits for the answer, which may be one of failure. `describe` adds ids to the
    /// record.
    ///
    /// # Errors
    /// Says why there was no answer.
    pub async fn post(
        &self,
        peer: Peer,
        describe: impl FnOnce(&mut Attributes),
        post: Post,
    ) -> Result<Answer, ErrorType> {
        let mut call = self.inner.calls.begin(peer);
        call.describe(describe);
        let traceparent = HeaderValue::from_str(&call.context().to_traceparent());
        match self.send(post, traceparent.ok()).await {
            Ok(response) => {
                let (status, retry_after) = (response.status(), retry_after(response.headers()));
                let error_type = call.answered(status.as_u16());
                // The status has decided: what is left of the answer changes nothing.
                let _ = timeout(self.inner.timeouts.body, discard(response)).await;
                Ok(Answer { status, error_type, retry_after })
            }
            Err(error_type) => {
                call.failed(error_type);
                Err(error_type)
            }
        }
    }

    async fn send(
        &self,
        post: Post,
        traceparent: Option<HeaderValue>,
    ) -> Result<reqwest::Response, ErrorType> {
        // Said again for every call: the operator may have changed the rules since the URL was stored.
        self.check(&post.url).map_err(|_| ErrorType::ForbiddenAddress)?;
        let client = if post.url.scheme() == "https" { &self.inner.encrypted } else { &self.inner.plain };
        let mut headers = post.headers;
        if let Some(traceparent) = traceparent {
            headers.insert(TRACEPARENT, traceparent);
        }
        let answer = client.post(post.url).headers(headers).body(post.body).send();
        match timeout(self.inner.timeouts.answer / post.haste.max(1), answer).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(reduce(&error)),
            Err(_elapsed) => Err(ErrorType::Timeout),
        }
    }
}

/// TLS with the platform's certificates: never a bundled list, because operators have certificates of their own.
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

/// Reads the beginning of the body.
async fn discard(mut response: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read >= READ_BYTES {
            return;
        }
    }
}

/// `Retry-After` in either form. A date is compared with the peer's own clock, which may differ from ours.
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

/// The kind of trouble. The library's text, which quotes the URL, is dropped here.
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
        // The library wraps those of the connection into others of its own.
        while let Some(wrapped) = error.get_ref().and_then(|wrapped| wrapped.downcast_ref()) {
            error = wrapped;
        }
        return match ErrorType::from_io(error) {
            // Not of the disk: the firewall or the system forbids the connection.
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
        // Every way to write an address that browsers know.
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
