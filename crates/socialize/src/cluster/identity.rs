//! The user that Postgres runs as, since it refuses root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::ClusterError;

/// The id that Linux distributions give to `nobody`.
const NOBODY: u32 = 65_534;

/// The user that Postgres runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The user of this process, who is not root.
    Caller,
    /// Root, shown to Postgres as `nobody` by a user namespace. It needs no file to be handed over, and keeps working
    /// below a home directory that only root may enter.
    UserNamespace,
    /// Another user, whom root becomes.
    User {
        /// The user's id.
        user: u32,
        /// The user's group.
        group: u32,
    },
}

impl Identity {
    /// Chooses the user for a cluster, whose directory may not exist yet. Existing data is run by whoever owns it.
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

    /// A command that runs a program as this user. The change of user is part of its program and arguments, so that
    /// they can be passed on to a shell.
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

    /// Hands a file or directory over to this user, where that is another one than root.
    pub(super) fn give(self, path: &Path) -> Result<(), ClusterError> {
        match self {
            Self::Caller | Self::UserNamespace => Ok(()),
            Self::User { user, group } => std::os::unix::fs::chown(path, Some(user), Some(group))
                .map_err(ClusterError::file("change the owner of", path)),
        }
    }

    /// Checks that this user can reach the data directory and run the binaries.
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
