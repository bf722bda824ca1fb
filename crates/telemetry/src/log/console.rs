//! The thread that writes to standard output and standard error.
//!
//! The other end may be a stopped terminal or a pipe that nobody reads. Only this thread blocks on
//! it, so neither the application nor the log file waits. Lines that exceed the bounded buffer
//! meanwhile are counted as lost.

use std::ffi::c_int;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};

use super::file::write_as_much_as_possible;
use super::pretty::PrettyPrinter;
use super::settings::LogError;
use super::statistics::{LogDropReason, LogSink, LogStatistics, LogVolume};
use crate::buffer_sizes::BUFFER;

/// Maximum bytes that wait for a slow reader.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Buffers that a burst enlarged beyond this size are freed. Normal ones are exchanged with the
/// source's buffers, which have this size.
const RETAINED_BYTES: usize = BUFFER;

/// Requested capacity of a pipe: a whole batch of lines. With the default of 64 KiB this thread
/// would be woken for every piece that the reader takes, which costs more than writing.
const PIPE_BYTES: c_int = BUFFER as c_int;

/// Pause before a full non-blocking output is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Enlarges a pipe to [`PIPE_BYTES`]. Everything also works if that is refused or the output is not
/// a pipe.
pub(super) fn enlarge_pipe(output: impl AsFd) {
    let is_smaller = fcntl(&output, FcntlArg::F_GETPIPE_SZ).is_ok_and(|bytes| bytes < PIPE_BYTES);
    if is_smaller {
        let _ = fcntl(&output, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    }
}

/// Outputs of the process: standard output for lines, if enabled, and standard error for notices.
pub(super) struct ConsoleOutputs {
    pub(super) lines: Option<Box<dyn Write + Send>>,
    pub(super) pretty: Option<PrettyPrinter>,
    pub(super) notices: Box<dyn Write + Send>,
}

#[derive(Default)]
struct Pending {
    lines: Vec<u8>,
    notices: Vec<u8>,
    /// Number of queued buffers so far, and how many of them have been processed.
    handed_over: u64,
    dealt_with: u64,
    is_stopping: bool,
}

struct Shared {
    pending: Mutex<Pending>,
    work: Condvar,
    progress: Condvar,
    statistics: Arc<LogStatistics>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log writer's handle on the thread.
pub(super) struct Console {
    shared: Arc<Shared>,
    thread: ThreadId,
    takes_lines: bool,
}

impl Console {
    pub(super) fn start(outputs: ConsoleOutputs, statistics: Arc<LogStatistics>) -> Result<Self, LogError> {
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
            statistics,
        });
        let takes_lines = outputs.lines.is_some();
        let thread = thread::Builder::new()
            .name("log-console".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || write_until_stopped(outputs, &shared)
            })
            .map_err(|source| LogError::Thread { source })?;
        Ok(Self { shared, thread: thread.thread().id(), takes_lines })
    }

    /// Returns whether log lines go to standard output.
    pub(super) fn takes_lines(&self) -> bool {
        self.takes_lines
    }

    pub(super) fn thread(&self) -> ThreadId {
        self.thread
    }

    /// Queues a few lines for standard output. Never blocks.
    pub(super) fn write(&self, lines: &[u8]) {
        self.hand_over(&mut lines.to_vec());
    }

    /// Queues lines for standard output. Never blocks. The contents of `lines` are unspecified
    /// afterwards.
    pub(super) fn hand_over(&self, lines: &mut Vec<u8>) {
        if !self.takes_lines || lines.is_empty() {
            return;
        }
        let mut pending = self.shared.lock();
        // Accept one burst of any size, because the source bounds it. Lines are lost only if the
        // reader lags behind.
        if !pending.lines.is_empty() && pending.lines.len() + lines.len() > BUFFER_BYTES {
            drop(pending);
            let volume = LogVolume::of(lines);
            self.shared.statistics.add_dropped(LogSink::Stdout, LogDropReason::Blocked, volume);
            return;
        }
        if pending.lines.is_empty() {
            std::mem::swap(&mut pending.lines, lines);
        } else {
            pending.lines.extend_from_slice(lines);
        }
        pending.handed_over += 1;
        self.shared.work.notify_one();
    }

    /// Queues a line for standard error. Never blocks.
    pub(super) fn notice(&self, line: &[u8]) {
        let mut pending = self.shared.lock();
        if pending.notices.len() + line.len() <= RETAINED_BYTES {
            pending.notices.extend_from_slice(line);
            pending.handed_over += 1;
            self.shared.work.notify_one();
        }
    }

    /// Waits until everything queued so far is processed. Returns whether that happened before the
    /// deadline.
    pub(super) fn flush(&self, deadline: Instant) -> bool {
        let mut pending = self.shared.lock();
        let goal = pending.handed_over;
        while pending.dealt_with < goal {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            pending =
                self.shared.progress.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Makes the thread exit after it has written the queue.
    pub(super) fn stop(&self) {
        self.shared.lock().is_stopping = true;
        self.shared.work.notify_one();
    }
}

fn write_until_stopped(mut outputs: ConsoleOutputs, shared: &Shared) {
    let mut lines = Vec::new();
    let mut notices = Vec::new();
    let mut pretty_lines = Vec::new();
    let mut is_mid_line = false;
    loop {
        let handed_over = {
            let mut pending = shared.lock();
            while pending.lines.is_empty() && pending.notices.is_empty() {
                if pending.is_stopping {
                    return;
                }
                pending = shared.work.wait(pending).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut pending.lines, &mut lines);
            std::mem::swap(&mut pending.notices, &mut notices);
            pending.handed_over
        };
        if let Some(output) = outputs.lines.as_mut() {
            let result = match &outputs.pretty {
                Some(printer) => {
                    pretty_lines.clear();
                    printer.render(&lines, &mut pretty_lines);
                    // The offset in the readable text does not tell which lines arrived, so all of
                    // them count as lost.
                    write_all(output, &pretty_lines, &mut is_mid_line).map_err(|(_, error)| (0, error))
                }
                None => write_all(output, &lines, &mut is_mid_line),
            };
            count(&shared.statistics, &lines, result);
        }
        if !notices.is_empty() {
            // A failure here has nowhere left to be reported.
            let _ = write_patiently(&mut outputs.notices, &notices);
        }
        for buffer in [&mut lines, &mut notices, &mut pretty_lines] {
            buffer.clear();
            buffer.shrink_to(RETAINED_BYTES);
        }
        shared.lock().dealt_with = handed_over;
        shared.progress.notify_all();
    }
}

/// Writes the text, after ending a line that an earlier failure truncated. On failure, returns the
/// number of bytes written before it.
fn write_all(output: &mut impl Write, text: &[u8], is_mid_line: &mut bool) -> Result<(), (usize, io::Error)> {
    if *is_mid_line {
        write_patiently(output, b"\n").map_err(|(_, error)| (0, error))?;
        *is_mid_line = false;
    }
    write_patiently(output, text).inspect_err(|(written, _)| {
        *is_mid_line = *written > 0 && text[*written - 1] != b'\n';
    })
}

/// Writes everything, retrying while a non-blocking output is full.
fn write_patiently(output: &mut impl Write, text: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    loop {
        let (count, result) = write_as_much_as_possible(output, &text[written..]);
        written += count;
        match result {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::park_timeout(RETRY_INTERVAL),
            Err(error) => return Err((written, error)),
        }
    }
    output.flush().map_err(|error| (written, error))
}

fn count(statistics: &LogStatistics, lines: &[u8], result: Result<(), (usize, io::Error)>) {
    match result {
        Ok(()) => statistics.add_written(LogSink::Stdout, LogVolume::of(lines)),
        Err((written, error)) => {
            let whole = lines
                .get(..written)
                .and_then(|text| text.iter().rposition(|byte| *byte == b'\n'))
                .map_or(0, |end| end + 1);
            statistics.add_written(LogSink::Stdout, LogVolume::of(&lines[..whole]));
            let reason = LogDropReason::from_io(&error);
            statistics.add_dropped(LogSink::Stdout, reason, LogVolume::of(&lines[whole..]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_become_larger_and_never_smaller() {
        let bytes = |pipe: &io::PipeWriter| fcntl(pipe, FcntlArg::F_GETPIPE_SZ).expect("a pipe has a size");
        let (_reader, writer) = io::pipe().expect("a pipe");
        assert!(bytes(&writer) < PIPE_BYTES, "pipes are small");
        enlarge_pipe(&writer);
        assert_eq!(bytes(&writer), PIPE_BYTES);

        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(2 * PIPE_BYTES)).expect("a larger pipe");
        enlarge_pipe(&writer);
        assert_eq!(bytes(&writer), 2 * PIPE_BYTES);

        enlarge_pipe(tempfile::tempfile().expect("a file"));
    }
}
