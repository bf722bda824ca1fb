//! Connections that never become a request: bytes that are not HTTP, heads that are too large or
//! too slow, and connections that end in the middle of a head.
//!
//! hyper responds to some of these by itself, below every service: without a body, a request id or a
//! record. Here its response is replaced, and each case is recorded as a request without a route.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

/// Reasons why no request could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The bytes are not HTTP, for example TLS.
    NotHttp,
    /// The request line and the headers exceed what is read.
    HeadTooLarge,
    /// The first head did not arrive in time.
    HeadTimeout,
    /// The connection ended before its first head was complete.
    Incomplete,
}

type Record = dyn Fn(Unreadable) -> Option<Bytes> + Send + Sync;

/// Records what could not be read, and returns the response to it as bytes of HTTP/1.1.
#[derive(Clone)]
pub(crate) struct UnreadableRecorder(Arc<Record>);

impl UnreadableRecorder {
    /// Records by a service, which finds the reason in the extensions of its request.
    pub(crate) fn new<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response, Future: Send> + Clone + Send + Sync + 'static,
    {
        Self(Arc::new(move |reason| {
            let mut request = Request::new(Body::empty());
            request.extensions_mut().insert(reason);
            let response = service.clone().call(request);
            if reason == Unreadable::Incomplete {
                // Nobody is left to read a response: a request that is dropped is recorded as cancelled.
                return None;
            }
            // The service refuses without waiting for anything.
            serialize(response.now_or_never()?.ok()?)
        }))
    }

    /// Records nothing, for a listener that only its operator reaches.
    pub(crate) fn disabled() -> Self {
        Self(Arc::new(|_| None))
    }
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

/// What happened on a connection. Clones share it.
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

    /// Returns whether a request was read.
    pub(crate) fn has_request(&self) -> bool {
        self.0.has_request.load(Ordering::Relaxed)
    }

    /// Records the end of a connection whose last bytes are no request. `error` is hyper's, or `None` after a timeout.
    pub(crate) fn conclude(
        &self,
        error: Option<&(dyn std::error::Error + 'static)>,
        recorder: &UnreadableRecorder,
    ) {
        let by_hyper = error.and_then(|error| error.downcast_ref::<hyper::Error>());
        let is_parse_error = by_hyper.is_some_and(hyper::Error::is_parse);
        // Between two requests, a client may close the connection or be silent at will.
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

/// A stream on which hyper's own refusals are replaced by ours.
pub(crate) struct RefusingStream<S> {
    stream: S,
    progress: Progress,
    recorder: UnreadableRecorder,
    /// Rest of a refusal that is being written.
    refusal: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> RefusingStream<S> {
    pub(crate) fn new(stream: S, progress: Progress, recorder: UnreadableRecorder) -> Self {
        Self { stream, progress, recorder, refusal: Bytes::new() }
    }

    /// Begins to write our refusal if `bytes` is one of hyper's, and returns whether it is. After the first request,
    /// they may as well be a part of a file.
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

/// Returns the reason if `bytes` is a refusal by hyper: one of its statuses, without the request id that each of our own has.
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
