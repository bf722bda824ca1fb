//! A connection whose every byte the test controls.

use std::io::ErrorKind;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use test_support::Answer;
use test_support::process::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) struct RawConnection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl RawConnection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self { stream, received: Vec::new() }
    }

    /// Opens a connection and sends bytes on it.
    pub(crate) async fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut connection = Self::open(address).await;
        connection.write(bytes).await;
        connection
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have responded and closed already, which the test notices on reading.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Closes the sending side.
    pub(crate) async fn end(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Returns whether the server has closed the connection by now.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.stream.try_read(&mut [0; 4096]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Reads one response of known length.
    pub(crate) async fn answer(&mut self) -> Answer {
        loop {
            if let Some(answer) = self.whole_answer() {
                return answer;
            }
            let was_open = self.read_some().await;
            assert!(was_open, "no whole answer: {}", String::from_utf8_lossy(&self.received));
        }
    }

    /// Reads until the server closes the connection, and returns all bytes.
    pub(crate) async fn closed(mut self) -> Vec<u8> {
        while self.read_some().await {}
        self.received
    }

    async fn read_some(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = timeout(PATIENCE, self.stream.read(&mut buffer)).await;
        // A reset connection counts as closed.
        let read = read.expect("the server answers or closes").unwrap_or(0);
        self.received.extend_from_slice(&buffer[..read]);
        read > 0
    }

    fn whole_answer(&mut self) -> Option<Answer> {
        let head_end = self.received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.received[..head_end].to_vec()).expect("a head of ASCII");
        let mut lines = head.split_terminator("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let status = StatusCode::from_bytes(status.as_bytes()).expect("a status");
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name: HeaderName = name.parse().expect("a header name");
            headers.append(name, HeaderValue::from_str(value).expect("a header value"));
        }
        let length = headers.get("content-length").map_or("0", |value| value.to_str().expect("ASCII"));
        let end = head_end + length.parse::<usize>().expect("a length");
        let bytes = self.received.get(head_end..end)?.to_vec();
        self.received.drain(..end);
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Some(Answer { status, headers, body, bytes })
    }
}
