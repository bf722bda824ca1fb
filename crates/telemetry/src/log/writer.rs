//! The thread that takes finished log lines out of the application's buffers and writes them.
//!
//! Code that logs only appends to a buffer. Everything slow or fallible happens here. A full disk,
//! a hanging file system or a closed standard output costs lost lines, which are counted, and never
//! the application's time.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

use signal::ClosedSet;

use super::Level;
use super::console::{Console, ConsoleOutputs, enlarge_pipe};
use super::file::RotatingFile;
use super::line;
use super::pretty::PrettyPrinter;
use super::settings::{LogError, LogFormat, LogSettings};
use super::statistics::{LogDropReason, LogSink, LogStatistics};

/// Maximum time that dropping a [`LogWriter`] waits for the last lines.
const DROP_DEADLINE: Duration = Duration::from_secs(1);

/// Minimum time between two notices about lost lines.
const NOTICE_INTERVAL: Duration = Duration::from_secs(60);

/// A source of finished lines, such as the application's buffers.
pub trait LogSource: Send + Sync {
    /// Passes everything pending to `write`, in pieces of whole lines, including newlines. `write`
    /// may keep a piece and leave another buffer in its place. `spare` is a buffer from an earlier
    /// call that the source may reuse.
    fn take(&self, spare: &mut Vec<u8>, write: &mut dyn FnMut(&mut Vec<u8>));

    /// Returns the end of every line, which closes the object.
    fn line_end(&self) -> &[u8] {
        b"}\n"
    }
}

#[derive(Default)]
struct FlushProgress {
    /// The last flush request whose lines have all been taken from the source and written or queued.
    completed: Mutex<u64>,
    changed: Condvar,
}

/// Larger than every flush request: the writer has stopped and takes no more lines.
const STOPPED: u64 = u64::MAX;

impl FlushProgress {
    fn advance_to(&self, request: u64) {
        *self.completed.lock().unwrap_or_else(PoisonError::into_inner) = request;
        self.changed.notify_all();
    }

    /// Returns whether the request was completed before the deadline.
    fn wait_for(&self, request: u64, deadline: Instant) -> bool {
        let mut completed = self.completed.lock().unwrap_or_else(PoisonError::into_inner);
        while *completed < request {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            completed = self.changed.wait_timeout(completed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

struct Shared {
    console: Console,
    statistics: Arc<LogStatistics>,
    flushes_requested: AtomicU64,
    flush_progress: FlushProgress,
    is_stopping: AtomicBool,
    is_file_moved: AtomicBool,
}

/// The running writer. Dropping it writes pending lines for at most a second.
pub struct LogWriter {
    handle: LogWriterHandle,
    is_stopped: bool,
}

/// Wakes and flushes the writer from any thread.
#[derive(Clone)]
pub struct LogWriterHandle {
    shared: Arc<Shared>,
    thread: Thread,
}

impl LogWriter {
    /// Starts a writer that takes lines from `source` and writes them to the destinations in
    /// `settings`.
    pub fn start(settings: LogSettings, source: Arc<dyn LogSource>) -> Result<Self, LogError> {
        let lines: Option<Box<dyn Write + Send>> = match settings.stdout {
            // The standard library's handle buffers, and would keep half a line after a failed
            // write.
            Some(_) => {
                let stdout = io::stdout().as_fd().try_clone_to_owned();
                let stdout = stdout.map_err(|source| LogError::Stdout { source })?;
                enlarge_pipe(&stdout);
                Some(Box::new(std::fs::File::from(stdout)))
            }
            None => None,
        };
        Self::start_with_outputs(settings, source, lines, Box::new(io::stderr()))
    }

    /// Like [`start`](Self::start), with other outputs instead of standard output and standard
    /// error.
    pub fn start_with_outputs(
        settings: LogSettings,
        source: Arc<dyn LogSource>,
        stdout: Option<Box<dyn Write + Send>>,
        stderr: Box<dyn Write + Send>,
    ) -> Result<Self, LogError> {
        let file = settings.file.map(RotatingFile::open).transpose()?;
        let statistics = Arc::new(LogStatistics::default());
        let pretty = match settings.stdout {
            Some(LogFormat::Pretty { color }) => Some(PrettyPrinter::new(color)),
            _ => None,
        };
        let outputs = ConsoleOutputs { lines: stdout, pretty, notices: stderr };
        let shared = Arc::new(Shared {
            console: Console::start(outputs, Arc::clone(&statistics))?,
            statistics,
            flushes_requested: AtomicU64::new(0),
            flush_progress: FlushProgress::default(),
            is_stopping: AtomicBool::new(false),
            is_file_moved: AtomicBool::new(false),
        });
        let mut writing = Writing {
            source,
            file,
            shared: Arc::clone(&shared),
            spare: Vec::new(),
            reports: [LossReport::default(); LogSink::ALL.len()],
        };
        let interval = settings.interval;
        let thread = thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writing.write_until_stopped(interval))
            .map_err(|source| LogError::Thread { source })?;
        let handle = LogWriterHandle { shared, thread: thread.thread().clone() };
        Ok(Self { handle, is_stopped: false })
    }

    /// Returns a handle for the code that produces lines.
    pub fn handle(&self) -> LogWriterHandle {
        self.handle.clone()
    }

    /// Wakes the writer; see [`LogWriterHandle::wake`].
    pub fn wake(&self) {
        self.handle.wake();
    }

    /// Flushes the writer; see [`LogWriterHandle::flush`].
    pub fn flush(&self, deadline: Instant) -> bool {
        self.handle.flush(deadline)
    }

    /// Returns the counts of lines written and lost.
    pub fn statistics(&self) -> Arc<LogStatistics> {
        self.handle.statistics()
    }

    /// Writes everything pending and stops the threads. Returns whether that happened before the
    /// deadline. A thread that still waits for a reader or a disk is left behind.
    pub fn shutdown(mut self, deadline: Instant) -> bool {
        self.stop(deadline)
    }

    fn stop(&mut self, deadline: Instant) -> bool {
        if self.is_stopped {
            return true;
        }
        self.is_stopped = true;
        let shared = &self.handle.shared;
        shared.is_stopping.store(true, Ordering::Release);
        self.handle.wake();
        let is_done = shared.flush_progress.wait_for(STOPPED, deadline) && shared.console.flush(deadline);
        shared.console.stop();
        is_done
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.stop(Instant::now() + DROP_DEADLINE);
    }
}

impl LogWriterHandle {
    /// Wakes the writer before its interval is over. Producers call it when much is pending, and
    /// after a line of level error or above.
    #[inline]
    pub fn wake(&self) {
        self.thread.unpark();
    }

    /// Makes the writer reopen the log file by its path, after the file was moved. Pending lines go
    /// into the new file.
    pub fn reopen_file(&self) {
        self.shared.is_file_moved.store(true, Ordering::Release);
        self.wake();
    }

    /// Waits until every line that the source holds now is written or counted as lost, but not
    /// beyond the deadline.
    ///
    /// Returns whether that happened in time, and `false` if the writer has stopped.
    pub fn flush(&self, deadline: Instant) -> bool {
        // The writing threads call this when they panic, and would wait for themselves forever.
        let this_thread = thread::current().id();
        if this_thread == self.thread.id()
            || this_thread == self.shared.console.thread()
            || self.shared.is_stopping.load(Ordering::Acquire)
        {
            return false;
        }
        let request = self.shared.flushes_requested.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake();
        self.shared.flush_progress.wait_for(request, deadline) && self.shared.console.flush(deadline)
    }

    /// Returns the counts of lines written and lost.
    pub fn statistics(&self) -> Arc<LogStatistics> {
        Arc::clone(&self.shared.statistics)
    }
}

/// Losses of one sink: the last known totals, and the totals already reported.
#[derive(Clone, Copy, Default)]
struct LossReport {
    seen: [u64; LogDropReason::ALL.len()],
    written_seen: u64,
    reported: u64,
    reported_at: Option<Instant>,
    newest_reason: Option<LogDropReason>,
    /// True if a loss was reported but not yet its end.
    owes_recovery: bool,
}

struct Writing {
    source: Arc<dyn LogSource>,
    file: Option<RotatingFile>,
    shared: Arc<Shared>,
    spare: Vec<u8>,
    reports: [LossReport; LogSink::ALL.len()],
}

impl Writing {
    fn write_until_stopped(&mut self, interval: Duration) {
        loop {
            let is_stopping = self.shared.is_stopping.load(Ordering::Acquire);
            let requested = self.shared.flushes_requested.load(Ordering::Acquire);
            if self.shared.is_file_moved.swap(false, Ordering::AcqRel)
                && let Some(file) = &mut self.file
            {
                file.reopen();
            }
            // Keep writing lines after a defect in the source or here; the panic itself is counted.
            if catch_unwind(AssertUnwindSafe(|| self.write_pending())).is_err() {
                self.shared.statistics.add_writer_panic();
            }
            if is_stopping {
                // Close the file before reporting the stop, so that a successor can open it.
                self.file = None;
                self.shared.flush_progress.advance_to(STOPPED);
                return;
            }
            self.shared.flush_progress.advance_to(requested);
            thread::park_timeout(interval);
        }
    }

    fn write_pending(&mut self) {
        let (source, mut spare) = (Arc::clone(&self.source), std::mem::take(&mut self.spare));
        source.take(&mut spare, &mut |lines| self.write(lines));
        self.spare = spare;
        for sink in LogSink::ALL {
            self.report_losses(*sink);
        }
    }

    fn write(&mut self, lines: &mut Vec<u8>) {
        if lines.last().is_some_and(|byte| *byte != b'\n') {
            lines.push(b'\n');
        }
        if let Some(file) = &mut self.file {
            file.write(lines, &self.shared.statistics);
        }
        self.shared.console.hand_over(lines);
    }

    /// Reports to the operator, at most once a minute, that a sink loses lines. Once the sink works
    /// again, writes the number of lost lines to it.
    fn report_losses(&mut self, sink: LogSink) {
        let statistics = &self.shared.statistics;
        let report = &mut self.reports[sink.index()];
        let mut is_losing = false;
        for reason in LogDropReason::ALL {
            let lines = statistics.dropped(sink, *reason).lines;
            if lines > report.seen[reason.index()] {
                is_losing = true;
                report.newest_reason = Some(*reason);
            }
            report.seen[reason.index()] = lines;
        }
        let lost = report.seen.iter().sum();
        let written = statistics.written(sink).lines;
        let is_writing = written > report.written_seen;
        report.written_seen = written;

        if lost > report.reported && report.reported_at.is_none_or(|at| at.elapsed() >= NOTICE_INTERVAL) {
            report.reported = lost;
            report.reported_at = Some(Instant::now());
            report.owes_recovery = true;
            let text = notice("log.lines_lost", sink, report.newest_reason, lost, self.source.line_end());
            self.send_elsewhere(sink, &text);
        } else if report.owes_recovery && is_writing && !is_losing {
            report.owes_recovery = false;
            report.reported = lost;
            let text = notice("log.recovered", sink, None, lost, self.source.line_end());
            match (sink, &mut self.file) {
                (LogSink::File, Some(file)) => file.write(&text, &self.shared.statistics),
                _ => self.shared.console.write(&text),
            }
        }
    }

    /// Sends a notice about one sink to the other one. If that one also loses lines or does not
    /// exist, sends it to standard error.
    fn send_elsewhere(&mut self, failing: LogSink, text: &[u8]) {
        let is_healthy = |sink: LogSink| !self.reports[sink.index()].owes_recovery;
        match (failing, &mut self.file) {
            (LogSink::Stdout, Some(file)) if is_healthy(LogSink::File) => {
                file.write(text, &self.shared.statistics);
            }
            (LogSink::File, _) if self.shared.console.takes_lines() && is_healthy(LogSink::Stdout) => {
                self.shared.console.write(text);
            }
            _ => self.shared.console.notice(text),
        }
    }
}

fn notice(
    event: &'static str,
    sink: LogSink,
    reason: Option<LogDropReason>,
    lost_lines: u64,
    line_end: &[u8],
) -> Vec<u8> {
    let mut text = Vec::new();
    line::begin(&mut text, SystemTime::now(), Level::Warn, event);
    line::text(&mut text, "log.sink", sink.as_str());
    if let Some(reason) = reason {
        line::text(&mut text, "log.drop_reason", reason.as_str());
    }
    line::literal(&mut text, "log.lost_lines", lost_lines);
    text.extend_from_slice(line_end);
    text
}
