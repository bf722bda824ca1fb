//! A data directory with an initialised cluster, and the binaries and user that run it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::data_directory::{self, RunningServer, cluster_directory, create_private, server_lock_file};
use super::error::last_lines;
use super::identity::Identity;
use super::{ClusterError, ClusterSettings, Durability, Installation};

/// The database role that owns all objects in the cluster.
const ROLE: &str = "socialize";
/// Size in bytes above which the log is renamed when the server starts.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

/// The environment variable of the server's command with the id of its required parent process.
pub const PARENT_VARIABLE: &str = "POSTGRES_PARENT";

/// A connection URL. It contains the password, so it cannot be printed or logged by accident.
#[derive(Clone)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Returns the text, for the database driver.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// An initialised cluster, with all that is needed to run it. Use [`super::Cluster`] if possible. This type
/// is for test suites whose server outlives the process that started it.
pub struct InitializedCluster {
    installation: Installation,
    identity: Identity,
    data_directory: PathBuf,
    log_file: PathBuf,
    password: String,
    durability: Durability,
}

impl InitializedCluster {
    /// Opens the cluster of a data directory, initialising it on first use. The caller must ensure
    /// that no other process does the same concurrently.
    pub fn open(settings: &ClusterSettings) -> Result<Self, ClusterError> {
        create_private(&settings.data_directory)?;
        // Postgres needs an absolute path, because it changes its working directory.
        let data_directory = settings
            .data_directory
            .canonicalize()
            .map_err(ClusterError::file("find", &settings.data_directory))?;
        let password_file = data_directory.join("password");
        let existing = read_major_version(&cluster_directory(&data_directory))?;
        let installation = Installation::find(settings, existing)?;
        let identity = Identity::choose(&cluster_directory(&data_directory))?;

        let password = match fs::read_to_string(&password_file) {
            Ok(password) if existing.is_some() => password,
            Err(error) if existing.is_some() && error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ClusterError::PasswordMissing { path: password_file });
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ClusterError::file("read", password_file)(error));
            }
            _ => random_password(),
        };
        let log_file = data_directory.join("postgres.log");
        let durability = settings.durability;
        let cluster = Self { installation, identity, data_directory, log_file, password, durability };
        if existing.is_none() {
            cluster.initialize(&password_file)?;
        }
        Ok(cluster)
    }

    /// Returns the programs that run the cluster.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Returns the connection URL of a database.
    pub fn url(&self, port: u16, database: &str) -> DatabaseUrl {
        database_url(&self.password, port, database)
    }

    /// Returns the path of the server's log.
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// Returns the server that runs on this cluster, once it accepts connections.
    pub fn running_server(&self) -> Option<RunningServer> {
        data_directory::running_server(&self.data_directory)
    }

    /// Returns the connection URL of a database on the server that runs on a data directory, if
    /// there is one. It is fast, because it starts no program and takes no lock.
    pub fn url_of_running(data_directory: &Path, database: &str) -> Option<DatabaseUrl> {
        let server = data_directory::running_server(data_directory)?;
        let password = fs::read_to_string(data_directory.join("password")).ok()?;
        Some(database_url(&password, server.port, database))
    }

    /// Waits until an earlier server is gone and removes its leftovers, so that a new one can
    /// start.
    pub fn clear_leftovers(&self) -> Result<(), ClusterError> {
        data_directory::clear_leftovers(&self.data_directory)
    }

    /// Returns a command that becomes the server's main process.
    ///
    /// The kernel stops the server when the *thread* that spawns the command ends. The server has
    /// its own process group, so that Ctrl-C in a terminal reaches only the application, which
    /// drains, and not the database.
    ///
    /// A program that runs the same program and arguments as its own child sets
    /// [`PARENT_VARIABLE`].
    pub fn server_command(&self, port: u16) -> Result<Command, ClusterError> {
        // Changing the user clears the parent-death signal, so it is set afterwards. The parent may
        // have died before that: then the shell has another parent and does not start the server.
        // Every process of the server inherits the lock, so the lock shows whether any of them is
        // left.
        const START: &str = r#"
test "$PPID" = "$POSTGRES_PARENT" || exit 1
exec 9<"$1" && flock --shared 9 || exit 1
shift
exec "$@""#;

        self.write_server_lock_file()?;
        let log = self.open_log()?;
        let errors = log.try_clone().map_err(ClusterError::file("open", &self.log_file))?;
        let mut command = self.identity.command("setpriv");
        command
            .args(["--pdeathsig", "INT", "--", "sh", "-c", START, "sh"])
            .arg(server_lock_file(&self.data_directory))
            .arg(self.installation.program("postgres"))
            .arg("-D")
            .arg(cluster_directory(&self.data_directory));
        for (name, value) in self.server_settings(port) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        remove_postgres_variables(&mut command);
        command.env(PARENT_VARIABLE, std::process::id().to_string());
        command.current_dir("/").process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
        Ok(command)
    }

    fn server_settings(&self, port: u16) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("unix_socket_directories", String::new()),
            ("timezone", "UTC".to_owned()),
            ("log_timezone", "UTC".to_owned()),
            // Messages about failed statements quote customers' input, and the client receives them
            // anyway.
            ("log_min_messages", "log".to_owned()),
            ("log_min_error_statement", "panic".to_owned()),
            ("log_checkpoints", "off".to_owned()),
        ];
        if self.durability == Durability::TestsOnly {
            for name in ["fsync", "synchronous_commit", "full_page_writes"] {
                settings.push((name, "off".to_owned()));
            }
            // Many test processes, each with a pool, share the server.
            settings.push(("max_connections", "400".to_owned()));
        }
        settings
    }

    /// Runs `initdb` in a temporary directory and renames it, so that an interrupted run leaves no
    /// partial cluster.
    fn initialize(&self, password_file: &Path) -> Result<(), ClusterError> {
        let base = &self.data_directory;
        self.identity.give(base)?;
        self.identity.check_access(base, &self.installation.program("postgres"))?;
        write_private(password_file, &self.password)?;
        self.identity.give(password_file)?;

        let unfinished = base.join("postgres.unfinished");
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ClusterError::file("remove", unfinished)(error));
            }
            _ => {}
        }
        let mut command = self.identity.command(self.installation.program("initdb"));
        command.arg("-D").arg(&unfinished).arg("--pwfile").arg(password_file).args([
            "--username",
            ROLE,
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-instructions",
        ]);
        if self.durability == Durability::TestsOnly {
            command.arg("--no-sync");
        }
        remove_postgres_variables(&mut command);
        let output = command.current_dir("/").stdin(Stdio::null()).output().map_err(|source| {
            ClusterError::Program { program: "initdb".to_owned(), package: "postgresql", source }
        })?;
        if !output.status.success() {
            let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            return Err(ClusterError::Initialize { path: unfinished, output: last_lines(&printed, 5) });
        }
        let finished = cluster_directory(base);
        fs::rename(&unfinished, &finished).map_err(ClusterError::file("create", finished))
    }

    /// Creates the lock file with permissions for the server's user, who opens it and may be
    /// another user.
    fn write_server_lock_file(&self) -> Result<(), ClusterError> {
        let path = server_lock_file(&self.data_directory);
        write_private(&path, "")?;
        self.identity.give(&path)
    }

    fn open_log(&self) -> Result<File, ClusterError> {
        if fs::metadata(&self.log_file).is_ok_and(|log| log.len() > LOG_LIMIT) {
            fs::rename(&self.log_file, self.log_file.with_extension("log.1"))
                .map_err(ClusterError::file("rename", &self.log_file))?;
        }
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.log_file)
            .map_err(ClusterError::file("open", &self.log_file))
    }
}

fn database_url(password: &str, port: u16, database: &str) -> DatabaseUrl {
    // The connection never leaves the machine, and the server has no certificate.
    DatabaseUrl(format!("postgres://{ROLE}:{password}@127.0.0.1:{port}/{database}?sslmode=disable"))
}

/// Reads the major version that wrote a cluster. Returns `None` if there is no cluster yet.
fn read_major_version(cluster: &Path) -> Result<Option<u32>, ClusterError> {
    let path = cluster.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ClusterError::file("read", path)(error)),
        Ok(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|error| ClusterError::file("understand", path)(std::io::Error::other(error))),
    }
}

/// Removes `PGPORT`, `PGOPTIONS` and similar variables, which are meant for the operator's own
/// servers.
fn remove_postgres_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
}

fn random_password() -> String {
    rand::random::<[u8; 24]>().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_private(path: &Path, text: &str) -> Result<(), ClusterError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(ClusterError::file("write", path))
}
