//! Ownership of the data directory.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep};

/// Pause between two attempts to lock the directory.
const PAUSE: Duration = Duration::from_millis(50);

/// Lock on a data directory, so that two consoles do not write the same files. The kernel releases it when
/// the process ends, also after a crash.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Locks the directory, which is created if it is missing. Waits for another console to end, at most
    /// for `patience`.
    ///
    /// # Errors
    /// Fails if the directory cannot be used, or if another console still uses it. The message names that
    /// process.
    pub(crate) async fn acquire(directory: &Path, patience: Duration) -> anyhow::Result<Self> {
        let problem = || format!("the data directory {} cannot be used", directory.display());
        DirBuilder::new().recursive(true).mode(0o750).create(directory).with_context(problem)?;
        let path = directory.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o640);
        let mut file = options.open(&path).with_context(problem)?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(PAUSE).await,
                Err(TryLockError::WouldBlock) => bail!(
                    "the data directory {} is in use by {}. Stop that console, or choose another directory with \
                     SOCIALIZE_CONSOLE_DATA",
                    directory.display(),
                    holder(&path)
                ),
                Err(TryLockError::Error(error)) => return Err(error).with_context(problem),
            }
        }
        let note = format!("process {}", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(note.as_bytes()))
            .with_context(problem)?;
        Ok(Self { _file: file })
    }
}

/// Returns the process id in the lock file.
fn holder(path: &Path) -> String {
    let mut note = String::new();
    let read = File::open(path).and_then(|file| file.take(100).read_to_string(&mut note));
    match read {
        Ok(bytes) if bytes > 0 => note,
        _ => "another console".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_second_console_is_refused_and_told_who_uses_the_directory() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("console");
        let lock = DirectoryLock::acquire(&directory, Duration::ZERO).await.unwrap();
        let refused = DirectoryLock::acquire(&directory, Duration::ZERO).await.unwrap_err().to_string();
        let user = format!("is in use by process {}.", std::process::id());
        assert!(refused.contains(&user) && refused.contains("SOCIALIZE_CONSOLE_DATA"), "{refused}");
        drop(lock);
        DirectoryLock::acquire(&directory, Duration::ZERO).await.unwrap();
    }

    #[tokio::test]
    async fn a_console_that_ends_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::acquire(directory.path(), Duration::ZERO).await.unwrap();
        let waiting = DirectoryLock::acquire(directory.path(), Duration::from_secs(60));
        let ending = async {
            tokio::task::yield_now().await;
            drop(lock);
        };
        let (acquired, ()) = tokio::join!(waiting, ending);
        acquired.unwrap();
    }

    #[tokio::test]
    async fn a_path_that_is_a_file_is_explained() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("console");
        fs::write(&path, "").unwrap();
        let problem = DirectoryLock::acquire(&path, Duration::ZERO).await.unwrap_err().to_string();
        assert!(
            problem.starts_with("the data directory") && problem.ends_with("cannot be used"),
            "{problem}"
        );
    }
}
