//! Byte stream of a client, including its orderly close.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Maximum time for a client to read the last response after the server has closed its side.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// Maximum number of bytes read and discarded meanwhile.
const LINGER_BYTES: usize = 4 << 20;

/// Maximum time without progress while writing.
const WRITE_PATIENCE: Duration = Duration::from_secs(20);

/// Set for clients that may still be sending when their connection is closed.
#[derive(Clone, Default)]
pub(super) struct Lingering(Arc<AtomicBool>);

impl Lingering {
    /// Notes that unread bytes may still arrive.
    pub(super) fn expect_more(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn expects_more(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream that ends when its client stops reading, and that closes in two steps if the client may still be
/// sending. Closing it at once would send a TCP reset, which can destroy the last response before the client
/// has read it.
pub(super) struct ClientStream<S> {
    stream: S,
    lingering: Lingering,
    end: End,
    /// Runs while writing is blocked. Created on first use, which most connections never reach.
    patience: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

enum End {
    Open,
    /// Writing has ended. Input is discarded until the client closes its side.
    Lingering {
        discarded: usize,
        limit: Pin<Box<Sleep>>,
    },
    Over,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientStream<S> {
    pub(super) fn new(stream: S, lingering: Lingering) -> Self {
        Self { stream, lingering, end: End::Open, patience: None, is_waiting: false }
    }

    /// Ends the stream of a client that has read nothing for too long, to release its buffers.
    fn watch<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_waiting = false;
            return written;
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(WRITE_PATIENCE)));
        if !self.is_waiting {
            self.is_waiting = true;
            patience.as_mut().reset(Instant::now() + WRITE_PATIENCE);
        }
        ready!(patience.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads and discards; pending while nothing arrives.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = [0; 8 << 10];
        let mut buffer = ReadBuf::new(&mut room);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.watch(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.end {
                End::Open => {
                    ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
                    self.end = match self.poll_discard(context) {
                        // The client has closed its side too, or is not expected to send.
                        Poll::Ready(Ok(0) | Err(_)) => End::Over,
                        Poll::Pending if !self.lingering.expects_more() => End::Over,
                        Poll::Pending => End::Lingering { discarded: 0, limit: Box::pin(sleep(LINGER_TIME)) },
                        Poll::Ready(Ok(discarded)) => {
                            End::Lingering { discarded, limit: Box::pin(sleep(LINGER_TIME)) }
                        }
                    };
                }
                End::Lingering { discarded, limit } => {
                    let is_too_much = *discarded > LINGER_BYTES;
                    if is_too_much || limit.as_mut().poll(context).is_ready() {
                        self.end = End::Over;
                        continue;
                    }
                    let more = ready!(self.poll_discard(context)).unwrap_or(0);
                    match &mut self.end {
                        End::Lingering { discarded, .. } if more > 0 => *discarded += more,
                        end => *end = End::Over,
                    }
                }
                End::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    fn pair() -> (ClientStream<DuplexStream>, DuplexStream) {
        let (server, client) = duplex(1024);
        (ClientStream::new(server, Lingering::default()), client)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_nothing_is_given_up_and_whoever_reads_a_little_is_not() {
        let (mut stream, mut client) = pair();
        let began = Instant::now();
        let slow = tokio::spawn(async move {
            let mut read = 0;
            while let Ok(count @ 1..) = client.read(&mut [0; 256]).await {
                read += count;
                sleep(WRITE_PATIENCE - Duration::from_secs(1)).await;
                if read >= 4 << 10 {
                    break;
                }
            }
            client
        });
        stream.write_all(&[0; 5 << 10]).await.expect("it is read, if slowly");
        assert!(began.elapsed() > 5 * WRITE_PATIENCE, "longer than once: {:?}", began.elapsed());
        let _client = slow.await.expect("no panic");
        let stopped = Instant::now();
        let error = stream.write_all(&[0; 5 << 10]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(stopped.elapsed().as_secs(), WRITE_PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_between_responses_is_not_held_against_anybody() {
        let (mut stream, mut client) = pair();
        stream.write_all(&[0; 1024]).await.expect("room");
        let (filled, _) = tokio::join!(stream.write_all(&[0; 1]), async {
            sleep(Duration::from_secs(1)).await;
            client.read_exact(&mut [0; 1024]).await.expect("it is there");
            client.read_exact(&mut [0; 1]).await.expect("it is there")
        });
        filled.expect("it is read");
        sleep(10 * WRITE_PATIENCE).await;
        let (written, _) = tokio::join!(stream.write_all(&[0; 2048]), async {
            sleep(WRITE_PATIENCE / 2).await;
            client.read_exact(&mut [0; 2048]).await.expect("it is there")
        });
        written.expect("it is read in time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_lingers_only_while_more_is_expected() {
        let (mut stream, _client) = pair();
        let began = Instant::now();
        stream.shutdown().await.expect("closed");
        assert_eq!(began.elapsed(), Duration::ZERO);

        let (mut stream, mut client) = pair();
        stream.lingering.expect_more();
        let sending = tokio::spawn(async move {
            sleep(Duration::from_millis(500)).await;
            client.write_all(&[0; 100]).await.expect("taken");
            client
        });
        stream.shutdown().await.expect("closed");
        assert_eq!(began.elapsed(), LINGER_TIME, "a client that does not close is not waited for longer");
        drop(sending.await.expect("no panic"));

        let (mut stream, client) = pair();
        stream.lingering.expect_more();
        let (closed, ()) = tokio::join!(stream.shutdown(), async {
            sleep(Duration::from_millis(500)).await;
            drop(client);
        });
        closed.expect("closed");
        assert_eq!(began.elapsed(), LINGER_TIME + Duration::from_millis(500));
    }
}
