//! The demo's own Socialize and Postgres.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, anyhow};
use catalogue::labels::Role;
use cluster::{Cluster, ClusterSettings};
use socialize::app::App;
use socialize::platform::secret::Secret;
use socialize::run::config::Settings;
use socialize::run::serve::{self, Listening};
use socialize::run::start;
use telemetry::health::Readiness;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::console::ConsoleProcess;
use super::ledger::Ledger;
use super::steps::Steps;
use crate::settings::{DemoSettings, send_telemetry_to};

/// Name of the database in the bundled cluster.
const DATABASE: &str = "socialize";

pub(super) struct Server {
    pub(super) app: App,
    pub(super) public_url: String,
    pub(super) operations_url: String,
    /// Counts facts since the start.
    pub(super) ledger: Ledger,
    /// Dropped to stop the server.
    stop: Option<watch::Sender<()>>,
    running: JoinHandle<anyhow::Result<()>>,
    console: Option<ConsoleProcess>,
    /// `None` if an existing server is used.
    cluster: Option<Cluster>,
}

impl Server {
    /// Starts all parts in sequence.
    pub(super) async fn start(settings: DemoSettings, steps: &Steps) -> anyhow::Result<Self> {
        let DemoSettings { data_directory, console, mut serve, .. } = settings;
        let cluster = match &settings.database_url {
            Some(_) => None,
            None => {
                let cluster = ClusterSettings {
                    binaries: settings.postgres_binaries,
                    ..ClusterSettings::new(&data_directory)
                };
                Some(start_cluster(cluster, steps).await?)
            }
        };
        create_private(&data_directory)?;
        serve.server_secret = server_secret(&data_directory.join("secret"))?;
        serve.database.url = match (&cluster, settings.database_url) {
            (Some(cluster), _) => Secret::new(cluster.url(DATABASE).expose()),
            (None, Some(url)) => url,
            (None, None) => unreachable!("there is a cluster unless there is a URL"),
        };
        require_free(serve.listen.public, "--listen")?;
        require_free(serve.listen.operations, "--operations-listen")?;
        if let Some(console) = &console {
            require_free(console.address, "--console-listen")?;
        }

        let prepare = async {
            if let Some(cluster) = &cluster {
                cluster.create_database(DATABASE).await?;
            }
            start::migrate(&serve.database).await
        };
        let applied = |applied: &usize| match applied {
            0 => String::new(),
            applied => format!(" ({applied} migrations applied)"),
        };
        steps.take("Preparing the database", prepare, applied).await?;
        let console = match console {
            Some(settings) => {
                let start = ConsoleProcess::start(&settings);
                Some(steps.take("Starting the console", start, |_| String::new()).await?)
            }
            None => None,
        };
        if let Some(console) = &console {
            send_telemetry_to(&console.receiver, &mut serve)?;
        }
        let ledger = Ledger::open(serve.database.url.clone());
        let (stop, stopped) = watch::channel(());
        let (listening, running) =
            steps.take("Starting Socialize", start_serving(serve, stopped), |_| String::new()).await?;
        let Listening { app, operations, public, .. } = listening;
        let public = public.context("the public listener is missing")?;
        Ok(Self {
            app,
            public_url: format!("http://{public}"),
            operations_url: format!("http://{operations}"),
            ledger,
            stop: Some(stop),
            running,
            console,
            cluster,
        })
    }

    /// URL that opens the console.
    pub(super) fn console_url(&self) -> Option<String> {
        self.console.as_ref().map(|console| console.link.clone())
    }

    /// Returns if the server ends unexpectedly.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.running).await {
            Ok(Ok(())) => anyhow!("Socialize ended by itself"),
            Ok(Err(error)) => error.context("Socialize failed"),
            Err(error) => anyhow!(error).context("Socialize failed"),
        }
    }

    /// Fails if the bundled Postgres has ended unexpectedly.
    pub(super) fn require_postgres(&self) -> anyhow::Result<()> {
        let Some(cluster) = self.cluster.as_ref().filter(|cluster| cluster.process_id().is_none()) else {
            return Ok(());
        };
        let log = cluster.log_file().display();
        Err(anyhow!(
            "the demo's own PostgreSQL has ended by itself, or somebody ended it. Its log says why: {log}. Nothing \
             that was acknowledged is lost: start the demo again"
        ))
    }

    /// Finishes requests and jobs, and flushes telemetry.
    pub(super) async fn drain(&mut self) -> anyhow::Result<()> {
        drop(self.stop.take());
        (&mut self.running).await.context("Socialize failed")?
    }

    /// Stops the console and Postgres, after the drain.
    pub(super) async fn stop(self, steps: &Steps) -> anyhow::Result<()> {
        if let Some(console) = self.console {
            console.stop().await;
        }
        let Some(cluster) = self.cluster else { return Ok(()) };
        // An open connection would delay the stop.
        drop(self.ledger);
        let stopping = async { Ok(tokio::task::spawn_blocking(move || cluster.stop()).await?) };
        steps.take("Stopping PostgreSQL", stopping, |()| String::new()).await
    }
}

async fn start_cluster(settings: ClusterSettings, steps: &Steps) -> anyhow::Result<Cluster> {
    let start = async { Ok(tokio::task::spawn_blocking(|| Cluster::start(settings)).await??) };
    let detail = |cluster: &Cluster| {
        let (version, port) = (cluster.major_version(), cluster.port());
        format!(" (version {version}, port {port})")
    };
    steps.take("Starting PostgreSQL", start, detail).await
}

/// Serves in a task and returns when it is ready.
async fn start_serving(
    settings: Settings,
    stopped: watch::Receiver<()>,
) -> anyhow::Result<(Listening, JoinHandle<anyhow::Result<()>>)> {
    let (listening, listens) = oneshot::channel();
    let mut running = tokio::spawn(serve::run_until(settings, Role::Serve, stopped, |addresses| {
        // The receiver is gone only while the demo is being stopped.
        let _ = listening.send(addresses);
    }));
    let listening = match listens.await {
        Ok(listening) => listening,
        Err(_) => {
            (&mut running).await??;
            return Err(anyhow!("Socialize ended before it listened"));
        }
    };
    listening.app.health.wait_for_first_results().await;
    match listening.app.health.ready() {
        Readiness::Ready => Ok((listening, running)),
        other => Err(anyhow!("Socialize is not ready: {}", telemetry::ClosedSet::as_str(other))),
    }
}

/// Checks that the address is free. The listener's own message names a variable that the demo does not read.
fn require_free(address: SocketAddr, flag: &str) -> anyhow::Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(anyhow!(
            "{address} is taken by another process. Stop that, or choose another address with {flag}"
        )),
        Err(error) => Err(anyhow!("cannot listen on {address}: {error}. Choose another address with {flag}")),
    }
}

fn create_private(directory: &Path) -> anyhow::Result<()> {
    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    created.with_context(|| format!("the data directory {} cannot be created", directory.display()))
}

/// Returns the secret of this data directory, created on first use. Issued tokens stay valid after a restart,
/// and links of queued e-mails can still be derived.
fn server_secret(path: &Path) -> anyhow::Result<Secret> {
    let secret: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let written = file.write_all(secret.as_bytes()).and_then(|()| file.sync_all());
            written.with_context(|| format!("the secret {} cannot be written", path.display()))?;
            Ok(Secret::new(secret))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let secret = fs::read_to_string(path)
                .with_context(|| format!("the secret {} cannot be read", path.display()))?;
            if secret.trim().len() < 32 {
                let path = path.display();
                return Err(anyhow!(
                    "the secret {path} is damaged: remove the file, and a new one is created"
                ));
            }
            Ok(Secret::new(secret.trim()))
        }
        Err(error) => Err(error).with_context(|| format!("the secret {} cannot be made", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_secret_is_private_and_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        let first = server_secret(&path).expect("a secret");
        assert_eq!(first.expose().len(), 64);
        assert!(server_secret(&path).expect("the same secret") == first);
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        fs::write(&path, "").expect("a damaged file");
        let error = server_secret(&path).err().expect("an error").to_string();
        assert!(error.contains("damaged"), "{error}");
    }

    #[test]
    fn a_taken_port_is_told_with_its_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("its address");
        let error = require_free(address, "--listen").expect_err("it is taken").to_string();
        assert!(error.contains("is taken by another process") && error.contains("--listen"), "{error}");
    }
}
