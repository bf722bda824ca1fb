//! The user that runs Postgres, which refuses to run as root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::ClusterError;

/// User id of `nobody` on Linux distributions.
const NOBODY: u32 = 65_534;

/// The user that runs Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The user of this process, which is not root.
    Caller,
    /// Root, mapped to `nobody` for Postgres by a user namespace. No file needs another owner, and
    /// it also works below a home directory that only root may enter.
    UserNamespace,
    /// Another user, to which root switches.
    User {
        /// The `uid` that owns the data.
        user: u32,
        /// The `gid` that owns the data.
        group: u32,
    },
}

impl Identity {
    /// Chooses the user for a cluster, whose directory may not exist yet. Existing data is run by
    /// its owner.
    pub(super) fn choose(cluster: &Path) -> Result<Self, ClusterError> {
        let own = nix::unistd::geteuid().as_raw();
        let existing = fs::metadata(cluster).ok();
        if own != 0 {
            return match existing {
                Some(metadata) if metadata.uid() != own => {
                    Err(ClusterError::OtherOwner { path: cluster.to_owned(), owner: metadata.uid() })
                }
                _ => Ok(Self::Caller),
            };
        }
        match existing {
            Some(metadata) if metadata.uid() != 0 => {
                Ok(Self::User { user: metadata.uid(), group: metadata.gid() })
            }
            _ if user_namespaces_work() => Ok(Self::UserNamespace),
            Some(_) => Err(ClusterError::Root {
                reason: format!(
                    "The data in {} was made in a user namespace, which this system does not allow",
                    cluster.display()
                ),
            }),
            None => Ok(Self::User { user: NOBODY, group: NOBODY }),
        }
    }

    /// Returns a command that runs a program as this user. The change of user is part of its
    /// program and arguments, so that they can be passed on to a shell.
    pub(super) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match self {
            Self::Caller => Command::new(program),
            Self::UserNamespace => {
                let mut command = unshare();
                command.arg("--").arg(program);
                command
            }
            Self::User { user, group } => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={user}")).arg(format!("--regid={group}"));
                command.arg("--clear-groups").arg("--").arg(program);
                command
            }
        }
    }

    /// Makes this user the owner of a file or directory, if it is another user than root.
    pub(super) fn give(self, path: &Path) -> Result<(), ClusterError> {
        match self {
            Self::Caller | Self::UserNamespace => Ok(()),
            Self::User { user, group } => std::os::unix::fs::chown(path, Some(user), Some(group))
                .map_err(ClusterError::file("change the owner of", path)),
        }
    }

    /// Checks that this user can access the data directory and run the binaries.
    pub(super) fn check_access(self, data_directory: &Path, postgres: &Path) -> Result<(), ClusterError> {
        let Self::User { user, .. } = self else { return Ok(()) };
        for (flag, path) in [("-w", data_directory), ("-x", postgres)] {
            let allowed =
                self.command("test").arg(flag).arg(path).current_dir("/").status().map_err(|source| {
                    ClusterError::Program { program: "test".to_owned(), package: "coreutils", source }
                })?;
            if !allowed.success() {
                return Err(ClusterError::Root {
                    reason: format!(
                        "This system allows no user namespace, and the user with id {user} cannot reach {}",
                        path.display()
                    ),
                });
            }
        }
        Ok(())
    }
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--user").arg(format!("--map-user={NOBODY}")).arg(format!("--map-group={NOBODY}"));
    command
}

fn user_namespaces_work() -> bool {
    let status = unshare().args(["--", "true"]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
