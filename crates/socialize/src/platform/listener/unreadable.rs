//! Connections that never become a request: bytes that are not HTTP, heads that are too large or too slow,
//! and connections that end within a head.
//!
//! hyper responds to some of these itself, below every service: without a body, a request id or a record.
//! This module replaces its response and records each case as a request without a route.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use http::{Method, Request, StatusCode, Version};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

/// Reasons why no request could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The bytes are not HTTP but, for example, TLS.
    NotHttp,
    /// Request line and headers exceed the size limit.
    HeadTooLarge,
    /// The first head did not arrive in time.
    HeadTimeout,
    /// The connection ended before its first head was complete.
    Incomplete,
}

type Record = dyn Fn(Unreadable) -> Option<Bytes> + Send + Sync;

/// Records an unreadable request and returns the response as HTTP/1.1 bytes.
#[derive(Clone)]
pub(crate) struct UnreadableRecorder(Arc<Record>);

impl UnreadableRecorder {
    /// Records through a service, which finds the reason in the request's extensions.
    pub(crate) fn new<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response, Future: Send> + Clone + Send + Sync + 'static,
    {
        Self(Arc::new(move |reason| {
            let mut request = Request::new(Body::empty());
            // Neither was read, and no record must claim that it was.
            *request.method_mut() = unread_method();
            *request.version_mut() = Version::HTTP_09;
            request.extensions_mut().insert(reason);
            let response = service.clone().call(request);
            if reason == Unreadable::Incomplete {
                // Nobody can read a response: a dropped request is recorded as cancelled.
                return None;
            }
            // The service never waits here.
            serialize(response.now_or_never()?.ok()?)
        }))
    }

    /// Records nothing, for a listener that only the operator reaches.
    pub(crate) fn disabled() -> Self {
        Self(Arc::new(|_| None))
    }
}

/// Returns a method that no request has, so that it is recorded as none of the known ones.
fn unread_method() -> Method {
    Method::from_bytes(b"UNREAD").unwrap_or_default()
}

fn serialize(response: Response) -> Option<Bytes> {
    let (head, body) = response.into_parts();
    let body = body.collect().now_or_never()?.ok()?.to_bytes();
    let reason = head.status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str()).into_bytes();
    for (name, value) in &head.headers {
        // Both are set below.
        if name != http::header::CONNECTION && name != http::header::CONTENT_LENGTH {
            text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    text.extend(format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes());
    text.extend_from_slice(&body);
    Some(text.into())
}

/// State of a connection. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Flags>);

#[derive(Default)]
struct Flags {
    has_read: AtomicBool,
    has_request: AtomicBool,
    is_recorded: AtomicBool,
}

impl Progress {
    /// Notes that a request was read.
    pub(crate) fn begin_request(&self) {
        self.0.has_request.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_request(&self) -> bool {
        self.0.has_request.load(Ordering::Relaxed)
    }

    /// Records the end of a connection that ended without a complete request. `error` is hyper's, or `None`
    /// after a timeout.
    pub(crate) fn conclude(
        &self,
        error: Option<&(dyn std::error::Error + 'static)>,
        recorder: &UnreadableRecorder,
    ) {
        let by_hyper = error.and_then(|error| error.downcast_ref::<hyper::Error>());
        let is_parse_error = by_hyper.is_some_and(hyper::Error::is_parse);
        // Between two requests, a client may close the connection or stay silent.
        let says_nothing =
            !self.0.has_read.load(Ordering::Relaxed) || (self.has_request() && !is_parse_error);
        if says_nothing || self.0.is_recorded.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut causes = std::iter::successors(error, |error| error.source());
        let is_gone = causes.any(|cause| {
            let is_incomplete =
                cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
            cause.is::<io::Error>() || is_incomplete
        });
        (recorder.0)(match error {
            None => Unreadable::HeadTimeout,
            Some(_) if by_hyper.is_some_and(hyper::Error::is_parse_too_large) => Unreadable::HeadTooLarge,
            Some(_) if is_gone => Unreadable::Incomplete,
            Some(_) => Unreadable::NotHttp,
        });
    }
}

/// A stream that replaces hyper's own error responses.
pub(crate) struct RefusingStream<S> {
    stream: S,
    progress: Progress,
    recorder: UnreadableRecorder,
    /// Remaining bytes of the replacement.
    refusal: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> RefusingStream<S> {
    pub(crate) fn new(stream: S, progress: Progress, recorder: UnreadableRecorder) -> Self {
        Self { stream, progress, recorder, refusal: Bytes::new() }
    }

    /// If `bytes` is an error response of hyper, starts to write the replacement and returns true. After the
    /// first request the bytes could also be part of a file.
    fn replace(&mut self, bytes: &[u8]) -> bool {
        if self.progress.has_request() {
            return false;
        }
        let Some(reason) = refusal_of_hyper(bytes) else { return false };
        self.progress.0.is_recorded.store(true, Ordering::Relaxed);
        let Some(refusal) = (self.recorder.0)(reason) else { return false };
        self.refusal = refusal;
        true
    }

    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.refusal.has_remaining() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.refusal))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

/// Returns the reason if `bytes` is an error response of hyper: one of its statuses, without the request id
/// that other responses have.
fn refusal_of_hyper(bytes: &[u8]) -> Option<Unreadable> {
    let rest = bytes.strip_prefix(b"HTTP/1.")?.get(1..)?.strip_prefix(b" ")?;
    let reason = match StatusCode::from_bytes(rest.get(..3)?).ok()? {
        StatusCode::BAD_REQUEST => Unreadable::NotHttp,
        StatusCode::URI_TOO_LONG | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Unreadable::HeadTooLarge,
        _ => return None,
    };
    let id: &[u8] = b"x-request-id";
    let is_ours = bytes.windows(id.len()).any(|window| window.eq_ignore_ascii_case(id));
    (!is_ours).then_some(reason)
}

impl<S: AsyncRead + Unpin> AsyncRead for RefusingStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.progress.0.has_read.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for RefusingStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_refusal(context))?;
        if self.replace(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_refusal(context))?;
        if pieces.first().is_some_and(|head| self.replace(head)) {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_of_hyper_are_replaced() {
        let own = b"HTTP/1.1 400 Bad Request\r\nx-request-id: 0af7651916cd43dd8448eb211c80319c\r\n\r\n";
        for (bytes, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..], Some(Unreadable::NotHttp)),
            (b"HTTP/1.0 400 Bad Request\r\ncontent-length: 0\r\n\r\n", Some(Unreadable::NotHttp)),
            (b"HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n", Some(Unreadable::HeadTooLarge)),
            (b"HTTP/1.1 414 URI Too Long\r\n\r\n", Some(Unreadable::HeadTooLarge)),
            (own, None),
            (b"HTTP/1.1 200 OK\r\n\r\n", None),
            (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", None),
            (b"HTTP/1.1 4", None),
            (b"{\"code\":\"HTTP/1.1 400\"}", None),
            (b"", None),
        ] {
            assert_eq!(refusal_of_hyper(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
