//! Response bodies, split into small pieces, so that a client that does not read holds little more than it is
//! sent.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body as AxumBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::places::InProgress;
use super::unsent::Held;

/// Maximum size of a chunk that a connection takes. HTTP/2 holds a piece for each of its streams.
const PIECE_OF_HTTP_1: usize = 32 << 10;
const PIECE_OF_HTTP_2: usize = 8 << 10;

/// Maximum time without progress of a response over HTTP/2.
const STREAM_PATIENCE: Duration = Duration::from_secs(20);
/// Interval of the check for progress.
const STREAM_CHECK: Duration = Duration::from_secs(5);

pub(super) struct ResponseBody {
    inner: AxumBody,
    /// Remainder of the last chunk.
    rest: Bytes,
    piece: usize,
    held: Option<Arc<Held>>,
    _in_progress: InProgress,
}

impl ResponseBody {
    pub(super) fn new(
        inner: AxumBody,
        is_http_2: bool,
        held: Option<Arc<Held>>,
        in_progress: InProgress,
    ) -> Self {
        if is_http_2 {
            progressed();
        }
        let piece = if is_http_2 { PIECE_OF_HTTP_2 } else { PIECE_OF_HTTP_1 };
        Self { inner, rest: Bytes::new(), piece, held, _in_progress: in_progress }
    }

    fn next_piece(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(self.piece);
        Frame::data(self.rest.split_to(length))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        progressed();
        if let Some(held) = &self.held {
            held.progressed();
        }
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.next_piece())));
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.rest = data;
                    Poll::Ready(Some(Ok(self.next_piece())))
                }
                Err(frame) => Poll::Ready(Some(Ok(frame))),
            },
            end => Poll::Ready(end),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

tokio::task_local! {
    /// Time at which the connection last took a part of this task's response; `None` before the response.
    static PROGRESS: Cell<Option<Instant>>;
}

fn progressed() {
    // HTTP/1 responses have no task of their own.
    let _ = PROGRESS.try_with(|progress| progress.set(Some(Instant::now())));
}

/// Runs the stream of a request, but aborts it if its client reads none of the response. HTTP/2 flow control
/// lets a client stall a response on a healthy connection.
pub(super) async fn while_read(stream: impl Future) {
    let watched = async {
        let mut stream = std::pin::pin!(stream);
        while tokio::time::timeout(STREAM_CHECK, &mut stream).await.is_err() {
            let taken_at = PROGRESS.with(Cell::get);
            if taken_at.is_some_and(|taken_at| taken_at.elapsed() >= STREAM_PATIENCE) {
                return;
            }
        }
    };
    PROGRESS.scope(Cell::new(None), watched).await;
}
