//! Reactions of the sink to requests, in either protocol.

use std::future::pending;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use tonic::{Code, Status};

/// Reaction to a request: a response, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reaction {
    /// Accepts the request: 200, or OK.
    #[default]
    Accept,
    /// Accepts the request, except for some of its items.
    AcceptPartly {
        /// The number of rejected items to report, which may be false.
        rejected_items: i64,
    },
    /// Asks to retry: 503, or UNAVAILABLE.
    Unavailable,
    /// Asks to retry after a pause: 429 and `Retry-After`, or RESOURCE_EXHAUSTED and `RetryInfo`.
    Throttle {
        /// The requested pause. HTTP can express whole seconds only.
        pause: Duration,
    },
    /// Rejects the request permanently: 400, or INVALID_ARGUMENT.
    Refuse,
    /// Returns any other status (HTTP) or code (gRPC).
    Status(u16),
    /// Redirects to another path of the sink, which would receive the request again.
    Redirect,
    /// Responds 200 with the login page of a proxy, also to gRPC clients.
    LoginPage,
    /// Responds 200 with this body. Clients of gRPC get the login page.
    Body {
        /// Media type of the response.
        content_type: &'static str,
        /// The text of the response.
        body: &'static str,
    },
    /// Reads the request and never responds.
    Hang,
}

impl Reaction {
    /// Returns whether the request is accepted, at least in part.
    pub fn accepts(&self) -> bool {
        matches!(self, Self::Accept | Self::AcceptPartly { .. })
    }

    /// Returns whether the response is the same over both protocols, because no OTLP server made it.
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self, Self::Redirect | Self::LoginPage | Self::Body { .. })
    }

    /// Returns the body of a successful response. It is the same for both signals, whose fields
    /// have the same numbers.
    fn message(&self) -> Bytes {
        let partial_success = match self {
            Self::AcceptPartly { rejected_items } => Some(ExportTracePartialSuccess {
                rejected_spans: *rejected_items,
                error_message: "the sink was told to refuse some".to_owned(),
            }),
            _ => None,
        };
        ExportTraceServiceResponse { partial_success }.encode_to_vec().into()
    }

    pub(crate) async fn over_http(&self) -> Response {
        match self {
            Self::Accept | Self::AcceptPartly { .. } => {
                ([(header::CONTENT_TYPE, "application/x-protobuf")], self.message()).into_response()
            }
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Self::Throttle { pause } => {
                (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, pause.as_secs().to_string())])
                    .into_response()
            }
            Self::Refuse => StatusCode::BAD_REQUEST.into_response(),
            Self::Redirect => {
                (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/v1/traces")]).into_response()
            }
            Self::LoginPage => {
                let page = "<!DOCTYPE html><html><body>Please log in</body></html>";
                ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
            }
            Self::Body { content_type, body } => {
                ([(header::CONTENT_TYPE, *content_type)], *body).into_response()
            }
            // A redirect leads back to the sink, which would receive another request if it were
            // followed.
            Self::Status(status) => (
                StatusCode::from_u16(*status).expect("the test names an HTTP status"),
                [(header::LOCATION, "/v1/traces")],
            )
                .into_response(),
            Self::Hang => pending().await,
        }
    }

    pub(crate) async fn over_grpc(&self) -> Result<tonic::Response<Bytes>, Status> {
        const TEXT: &str = "the sink was told so";
        match self {
            Self::Accept | Self::AcceptPartly { .. } => Ok(tonic::Response::new(self.message())),
            Self::Unavailable => Err(Status::unavailable(TEXT)),
            Self::Throttle { pause } => {
                Err(Status::with_details(Code::ResourceExhausted, TEXT, retry_details(*pause)))
            }
            Self::Refuse => Err(Status::invalid_argument(TEXT)),
            Self::Status(code) => Err(Status::new(Code::from_i32(i32::from(*code)), TEXT)),
            Self::Redirect | Self::LoginPage | Self::Body { .. } => {
                Err(Status::internal("the response was made before"))
            }
            Self::Hang => pending().await,
        }
    }
}

/// The messages of `google/rpc/status.proto` and its imports, as far as they are used.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, tag = "1")]
    retry_delay: Option<RetryDelay>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryDelay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn retry_details(pause: Duration) -> Bytes {
    let retry_delay =
        RetryDelay { seconds: pause.as_secs().cast_signed(), nanos: pause.subsec_nanos().cast_signed() };
    let retry_info = Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: RetryInfo { retry_delay: Some(retry_delay) }.encode_to_vec(),
    };
    RpcStatus { code: Code::ResourceExhausted as i32, details: vec![retry_info] }.encode_to_vec().into()
}
