//! Settings of the store.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::platform::secret::Secret;

/// Location of blobs, and limits of uploads.
#[derive(Clone)]
pub struct BlobSettings {
    pub store: BlobStoreSettings,
    /// Maximum number of concurrent uploads; each needs memory for one part. A user may have a quarter of
    /// them, an organization half.
    pub uploads_at_once: usize,
    pub timeouts: BlobTimeouts,
}

#[derive(Clone)]
pub enum BlobStoreSettings {
    /// A directory, created if it does not exist.
    Directory(PathBuf),
    S3(S3Settings),
}

/// Connection settings of a bucket.
#[derive(Clone)]
pub struct S3Settings {
    pub bucket: String,
    /// Region, which is part of the signature.
    pub region: String,
    /// URL of the server, if it is not Amazon's.
    pub endpoint: Option<Url>,
    /// True if the bucket is in the path instead of the host name.
    pub path_style: bool,
    pub access_key_id: String,
    pub secret_access_key: Secret,
}

/// Maximum duration of each stage of an operation.
#[derive(Clone, Copy, Debug)]
pub struct BlobTimeouts {
    /// TCP connection and TLS handshake.
    pub connect: Duration,
    /// A response without content, and each further piece of a download.
    pub response: Duration,
    /// Upload of one part.
    pub put: Duration,
}

impl Default for BlobTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(10),
            put: Duration::from_secs(30),
        }
    }
}

/// Reasons why the store cannot be set up, for the operator at startup.
#[derive(Debug, thiserror::Error)]
pub enum BlobSetupError {
    #[error("the directory of uploaded files {path} cannot be used: {error}", path = path.display())]
    Directory { path: PathBuf, error: String },
    /// The settings of the bucket are unusable.
    #[error("the S3 bucket cannot be prepared: {0}")]
    S3(String),
}
