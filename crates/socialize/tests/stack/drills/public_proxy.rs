//! The users' path: a proxy with TLS before the API, which the collector probes as well.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const ADDRESS: &str = "127.0.0.1:18443";
pub(super) const PUBLIC_URL: &str = "https://localhost:18443";

/// Its upstream.
const API: &str = "api:8080";

/// Lifetimes of certificates: a long one, and one below the two weeks of the alert, which are 11 hours at the
/// drill's scale.
const LONG: Duration = Duration::from_hours(90 * 24);
const SHORT: Duration = Duration::from_hours(5);

pub(super) struct PublicProxy {
    lasting: TlsAcceptor,
    ending: TlsAcceptor,
    presented: Arc<Mutex<TlsAcceptor>>,
    listening: JoinHandle<()>,
    /// The certificates, which the collector has to trust.
    pub(super) trusted: PathBuf,
}

impl PublicProxy {
    pub(super) async fn start(directory: &Path) -> Self {
        let ((lasting, lasting_text), (ending, ending_text)) = (certificate(LONG), certificate(SHORT));
        let trusted = directory.join("proxy.pem");
        std::fs::write(&trusted, lasting_text + &ending_text).expect("a file");
        let presented = Arc::new(Mutex::new(lasting.clone()));
        let listening = listen(presented.clone()).await;
        Self { lasting, ending, presented, listening, trusted }
    }

    /// Stops it: its port is closed.
    pub(super) async fn stop(&mut self) {
        self.listening.abort();
        // An error is expected, because the task was aborted.
        let _ = (&mut self.listening).await;
    }

    pub(super) async fn start_again(&mut self) {
        self.listening = listen(self.presented.clone()).await;
    }

    /// Presents the certificate that expires soon.
    pub(super) fn forget_to_renew(&self) {
        *lock(&self.presented) = self.ending.clone();
    }

    pub(super) fn renew(&self) {
        *lock(&self.presented) = self.lasting.clone();
    }
}

fn lock(presented: &Mutex<TlsAcceptor>) -> MutexGuard<'_, TlsAcceptor> {
    presented.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(presented: Arc<Mutex<TlsAcceptor>>) -> JoinHandle<()> {
    let address: SocketAddr = ADDRESS.parse().expect("an address");
    let listener = TcpListener::bind(address).await.expect("the port");
    tokio::spawn(async move {
        // Connections end with it.
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = lock(&presented).clone();
            connections.spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut api = TcpStream::connect(API).await?;
                tokio::io::copy_bidirectional(&mut client, &mut api).await
            });
        }
    })
}

/// A self-signed certificate for `localhost` with this lifetime.
fn certificate(lasts: Duration) -> (TlsAcceptor, String) {
    let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let now = rcgen::date_time_ymd(1970, 1, 1) + now;
    parameters.not_before = now - Duration::from_hours(1);
    parameters.not_after = now + lasts;
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let configuration = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private)
        })
        .expect("the certificate belongs to the key");
    (TlsAcceptor::from(Arc::new(configuration)), certificate.pem())
}
