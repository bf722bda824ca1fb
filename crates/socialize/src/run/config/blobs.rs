//! Settings of uploaded files.

use std::path::PathBuf;

use clap::Args;
use url::{Host, Url};

use super::check::Mistakes;
use crate::platform::blobs::{BlobSettings, BlobStoreSettings, BlobTimeouts, S3Settings};
use crate::platform::settings::boolean;

const DIRECTORY: &str = "SOCIALIZE_BLOBS_DIRECTORY";
const BUCKET: &str = "SOCIALIZE_S3_BUCKET";
const ENDPOINT: &str = "SOCIALIZE_S3_ENDPOINT";
const ACCESS_KEY_ID: &str = "SOCIALIZE_S3_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "SOCIALIZE_S3_SECRET_ACCESS_KEY";

const DEFAULT_DIRECTORY: &str = "blobs";
const DEFAULT_REGION: &str = "us-east-1";

/// Settings of uploaded files, as they are given.
#[derive(Args)]
pub(super) struct BlobArguments {
    /// Directory of uploaded files, unless an S3 bucket is used. All processes must share it
    /// [default: blobs, below the working directory]
    #[arg(long, value_name = "DIRECTORY", env = "SOCIALIZE_BLOBS_DIRECTORY")]
    blobs_directory: Option<String>,
    /// S3 bucket of uploaded files
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_S3_BUCKET")]
    s3_bucket: Option<String>,
    /// URL of the S3 server; must use https unless it is on this machine [default: Amazon's]
    #[arg(long, value_name = "URL", env = "SOCIALIZE_S3_ENDPOINT")]
    s3_endpoint: Option<String>,
    /// Region in the signature of S3 requests [default: us-east-1]
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_S3_REGION")]
    s3_region: Option<String>,
    /// Put the bucket into the path instead of the host name: true or false [default: true with an
    /// endpoint, else false]
    #[arg(long, value_name = "BOOL", env = "SOCIALIZE_S3_PATH_STYLE", value_parser = boolean)]
    s3_path_style: Option<bool>,
    /// Id of the S3 access key
    #[arg(long, value_name = "ID", env = "SOCIALIZE_S3_ACCESS_KEY_ID")]
    s3_access_key_id: Option<String>,
    /// File with the secret S3 access key. The key itself may be given in
    /// SOCIALIZE_S3_SECRET_ACCESS_KEY instead
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_S3_SECRET_ACCESS_KEY_FILE")]
    s3_secret_access_key_file: Option<String>,
}

/// Checks the settings. `secret_access_key` is the one from the environment.
pub(super) fn blobs(
    mistakes: &mut Mistakes,
    arguments: &BlobArguments,
    uploads_at_once: usize,
    secret_access_key: Option<String>,
) -> Option<BlobSettings> {
    let store = match (&arguments.s3_bucket, &arguments.blobs_directory) {
        (Some(bucket), None) => s3(mistakes, arguments, bucket, secret_access_key).map(BlobStoreSettings::S3),
        (Some(_), Some(_)) => {
            mistakes.add(BUCKET, format!("is given as well as {DIRECTORY}: remove one of them"));
            None
        }
        (None, directory) => {
            without_bucket(mistakes, arguments, secret_access_key.is_some());
            let directory = directory.as_deref().unwrap_or(DEFAULT_DIRECTORY);
            if directory.is_empty() {
                mistakes.add(DIRECTORY, "is empty; it names a directory such as /var/lib/socialize/blobs");
            }
            Some(BlobStoreSettings::Directory(PathBuf::from(directory)))
        }
    };
    let timeouts = BlobTimeouts::default();
    store.map(|store| BlobSettings { store, uploads_at_once, timeouts })
}

/// Reports settings that only apply to a bucket but are given without one.
fn without_bucket(mistakes: &mut Mistakes, arguments: &BlobArguments, has_secret_access_key: bool) {
    for (setting, is_given) in [
        (ENDPOINT, arguments.s3_endpoint.is_some()),
        ("SOCIALIZE_S3_REGION", arguments.s3_region.is_some()),
        ("SOCIALIZE_S3_PATH_STYLE", arguments.s3_path_style.is_some()),
        (ACCESS_KEY_ID, arguments.s3_access_key_id.is_some()),
        (SECRET_ACCESS_KEY, has_secret_access_key || arguments.s3_secret_access_key_file.is_some()),
    ] {
        if is_given {
            mistakes.add(setting, format!("has no effect without {BUCKET}"));
        }
    }
}

fn s3(
    mistakes: &mut Mistakes,
    arguments: &BlobArguments,
    bucket: &str,
    secret_access_key: Option<String>,
) -> Option<S3Settings> {
    if !is_bucket(bucket) {
        let right = "is not the name of a bucket: 3 to 63 lower-case letters, digits, hyphens and dots";
        mistakes.add(BUCKET, right);
    }
    let secret_access_key = mistakes.secret(
        SECRET_ACCESS_KEY,
        secret_access_key.as_deref(),
        arguments.s3_secret_access_key_file.as_deref(),
    );
    if secret_access_key.is_none() && arguments.s3_secret_access_key_file.is_none() {
        mistakes.add(SECRET_ACCESS_KEY, format!("is required where {BUCKET} is given"));
    }
    if arguments.s3_access_key_id.is_none() {
        mistakes.add(ACCESS_KEY_ID, format!("is required where {BUCKET} is given"));
    }
    let endpoint = arguments.s3_endpoint.as_deref().and_then(|text| {
        let endpoint = endpoint(text);
        if let Err(problem) = &endpoint {
            mistakes.add(ENDPOINT, problem);
        }
        endpoint.ok()
    });
    Some(S3Settings {
        bucket: bucket.to_owned(),
        region: arguments.s3_region.clone().unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        endpoint,
        path_style: arguments.s3_path_style.unwrap_or(arguments.s3_endpoint.is_some()),
        access_key_id: arguments.s3_access_key_id.clone()?,
        secret_access_key: secret_access_key?,
    })
}

fn is_bucket(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (3..=63).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Parses the endpoint. A problem does not quote the value, which may contain a key.
fn endpoint(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or("is not a URL such as https://minio.example.com")?;
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_bare {
        return Err(
            "must be a URL without path, query, name and password, such as https://minio.example.com",
        );
    }
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "http" && !is_loopback {
        return Err("must be https: only a server on this machine may be asked without encryption");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_travel_encrypted_unless_they_stay_on_the_machine() {
        for right in [
            "https://minio.example.com",
            "https://minio.example.com:9000/",
            "http://127.0.0.1:9000",
            "http://[::1]:9000",
            "http://localhost",
        ] {
            assert!(endpoint(right).is_ok(), "{right}");
        }
        for wrong in [
            "minio.example.com",
            "ftp://minio.example.com",
            "http://minio.example.com",
            "http://10.0.0.1:9000",
            "http://localhost.example.com",
            "https://name:password@minio.example.com",
            "https://minio.example.com/bucket",
            "https://minio.example.com?bucket",
            "",
        ] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn buckets_have_names_of_their_own_kind() {
        assert!(is_bucket("socialize-files.2026"));
        for wrong in ["ab", "Socialize", "socialize_files", "socialize/files", ""] {
            assert!(!is_bucket(wrong), "{wrong}");
        }
    }
}
