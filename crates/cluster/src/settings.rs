//! Settings of a cluster.

use std::path::PathBuf;

/// Data that a crash of the machine may destroy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// None: an acknowledged commit is on the disk.
    Full,
    /// The whole cluster. Tests run about ten times faster, and their data is disposable.
    TestsOnly,
}

/// Location, binaries and durability of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// The directory of the cluster, its password, its log and its lock. It is created if
    /// necessary.
    pub data_directory: PathBuf,
    /// The directory with `postgres` and `initdb`. Without it,
    /// [`Installation::find`](crate::Installation::find) searches for them.
    pub binaries: Option<PathBuf>,
    /// Directory of binaries from the npm package, which several clusters can share.
    pub downloads: PathBuf,
    /// Data that a crash of the machine may destroy.
    pub durability: Durability,
}

impl ClusterSettings {
    /// Returns settings of a durable cluster whose binaries are searched for and, if necessary,
    /// downloaded into the data directory.
    pub fn new(data_directory: impl Into<PathBuf>) -> Self {
        let data_directory = data_directory.into();
        let downloads = data_directory.join("downloads");
        Self { data_directory, binaries: None, downloads, durability: Durability::Full }
    }
}
