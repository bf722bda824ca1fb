//! A real S3 server that checks signatures.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use socialize::platform::blobs::S3Settings;
use socialize::platform::secret::Secret;
use tempfile::TempDir;

use crate::python_tool;

/// Name of the bucket.
pub const S3_BUCKET: &str = "socialize-files";
/// Id of the access key, and the key.
pub const S3_KEY: (&str, &str) = ("an-access-key", "the-secret-of-the-access-key");

/// A server with an empty bucket.
pub struct S3Server {
    process: Child,
    url: String,
    directory: TempDir,
}

impl S3Server {
    /// Starts a server on a free port.
    pub fn start() -> Self {
        Self::start_with(&[], tempfile::tempdir().expect("a directory"))
    }

    /// Starts a server with additional arguments and its files in this directory.
    pub fn start_with(more: &[&str], directory: TempDir) -> Self {
        fs::create_dir_all(directory.path().join("buckets").join(S3_BUCKET)).expect("a bucket");
        let mut process = Command::new(python_tool("rclone"))
            .args([
                "serve",
                "s3",
                "--addr",
                "127.0.0.1:0",
                "--auth-key",
                &format!("{},{}", S3_KEY.0, S3_KEY.1),
            ])
            .args(["--config", "/dev/null"])
            .args(more)
            .arg(directory.path().join("buckets"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("an S3 server");
        let mut said = String::new();
        let mut lines = BufReader::new(process.stderr.take().expect("its errors"));
        // One line of its output contains its address.
        let url = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).expect("a line") > 0, "it did not start: {said}");
            if let Some((_, rest)) = line.split_once("server on [") {
                break rest.split_once("/]").expect("a URL").0.to_owned();
            }
            said.push_str(&line);
        };
        // Keep reading, because writing to a closed pipe would kill the server.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self { process, url, directory }
    }

    /// Returns the settings that connect to this server.
    pub fn settings(&self) -> S3Settings {
        s3_at(&self.url)
    }

    /// Returns the server's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the objects in the bucket, without the one of the health check.
    pub fn objects(&self) -> Vec<PathBuf> {
        let bucket = self.directory.path().join("buckets").join(S3_BUCKET);
        let entries = |path: &Path| -> Vec<PathBuf> {
            fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
        };
        let directories = entries(&bucket).into_iter().filter(|path| path.is_dir());
        directories.flat_map(|directory| entries(&directory)).collect()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the settings of a bucket at this endpoint.
pub fn s3_at(endpoint: &str) -> S3Settings {
    S3Settings {
        bucket: S3_BUCKET.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.parse().expect("a URL")),
        path_style: true,
        access_key_id: S3_KEY.0.to_owned(),
        secret_access_key: Secret::new(S3_KEY.1),
    }
}
