//! The sink's single port: HTTP/1.1 and HTTP/2, with or without TLS, both protocols.

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::post;
use axum::serve::{IncomingStream, Listener};
use bytes::{Buf as _, BufMut as _, Bytes};
use flate2::read::GzDecoder;
use http::{HeaderMap, Request, header};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::Status;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tower::service_fn;

use crate::{Export, Reaction, ReceivedBy};

/// Decodes a message with the official types.
type Decode = fn(&[u8]) -> Export;

fn traces(raw: &[u8]) -> Export {
    ExportTraceServiceRequest::decode(raw).map_or(Export::Malformed, Export::Traces)
}

fn metrics(raw: &[u8]) -> Export {
    ExportMetricsServiceRequest::decode(raw).map_or(Export::Malformed, Export::Metrics)
}

/// Serves until told to stop.
pub(crate) fn run(
    listener: TcpListener,
    identity: Option<Identity>,
    state: Arc<crate::state::State>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(async move {
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime takes the listener");
        let app = router(state);
        let serving = async {
            match identity {
                None => axum::serve(listener, app.into_make_service_with_connect_info::<Peer>()).await,
                Some(identity) => {
                    let listener = TlsListener { listener, acceptor: identity.acceptor };
                    axum::serve(listener, app.into_make_service_with_connect_info::<Peer>()).await
                }
            }
        };
        tokio::select! {
            served = serving => served.expect("the sink serves until it is stopped"),
            _ = stopped => {}
        }
    });
    runtime.shutdown_background();
}

fn router(state: Arc<crate::state::State>) -> Router {
    Router::new()
        .route("/v1/traces", post(over_http(traces)))
        .route("/v1/metrics", post(over_http(metrics)))
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", post(over_grpc(traces)))
        .route("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", post(over_grpc(metrics)))
        .layer(DefaultBodyLimit::disable())
        .with_state(state)
}

type HandlerFuture = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

fn over_http(
    decode: Decode,
) -> impl Fn(State<Arc<crate::state::State>>, ConnectInfo<Peer>, HeaderMap, Bytes) -> HandlerFuture
+ Clone
+ Send
+ Sync
+ 'static {
    move |State(state), ConnectInfo(Peer(peer)), headers, body| {
        Box::pin(async move {
            let raw = if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip") {
                let mut raw = Vec::new();
                GzDecoder::new(body.as_ref())
                    .read_to_end(&mut raw)
                    .expect("the body is gzip, as its header says");
                raw.into()
            } else {
                body
            };
            let is_protobuf =
                headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/x-protobuf");
            let export = if is_protobuf { decode(&raw) } else { Export::Malformed };
            state.receive(ReceivedBy::Http, peer, headers, raw, export).over_http().await
        })
    }
}

fn over_grpc(
    decode: Decode,
) -> impl Fn(State<Arc<crate::state::State>>, ConnectInfo<Peer>, Request<Body>) -> HandlerFuture
+ Clone
+ Send
+ Sync
+ 'static {
    move |State(state), ConnectInfo(Peer(peer)), request| {
        Box::pin(async move {
            let headers = request.headers().clone();
            let foreign: Arc<OnceLock<Reaction>> = Arc::default();
            let decided = Arc::clone(&foreign);
            let export = service_fn(move |request: tonic::Request<Bytes>| {
                let (state, headers, decided) = (Arc::clone(&state), headers.clone(), Arc::clone(&decided));
                async move {
                    let raw = request.into_inner();
                    let export = decode(&raw);
                    let reaction = state.receive(ReceivedBy::Grpc, peer, headers, raw, export);
                    if reaction.is_foreign() {
                        decided.get_or_init(|| reaction.clone());
                    }
                    reaction.over_grpc().await
                }
            });
            let mut grpc = tonic::server::Grpc::new(BytesCodec).accept_compressed(CompressionEncoding::Gzip);
            let response = grpc.unary(export, request).await.map(Body::new);
            match foreign.get() {
                Some(reaction) => reaction.over_http().await,
                None => response,
            }
        })
    }
}

/// Address of the client.
#[derive(Clone, Copy, Debug)]
struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, tokio::net::TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, tokio::net::TcpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

struct TlsListener {
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            // A client that does not trust the certificate fails here; the test notices that by
            // itself.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A certificate for `localhost`, its authority, and the files for clients.
pub(crate) struct Identity {
    acceptor: TlsAcceptor,
    pub(crate) authority: String,
    /// Certificate and key that clients must present, as PEM; `None` if they need none.
    pub(crate) client: Option<(String, String)>,
}

impl Identity {
    pub(crate) fn new(clients_need_a_certificate: bool) -> Self {
        let authority_key = rcgen::KeyPair::generate().expect("a key can be made");
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_certificate = authority.self_signed(&authority_key).expect("a certificate can be made");
        let authority = rcgen::Issuer::new(authority, authority_key);

        let key = rcgen::KeyPair::generate().expect("a key can be made");
        let certificate = rcgen::CertificateParams::new(["localhost".to_owned()])
            .and_then(|parameters| parameters.signed_by(&key, &authority))
            .expect("a certificate can be made");
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the key is in the usual form");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = if clients_need_a_certificate {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(authority_certificate.der().clone()).expect("the authority is a certificate");
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .expect("there is an authority")
        } else {
            WebPkiClientVerifier::no_client_auth()
        };
        let mut configuration = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_client_cert_verifier(verifier).with_single_cert(chain, key))
            .expect("the certificate belongs to the key");
        configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = clients_need_a_certificate.then(|| {
            let key = rcgen::KeyPair::generate().expect("a key can be made");
            let certificate = rcgen::CertificateParams::new(["client".to_owned()])
                .and_then(|parameters| parameters.signed_by(&key, &authority))
                .expect("a certificate can be made");
            (certificate.pem(), key.serialize_pem())
        });
        let acceptor = TlsAcceptor::from(Arc::new(configuration));
        Self { acceptor, authority: authority_certificate.pem(), client }
    }
}

/// Passes messages through as bytes, so that the sink keeps them unchanged.
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
