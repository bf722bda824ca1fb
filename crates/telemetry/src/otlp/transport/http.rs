//! OTLP over HTTP/1.1 with protobuf bodies.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::{Bytes, BytesMut};
use flate2::write::GzEncoder;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use super::super::{Compression, SignalSettings, StartError};
use super::request::{Reply, Transport, USER_AGENT};
use super::tls::tls_configuration;
use super::{response, unreached};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
/// The collector closes idle connections after a minute, which is also the interval of metrics.
/// Closing them earlier avoids writing to a connection that is just being closed.
const LONGEST_IDLE: Duration = Duration::from_secs(30);
/// Maximum number of response bytes that are read. A response only reports how many items were
/// rejected, and perhaps why.
const LONGEST_RESPONSE: usize = 64 * 1024;

pub(super) struct HttpTransport {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    compression: Compression,
}

impl HttpTransport {
    pub(super) fn new(settings: &SignalSettings) -> Result<Self, StartError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_configuration(settings)?)
            // With HTTP/1.1, cancelling a request closes its connection, so a dead one is never
            // reused.
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(SystemResolver))
            .pool_idle_timeout(LONGEST_IDLE)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|_| StartError::HttpClient)?;
        let mut headers = settings.headers.to_map();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::CONTENT_TYPE, PROTOBUF);
        if settings.compression == Compression::Gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Self { client, url: settings.endpoint.url(), headers, compression: settings.compression })
    }
}

impl Transport for HttpTransport {
    fn send(&mut self, body: Bytes) -> BoxFuture<'static, Reply> {
        let body = match self.compression {
            Compression::None => body,
            Compression::Gzip => gzip(&body),
        };
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        async move {
            match request.send().await {
                Ok(response) => reply(response).await,
                Err(error) => Reply::Unreachable(unreached::reason(&error)),
            }
        }
        .boxed()
    }

    fn reconnect(&mut self) {
        // The connection of a cancelled or broken request is already closed.
    }
}

async fn reply(response: reqwest::Response) -> Reply {
    let status = response.status();
    match status {
        status if status.is_success() => accepted(response).await,
        status if status.is_redirection() => Reply::Redirected { status: status.as_u16() },
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            Reply::TryLater { status: status.as_u16(), pause: retry_after(response.headers()) }
        }
        _ => Reply::Rejected { status: status.as_u16() },
    }
}

/// Reads a successful response. If its rest is missing, the request still counts as accepted.
async fn accepted(mut response: reqwest::Response) -> Reply {
    let not_otlp = Reply::NotOtlp { status: response.status().as_u16() };
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    let media_type = media_type.to_ascii_lowercase();
    if media_type == "text/html" {
        return not_otlp;
    }
    let mut message = BytesMut::new();
    let is_complete = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => message.extend_from_slice(&chunk),
            Ok(None) => break true,
            Err(_) => break false,
        }
        if message.len() > LONGEST_RESPONSE {
            break false;
        }
    };
    let rejected_items = if media_type == "application/json" && is_complete {
        response::rejected_items_in_json(&message)
    } else if is_complete {
        response::is_response(&message).then(|| response::rejected_items(&message))
    } else {
        Some(response::rejected_items(&message))
    };
    rejected_items.map_or(not_otlp, |rejected_items| Reply::Accepted { rejected_items })
}

/// Resolves names so that a failure can be told from a failed connection.
struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = unreached::resolve(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Parses `Retry-After` in either form. A date is compared with the collector's own clock, which may differ
/// from this machine's.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let retry_after = text(header::RETRY_AFTER)?.trim();
    if let Ok(seconds) = retry_after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(retry_after).ok()?;
    let now = httpdate::parse_http_date(text(header::DATE)?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// Compresses at the fastest level: telemetry should cost little, and it is repetitive enough to
/// shrink anyway.
fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
    let compressed = encoder.write_all(body).and_then(|()| encoder.finish());
    compressed.expect("writing into memory does not fail").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let date = (header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        let table = [
            (headers(&[]), None),
            (headers(&[(header::RETRY_AFTER, "120")]), Some(120)),
            (headers(&[(header::RETRY_AFTER, " 0 ")]), Some(0)),
            (headers(&[(header::RETRY_AFTER, "-1")]), None),
            (headers(&[(header::RETRY_AFTER, "soon")]), None),
            (headers(&[(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:50:00 GMT")]), None),
            (headers(&[date.clone(), (header::RETRY_AFTER, "Sun, 06 Nov 1994 08:50:00 GMT")]), Some(23)),
            (headers(&[date, (header::RETRY_AFTER, "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0)),
        ];
        for (headers, seconds) in table {
            assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{headers:?}");
        }
    }
}
