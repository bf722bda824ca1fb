//! The two kinds of stores: a directory and a bucket.

use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::ids::BlobId;
use http::{StatusCode, header};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};
use object_store::local::LocalFileSystem;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetResult, MultipartId, MultipartUpload, ObjectStore,
    ObjectStoreExt, PutPayload, RetryConfig,
};
use telemetry::ErrorType;

use super::error::{BlobError, Result};
use super::settings::{BlobSetupError, BlobStoreSettings, BlobTimeouts, S3Settings};

/// Minimum size of a part in S3, unless it is the last.
const S3_PART: usize = 5 << 20;
/// A directory takes parts of any size; small parts save memory.
const DIRECTORY_PART: usize = 1 << 20;
/// Number of retries after a transient error.
const RETRIES: usize = 2;
/// Object that health checks read.
const HEALTH_CHECK: &str = "health-check";

pub(super) enum Store {
    Directory(Arc<LocalFileSystem>),
    S3(Arc<AmazonS3>),
}

/// An unfinished blob that is stored in parts.
pub struct PartialBlob {
    pub(super) blob: BlobId,
    parts: Parts,
}

enum Parts {
    File(Box<dyn MultipartUpload>),
    S3 { id: MultipartId, done: Vec<PartId> },
}

impl PartialBlob {
    /// The store's id of the multipart upload, if another process has to abort it.
    pub fn parts_id(&self) -> Option<&str> {
        match &self.parts {
            Parts::File(_) => None,
            Parts::S3 { id, .. } => Some(id),
        }
    }
}

impl Store {
    pub(super) fn new(
        settings: BlobStoreSettings,
        timeouts: BlobTimeouts,
    ) -> std::result::Result<Self, BlobSetupError> {
        match settings {
            BlobStoreSettings::Directory(path) => {
                let failed = |error: String| BlobSetupError::Directory { path: path.clone(), error };
                std::fs::create_dir_all(&path).map_err(|error| failed(error.to_string()))?;
                let store =
                    LocalFileSystem::new_with_prefix(&path).map_err(|error| failed(error.to_string()))?;
                // After a power failure a committed row must still have its blob.
                Ok(Self::Directory(Arc::new(store.with_fsync(true))))
            }
            BlobStoreSettings::S3(settings) => {
                let store = s3(&settings, timeouts).map_err(|error| BlobSetupError::S3(error.to_string()))?;
                Ok(Self::S3(Arc::new(store)))
            }
        }
    }

    pub(super) fn part_size(&self) -> usize {
        match self {
            Self::Directory(_) => DIRECTORY_PART,
            Self::S3(_) => S3_PART,
        }
    }

    fn objects(&self) -> &dyn ObjectStore {
        match self {
            Self::Directory(store) => store.as_ref(),
            Self::S3(store) => store.as_ref(),
        }
    }

    pub(super) async fn put(&self, blob: BlobId, content: Bytes) -> Result<()> {
        self.objects().put(&key(blob), PutPayload::from(content)).await.map_err(storing)?;
        Ok(())
    }

    pub(super) async fn begin_parts(&self, blob: BlobId) -> Result<PartialBlob> {
        let parts = match self {
            Self::Directory(store) => Parts::File(store.put_multipart(&key(blob)).await.map_err(storing)?),
            Self::S3(store) => {
                Parts::S3 { id: store.create_multipart(&key(blob)).await.map_err(storing)?, done: Vec::new() }
            }
        };
        Ok(PartialBlob { blob, parts })
    }

    pub(super) async fn put_part(&self, partial: &mut PartialBlob, content: Bytes) -> Result<()> {
        let content = PutPayload::from(content);
        match (self, &mut partial.parts) {
            (_, Parts::File(upload)) => upload.put_part(content).await.map_err(storing)?,
            (Self::S3(store), Parts::S3 { id, done }) => {
                let part = store.put_part(&key(partial.blob), id, done.len(), content).await;
                done.push(part.map_err(storing)?);
            }
            (Self::Directory(_), Parts::S3 { .. }) => return Err(BlobError(ErrorType::Internal)),
        }
        Ok(())
    }

    pub(super) async fn complete_parts(&self, partial: PartialBlob) -> Result<()> {
        match (self, partial.parts) {
            (_, Parts::File(mut upload)) => upload.complete().await.map_err(storing)?,
            (Self::S3(store), Parts::S3 { id, done }) => {
                store.complete_multipart(&key(partial.blob), &id, done).await.map_err(storing)?
            }
            (Self::Directory(_), Parts::S3 { .. }) => return Err(BlobError(ErrorType::Internal)),
        };
        Ok(())
    }

    pub(super) async fn abort_parts(&self, blob: BlobId, parts_id: &str) -> Result<()> {
        let Self::S3(store) = self else { return Ok(()) };
        match store.abort_multipart(&key(blob), &parts_id.to_owned()).await {
            // They were completed or aborted before.
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn get(&self, blob: BlobId, size: u64, range: Option<Range<u64>>) -> Result<GetResult> {
        let options = GetOptions { range: range.map(Into::into), ..GetOptions::default() };
        let found = self.objects().get_opts(&key(blob), options).await?;
        if found.meta.size == size { Ok(found) } else { Err(BlobError(ErrorType::InvalidData)) }
    }

    pub(super) async fn delete(&self, blob: BlobId) -> Result<()> {
        match self.objects().delete(&key(blob)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let Self::Directory(store) = self else { return Ok(()) };
        // Temporary file of the library, which a killed process leaves behind.
        let mut unfinished = store.path_to_filesystem(&key(blob))?.into_os_string();
        unfinished.push("#1");
        match tokio::fs::remove_file(unfinished).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(BlobError(ErrorType::from_io(&error))),
            _ => Ok(()),
        }
    }

    /// Reads a small object, and stores it if it is missing. That is the cheapest request that verifies
    /// bucket, key and signature. A directory is written to every time, because a disk can be full.
    pub(super) async fn check(&self) -> Result<()> {
        let path = Path::from(HEALTH_CHECK);
        if let Self::S3(store) = self {
            match store.get(&path).await {
                Ok(found) => return found.bytes().await.map(drop).map_err(BlobError::from),
                // Without permission to list a bucket, a missing object is reported as denied.
                Err(object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.objects().put(&path, PutPayload::from_static(b"ok")).await?;
        Ok(())
    }
}

/// A "not found" while storing means the bucket, the directory or the parts.
fn storing(error: object_store::Error) -> BlobError {
    match BlobError::from(error) {
        BlobError(ErrorType::NotFound) => BlobError(ErrorType::Rejected),
        other => other,
    }
}

/// Version 7 UUIDs begin with the time, so their last characters distribute files evenly over directories.
fn key(blob: BlobId) -> Path {
    let id = blob.to_string();
    Path::from(format!("{}/{id}", &id[id.len() - 2..]))
}

fn s3(settings: &S3Settings, timeouts: BlobTimeouts) -> object_store::Result<AmazonS3> {
    let first_pause = Duration::from_millis(100);
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: first_pause, max_backoff: 10 * first_pause, base: 2.0 },
        max_retries: RETRIES,
        retry_timeout: timeouts.response,
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_access_key_id(&settings.access_key_id)
        .with_secret_access_key(settings.secret_access_key.expose())
        .with_virtual_hosted_style_request(!settings.path_style)
        // Unencrypted endpoints were rejected when the settings were checked.
        .with_allow_http(true)
        // Deletes one blob at a time, which every server supports.
        .with_disable_bulk_delete(true)
        .with_retry(retry)
        .with_http_connector(Connector { timeouts });
    if let Some(endpoint) = &settings.endpoint {
        let mut endpoint = endpoint.clone();
        // The library expects the bucket in the host name.
        if let (false, Some(host)) = (settings.path_style, endpoint.host_str()) {
            let host = format!("{}.{host}", settings.bucket);
            let failed = |error| object_store::Error::Generic { store: "S3", source: Box::new(error) };
            endpoint.set_host(Some(&host)).map_err(failed)?;
        }
        builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
    }
    builder.build()
}

/// Builds the HTTP client with the configured timeouts. The platform's trust store verifies certificates.
#[derive(Debug)]
struct Connector {
    timeouts: BlobTimeouts,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .connect_timeout(self.timeouts.connect)
            .read_timeout(self.timeouts.put)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
        Ok(HttpClient::new(Service(client)))
    }
}

#[derive(Debug)]
struct Service(reqwest::Client);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let mut response = self.0.call(request).await?;
        // Some servers return the requested range with status 200.
        if response.status() == StatusCode::OK && response.headers().contains_key(header::CONTENT_RANGE) {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::secret::Secret;

    #[test]
    fn a_bucket_is_named_by_the_host_or_by_the_path() {
        // As in main; fails if another test has installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = |endpoint: Option<&str>, path_style| S3Settings {
            bucket: "files".to_owned(),
            region: "eu-central-1".to_owned(),
            endpoint: endpoint.map(|url| url.parse().expect("a URL")),
            path_style,
            access_key_id: "id".to_owned(),
            secret_access_key: Secret::new("key"),
        };
        for (endpoint, path_style, expected) in [
            (None, false, "https://files.s3.eu-central-1.amazonaws.com"),
            (None, true, "https://s3.eu-central-1.amazonaws.com/files"),
            (Some("https://minio.example.com:9000"), true, "https://minio.example.com:9000/files"),
            (Some("https://minio.example.com:9000"), false, "https://files.minio.example.com:9000"),
        ] {
            let store = s3(&settings(endpoint, path_style), BlobTimeouts::default()).expect("a store");
            let shown = format!("{store:?}");
            assert!(shown.contains(&format!("\"{expected}\"")), "{expected} is not in {shown}");
        }
    }

    #[test]
    fn blobs_made_at_the_same_time_go_into_different_directories() {
        let blob = "018f3f5e-7c1a-7b3a-9d2e-0123456789ab".parse().expect("an id");
        assert_eq!(key(blob).to_string(), "ab/018f3f5e-7c1a-7b3a-9d2e-0123456789ab");
    }
}
