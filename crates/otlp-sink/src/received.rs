//! The requests that arrived.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use crate::Reaction;

/// One request that arrived, whatever the response was.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// The protocol of the request.
    pub protocol: ReceivedBy,
    /// The decoded message.
    pub export: Export,
    /// The protobuf message as sent, after decompression.
    pub raw: Bytes,
    /// Its HTTP headers or gRPC metadata.
    pub headers: HeaderMap,
    /// Address of the client. Requests that share a connection share the address.
    pub peer: SocketAddr,
    /// Time at which its last byte arrived.
    pub received_at: Instant,
    /// Reaction of the sink to the request.
    pub reaction: Reaction,
}

/// The protocol over which a request arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedBy {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP with a protobuf body.
    Http,
}

/// The decoded message of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Export {
    /// A request with spans.
    Traces(ExportTraceServiceRequest),
    /// A request with metric points.
    Metrics(ExportMetricsServiceRequest),
    /// A message that the official types cannot decode. It is always rejected.
    Malformed,
}
