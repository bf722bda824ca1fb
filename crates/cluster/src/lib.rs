//! A bundled Postgres server, so that a new machine needs no database administrator.
//!
//! [`Cluster::start`] finds Postgres binaries, initialises a data directory on first use, and runs
//! the server on a loopback port with a random password. The server stops when the [`Cluster`] is
//! dropped or this process dies, for whatever reason. It serves the demo and tests; in production,
//! the operator runs the server.
//!
//! The crate `postgresql_embedded` does not fit. It starts the server with `pg_ctl`, so the server
//! outlives a killed process, and always without fsync, so a crash of the machine loses acknowledged
//! commits. It takes a left-over `postmaster.pid` for a running server, and cannot run as root.
//!
//! This crate must not know the schema or hold connections. It runs on Linux, where every
//! distribution has `setpriv` and `unshare` (util-linux).

mod data_directory;
mod error;
mod identity;
mod initialized;
mod installation;
mod npm;
mod port;
mod server;
mod settings;
mod versions;

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub use data_directory::RunningServer;
pub use error::ClusterError;
pub use initialized::{DatabaseUrl, InitializedCluster, PARENT_VARIABLE};
pub use installation::Installation;
pub use port::free_loopback_port;
pub use settings::{ClusterSettings, Durability};

use data_directory::DirectoryLock;
use server::Server;

/// Maximum time that a resumed server waits for its port, which a lingering connection may occupy.
const PORT_WAIT: Duration = Duration::from_secs(10);

/// A running bundled Postgres server. Dropping it stops the server.
pub struct Cluster {
    initialized: InitializedCluster,
    port: u16,
    /// `None` while the server is interrupted.
    server: Mutex<Option<Server>>,
    /// Held as long as the cluster exists, even while its server is interrupted.
    _lock: DirectoryLock,
}

impl Cluster {
    /// Starts the server of a data directory, initialising the directory on first use.
    ///
    /// It blocks for about a second the first time, plus the time of a download, and for 0.2 s
    /// later. So asynchronous callers use `spawn_blocking`. The server does not depend on the
    /// calling thread.
    pub fn start(settings: ClusterSettings) -> Result<Self, ClusterError> {
        let lock = DirectoryLock::acquire(&settings.data_directory)?;
        let initialized = InitializedCluster::open(&settings)?;
        initialized.clear_leftovers()?;

        // A free port cannot be reserved for another process, so it may be taken before Postgres
        // binds it.
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

    /// Returns the connection URL of a database, which need not exist yet: see
    /// [`Cluster::create_database`].
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

    /// Returns the loopback port, which stays the same during the life of this value.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the major version of Postgres that runs this cluster.
    pub fn major_version(&self) -> u32 {
        self.initialized.installation().major_version()
    }

    /// Returns the path of the server's log, which does not contain the text of failed statements.
    pub fn log_file(&self) -> &Path {
        self.initialized.log_file()
    }

    /// Returns the id of the server's main process, or `None` if it is interrupted or has died.
    pub fn process_id(&self) -> Option<u32> {
        self.lock_server().as_ref().filter(|server| server.is_running()).map(Server::process_id)
    }

    /// Stops the server but keeps port, data and lock, so that [`Cluster::resume`] can restart it.
    pub fn interrupt(&self) {
        if let Some(server) = self.lock_server().take() {
            server.stop();
        }
    }

    /// Kills the server without warning, like a power failure.
    pub fn kill(&self) {
        if let Some(server) = self.lock_server().take() {
            server.kill();
        }
    }

    /// Restarts a server that was interrupted, was killed or has died, on the same port. A running
    /// server is left alone.
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

    /// Stops the server within at most 30 seconds, like dropping it. Open transactions are rolled
    /// back and connections closed.
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
