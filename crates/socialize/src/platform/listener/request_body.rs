//! Request bodies that the handler did not read to the end.
//!
//! On an HTTP/1 connection the rest of a body precedes the next request. If it is small and arrives soon, it
//! is read here; otherwise the response announces the end of the connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, timeout_at};

/// Maximum number of bytes of an unread body that are read before the response.
const REST_BYTES: u64 = 64 << 10;
/// Maximum time that the response waits for the rest of an unread body.
const REST_TIME: Duration = Duration::from_secs(1);

/// A request body. On HTTP/1, its unread rest returns to the connection.
pub(crate) struct RequestBody {
    /// `None` only during drop.
    incoming: Option<Incoming>,
    was_polled: bool,
    /// Set only if the next request follows the body on its connection.
    unread: Option<Unread>,
}

/// Receives a body that is dropped before its end.
#[derive(Clone)]
pub(super) struct Unread {
    place: Arc<Mutex<Option<Left>>>,
    /// The client waits for `100 Continue`, which polling the body sends.
    waits_for_permission: bool,
}

struct Left {
    incoming: Incoming,
    was_polled: bool,
}

impl RequestBody {
    /// A body whose remaining bytes are discarded.
    pub(super) fn new(incoming: Incoming) -> Self {
        Self { incoming: Some(incoming), was_polled: false, unread: None }
    }

    /// A body whose rest can be read after it was dropped.
    pub(super) fn returning(incoming: Incoming, waits_for_permission: bool) -> (Self, Unread) {
        let unread = Unread { place: Arc::default(), waits_for_permission };
        (Self { incoming: Some(incoming), was_polled: false, unread: Some(unread.clone()) }, unread)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (Some(unread), Some(incoming)) = (self.unread.take(), self.incoming.take()) else { return };
        if !incoming.is_end_stream() {
            let left = Left { incoming, was_polled: self.was_polled };
            *unread.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
        }
    }
}

impl Unread {
    /// Returns whether the body was read to its end.
    pub(super) fn was_read(self) -> bool {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Reads the rest of the body if it is small. Returns whether its end was reached, so that the next
    /// request can follow.
    pub(super) async fn finish(self) -> bool {
        let left = self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Left { mut incoming, was_polled }) = left else { return true };
        let asks_for_it = self.waits_for_permission && !was_polled;
        if asks_for_it || incoming.size_hint().lower() > REST_BYTES {
            return false;
        }
        let deadline = Instant::now() + REST_TIME;
        let mut bytes = 0;
        while bytes <= REST_BYTES {
            match timeout_at(deadline, incoming.frame()).await {
                Ok(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Bytes::len) as u64,
                Ok(None) => return true,
                // Malformed, disconnected, or too slow.
                Ok(Some(Err(_))) | Err(_) => return false,
            }
        }
        false
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.was_polled = true;
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
