//! Files of a process are private to its user, except log files, which the collector's group can read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use http::Method;
use serde_json::json;
use test_support::TestDatabase;
use test_support::process::{Launch, User, eventually, read};

/// Every file below a directory, with its permissions.
fn files(directory: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, metadata) = (entry.path(), entry.metadata().expect("metadata"));
        if metadata.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path, metadata.permissions().mode() & 0o777));
        }
    }
    found
}

#[tokio::test]
async fn e_mails_and_uploads_can_be_read_by_their_owner_only() {
    let database = TestDatabase::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (blobs, emails) = (directory.path().join("blobs"), directory.path().join("emails"));
    let log = directory.path().join("log/api.jsonl");
    let process = Launch::serve(database.url())
        .variable("SOCIALIZE_BLOBS_DIRECTORY", &blobs)
        .variable("SOCIALIZE_MAIL_DIRECTORY", &emails)
        .variable("SOCIALIZE_LOG_FILE", &log)
        .start_ready()
        .await;
    let user = User::insert(database.pool()).await;
    let report = json!({"kind": "bug", "body": "It broke."});
    let report =
        process.call(Method::POST, "/v1/feedback-reports", &[user.header()], &report).await.expect(201);
    let url = format!("http://{}/v1/feedback-reports/{}/screenshot", process.public(), report.text("id"));
    let (name, value) = user.header();
    let upload =
        process.client().put(url).header(name, value).body(&b"\x89PNG\r\n\x1a\n and so on"[..]).send().await;
    read(upload.expect("an answer")).await.expect(200);
    let registration =
        json!({"email": "ada@example.com", "display_name": "Ada", "password": "correct horse battery"});
    process.call(Method::POST, "/v1/auth/register", &[], &registration).await.expect(202);
    let emails = eventually("an e-mail", async || {
        let files = files(&emails);
        files.iter().any(|(path, _)| path.extension().is_some_and(|name| name == "eml")).then_some(files)
    })
    .await;
    let blobs = files(&blobs);
    assert!(!blobs.is_empty());
    for (path, mode) in emails.iter().chain(&blobs) {
        assert_eq!(*mode, 0o600, "{}", path.display());
    }
    let logs = files(log.parent().expect("a directory"));
    assert!(!logs.is_empty() && logs.iter().all(|(_, mode)| *mode == 0o640), "{logs:?}");
    let mode = std::fs::metadata(log.parent().expect("a directory")).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o750);
}
