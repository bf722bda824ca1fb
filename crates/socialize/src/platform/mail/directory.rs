//! A directory instead of a mail server, for the demo and for experiments.

use std::path::{Path, PathBuf};

use domain::ids::JobId;
use mail_parser::MessageParser;
use telemetry::ErrorType;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::settings::MailSetupError;
use super::undelivered::{Fault, Prospect, Undelivered};

pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(super) fn create(path: PathBuf) -> Result<Self, MailSetupError> {
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(Self { path }),
            Err(error) => Err(MailSetupError::Directory { path, error }),
        }
    }

    /// Writes one e-mail under the name of its job, so that a repeated delivery replaces the first
    /// one. The file appears atomically, because readers look for `.eml`.
    pub(super) async fn write(&self, job: JobId, message: &[u8]) -> Result<(), Undelivered> {
        let unfinished = self.unfinished();
        let written = write_and_rename(&unfinished, &self.path.join(format!("{job}.eml")), message).await;
        if written.is_err() {
            let _ = fs::remove_file(&unfinished).await;
        }
        let failure = |error| Undelivered::new(Fault::Ours, Prospect::Passing, ErrorType::from_io(&error));
        written.map_err(failure)
    }

    /// Deletes the e-mails that name a person.
    pub(super) async fn forget(&self, address: &str, name: &str) {
        let (path, address, name) = (self.path.clone(), address.to_owned(), name.to_owned());
        // Reading many files takes a while.
        let _ = tokio::task::spawn_blocking(move || forget_in(&path, &address, &name)).await;
    }

    /// Checks whether a file can be written.
    pub(super) async fn check(&self) -> Result<(), ErrorType> {
        let probe = self.unfinished();
        let written = fs::write(&probe, b"").await;
        let removed = fs::remove_file(&probe).await;
        written.and(removed).map_err(|error| ErrorType::from_io(&error))
    }

    fn unfinished(&self) -> PathBuf {
        self.path.join(format!(".{}.unfinished", Uuid::new_v4()))
    }
}

/// Deletes e-mails in a directory that were sent to the address, contain it, or name the person as
/// the inviter. Returns how many were deleted. Unreadable files are left alone.
pub fn forget_in(directory: &Path, address: &str, name: &str) -> usize {
    let invited_by = format!("> Invited by: {name}");
    let names_person = |bytes: &[u8]| {
        let Some(message) = MessageParser::new().parse(bytes) else { return false };
        let to = message.to().and_then(|to| to.first()).and_then(|to| to.address());
        let text = message.body_text(0).unwrap_or_default();
        let is_inviter = !name.is_empty() && text.lines().any(|line| line.trim_end() == invited_by);
        to.is_some_and(|to| to.eq_ignore_ascii_case(address)) || text.contains(address) || is_inviter
    };
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let emails = files.filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
    let named = emails.filter(|path| std::fs::read(path).is_ok_and(|bytes| names_person(&bytes)));
    named.filter(|path| std::fs::remove_file(path).is_ok()).count()
}

async fn write_and_rename(unfinished: &Path, finished: &Path, message: &[u8]) -> std::io::Result<()> {
    // E-mails contain links that log in.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished).await?;
    file.write_all(message).await?;
    file.sync_all().await?;
    drop(file);
    fs::rename(unfinished, finished).await
}
