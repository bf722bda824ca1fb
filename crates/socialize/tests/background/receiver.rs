//! A publishing endpoint with scripted behaviour, over plain or encrypted connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::Gate;

/// A request as received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) request_line: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// Reaction to a request.
#[derive(Clone)]
pub(crate) enum Reaction {
    /// Sends these bytes.
    Says(String),
    /// Keeps the connection open and sends nothing.
    Stalls,
    /// Waits for the gate and then responds with 200.
    WaitsFor(Gate),
    /// Responds with this status and as much of 1 GiB as is read.
    SaysGibibyte(&'static str),
}

impl Reaction {
    /// A response without a body.
    pub(crate) fn status(status: &str) -> Self {
        Self::Says(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"))
    }

    /// A response with an additional header.
    pub(crate) fn with_header(status: &str, header: &str) -> Self {
        Self::Says(format!("HTTP/1.1 {status}\r\n{header}\r\ncontent-length: 0\r\n\r\n"))
    }
}

type Behaviour = Arc<dyn Fn(usize, &Received) -> Reaction + Send + Sync>;

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    /// In PEM, if encrypted.
    pub(crate) certificate: Option<String>,
}

#[derive(Default)]
struct State {
    received: Mutex<Vec<Received>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    body_bytes_sent: AtomicUsize,
}

impl Receiver {
    /// Reacts to each request, numbered from 1, according to `behave`.
    pub(crate) async fn start(behave: impl Fn(usize, &Received) -> Reaction + Send + Sync + 'static) -> Self {
        Self::start_on(None, behave).await
    }

    /// Like [`Self::start`], with a self-signed certificate for `localhost`.
    pub(crate) async fn start_encrypted(
        behave: impl Fn(usize, &Received) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let configuration =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .and_then(|builder| {
                    builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)
                })
                .expect("the certificate belongs to the key");
        let acceptor = TlsAcceptor::from(Arc::new(configuration));
        Self::start_on(Some((acceptor, made.cert.pem())), behave).await
    }

    async fn start_on(
        encryption: Option<(TlsAcceptor, String)>,
        behave: impl Fn(usize, &Received) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (acceptor, certificate) = encryption.unzip();
        let (state, behave): (Arc<State>, Behaviour) = (Arc::default(), Arc::new(behave));
        let of_server = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, behave, acceptor) = (of_server.clone(), behave.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => serve(acceptor.accept(stream).await.ok()?, &state, &behave).await,
                        None => serve(stream, &state, &behave).await,
                    }
                });
            }
        });
        Self { address, state, certificate }
    }

    /// Its URL without encryption.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/posts?token=a-secret-of-the-customer", self.address)
    }

    /// A URL with a name instead of the address.
    pub(crate) fn url_of(&self, scheme: &str, name: &str) -> String {
        format!("{scheme}://{name}:{}/posts", self.address.port())
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().expect("a lock").clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.received().len()
    }

    /// Maximum number of concurrent requests so far.
    pub(crate) fn most_at_once(&self) -> usize {
        self.state.most_at_once.load(SeqCst)
    }

    pub(crate) fn body_bytes_sent(&self) -> usize {
        self.state.body_bytes_sent.load(SeqCst)
    }
}

/// Serves one request per connection; `None` if the client has disconnected.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    state: &State,
    behave: &Behaviour,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let received = read(&mut stream).await?;
    let number = {
        let mut all = state.received.lock().expect("a lock");
        all.push(received.clone());
        all.len()
    };
    state.most_at_once.fetch_max(state.at_once.fetch_add(1, SeqCst) + 1, SeqCst);
    let reaction = behave(number, &received);
    let reacted = react(&mut stream, state, reaction).await;
    state.at_once.fetch_sub(1, SeqCst);
    reacted?;
    stream.shutdown().await.ok()
}

async fn read<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<Received> {
    let mut request_line = String::new();
    stream.read_line(&mut request_line).await.ok().filter(|length| *length > 0)?;
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        let earlier = headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        assert_eq!(earlier, None, "{name} came twice");
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).expect("UTF-8");
    Some(Received { request_line: request_line.trim().to_owned(), headers, body })
}

async fn react<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    state: &State,
    reaction: Reaction,
) -> Option<()> {
    match reaction {
        Reaction::Says(bytes) => stream.write_all(bytes.as_bytes()).await.ok()?,
        Reaction::Stalls => {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.ok()?;
        }
        Reaction::WaitsFor(gate) => {
            gate.pass().await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
        }
        Reaction::SaysGibibyte(status) => {
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", 1 << 30);
            stream.write_all(head.as_bytes()).await.ok()?;
            let chunk = vec![b'a'; 64 << 10];
            for _ in 0..(1 << 30) / chunk.len() {
                stream.write_all(&chunk).await.ok()?;
                state.body_bytes_sent.fetch_add(chunk.len(), SeqCst);
            }
        }
    }
    stream.flush().await.ok()
}
