//! A directory that stands for a mail server: for the demo and for trying things out.

use std::path::{Path, PathBuf};

use domain::ids::JobId;
use telemetry::ErrorType;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::MailSetupError;
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

    /// Writes one e-mail under the name of its job, so that a repeated delivery replaces the first one. It appears whole or
    /// not at all: readers look for `.eml`.
    pub(super) async fn write(&self, job: JobId, message: &[u8]) -> Result<(), Undelivered> {
        let unfinished = self.unfinished();
        let written = write_and_rename(&unfinished, &self.path.join(format!("{job}.eml")), message).await;
        if written.is_err() {
            let _ = fs::remove_file(&unfinished).await;
        }
        let failure = |error| Undelivered::new(Fault::Ours, Prospect::Passing, ErrorType::from_io(&error));
        written.map_err(failure)
    }

    /// Whether a file can be written.
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

async fn write_and_rename(unfinished: &Path, finished: &Path, message: &[u8]) -> std::io::Result<()> {
    let mut file = fs::File::create(unfinished).await?;
    file.write_all(message).await?;
    file.sync_all().await?;
    drop(file);
    fs::rename(unfinished, finished).await
}
