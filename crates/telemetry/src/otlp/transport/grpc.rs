//! OTLP over gRPC.

use std::error::Error;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::uri::PathAndQuery;
use ::http::{HeaderMap, StatusCode, header};
use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use signal::builtin::Signal;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, TimeoutExpired};
use tower::{BoxError, Service, service_fn};

use super::super::{Compression, SignalSettings, StartError};
use super::request::{Reply, Transport, USER_AGENT};
use super::{response, unreached};

pub(super) struct GrpcTransport {
    endpoint: Endpoint,
    channel: Option<Channel>,
    path: PathAndQuery,
    headers: HeaderMap,
    compression: Compression,
    timeout: Duration,
}

impl GrpcTransport {
    pub(super) fn new(signal: Signal, settings: &SignalSettings) -> Result<Self, StartError> {
        let mut endpoint = Endpoint::from_shared(settings.endpoint.origin())
            .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
            .map_err(|_| StartError::GrpcClient)?;
        if settings.endpoint.is_encrypted() {
            let mut tls = match &settings.trusted_certificates {
                Some(trusted) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(trusted.pem())),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            if let Some(identity) = &settings.client_identity {
                tls = tls.identity(Identity::from_pem(identity.certificate_pem(), identity.key_pem()));
            }
            endpoint = endpoint.tls_config(tls).map_err(|_| match settings.trusted_certificates {
                Some(_) => StartError::GrpcClient,
                None => StartError::NoPlatformCertificates,
            })?;
        }
        let path = PathAndQuery::from_static(match signal {
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        });
        Ok(Self {
            endpoint,
            channel: None,
            path,
            headers: settings.headers.to_map(),
            compression: settings.compression,
            timeout: settings.timeout,
        })
    }
}

impl Transport for GrpcTransport {
    fn send(&mut self, body: Bytes) -> BoxFuture<'static, Reply> {
        // Created here and not at start, because a channel belongs to the runtime of the sender's
        // thread.
        let channel = self.channel.get_or_insert_with(|| connect(&self.endpoint)).clone();
        let mut client = Grpc::new(GrpcOnly(channel));
        if self.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let mut request = Request::new(body);
        *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
        request.set_timeout(self.timeout);
        let path = self.path.clone();
        async move {
            if let Err(error) = client.ready().await {
                return Reply::Unreachable(unreached::reason(&*error));
            }
            match client.unary(request, path, BytesCodec).await {
                Ok(response) => {
                    Reply::Accepted { rejected_items: response::rejected_items(response.get_ref()) }
                }
                Err(status) => reply(&status),
            }
        }
        .boxed()
    }

    fn reconnect(&mut self) {
        // Requests share one HTTP/2 connection, and cancelling a request leaves it open.
        self.channel = None;
    }
}

/// Maps a gRPC status to a reply. The retryable codes are those of the OTLP specification's table.
fn reply(status: &Status) -> Reply {
    // A status sent by the collector has no local cause; a failed connection has one.
    if let Some(cause) = status.source() {
        return no_status(cause);
    }
    let pause = response::retry_delay(status.details());
    let is_temporary = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => pause.is_some(),
        _ => false,
    };
    let code = status.code() as u16;
    if is_temporary { Reply::TryLater { status: code, pause } } else { Reply::Rejected { status: code } }
}

/// Maps a request without a gRPC status to a reply.
fn no_status(cause: &(dyn Error + 'static)) -> Reply {
    for cause in unreached::causes(cause) {
        // The client enforces the timeout that it sends to the collector, and may notice it just
        // before the sender does.
        if cause.is::<TimeoutExpired>() {
            return Reply::TimedOut;
        }
        if let Some(ForeignResponse(status)) = cause.downcast_ref() {
            let (is_redirect, status) = (status.is_redirection(), status.as_u16());
            return if is_redirect { Reply::Redirected { status } } else { Reply::NotOtlp { status } };
        }
    }
    Reply::Unreachable(unreached::reason(cause))
}

/// Creates a channel that connects with the first request.
fn connect(endpoint: &Endpoint) -> Channel {
    let mut connector = HttpConnector::new_with_resolver(service_fn(async |name: Name| {
        unreached::resolve(name.as_str()).await.map(Vec::into_iter)
    }));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    endpoint.connect_with_connector_lazy(connector)
}

/// A channel that recognizes responses of others than gRPC servers, such as a login page.
struct GrpcOnly(Channel);

/// The error for them. The library would report an invalid message instead.
#[derive(Debug, thiserror::Error)]
#[error("the response does not come from a gRPC server")]
struct ForeignResponse(StatusCode);

impl Service<::http::Request<Body>> for GrpcOnly {
    type Response = ::http::Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, request: ::http::Request<Body>) -> Self::Future {
        let response = self.0.call(request);
        async move {
            let response = response.await?;
            let content_type = response.headers().get(header::CONTENT_TYPE);
            let is_grpc = content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
            let status = response.status();
            // Other statuses have an equivalent code of gRPC.
            if !is_grpc && (status.is_success() || status.is_redirection()) {
                return Err(ForeignResponse(status).into());
            }
            Ok(response)
        }
        .boxed()
    }
}

/// A codec that passes bytes through: messages are already encoded, and [`response`] parses
/// responses.
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
