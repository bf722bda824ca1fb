//! Turns every panic into a log line without its message, which may quote any value of the program.

use std::panic::{self, Location, PanicHookInfo};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use signal::{ClosedSet, ErrorType, events};

use super::Level;
use super::bridge::LogOutput;
use super::line;
use super::writer::LogWriterHandle;

/// Maximum time that a panicking thread waits for its line to be written, since the process may be
/// about to end.
const FLUSH_DEADLINE: Duration = Duration::from_millis(250);

/// Path components of a source file that are kept: a library's name, version and module path, but
/// nothing about the build machine.
const KEPT_PATH_COMPONENTS: usize = 4;

/// Treatment of a panic's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanicText {
    /// Discards the text. For production.
    Hidden,
    /// Passes it to the previously installed hook, usually Rust's own, which prints it to standard
    /// error. For development and tests.
    OnStderr,
}

/// The number of panics since the hook was installed.
#[derive(Clone, Debug, Default)]
pub struct PanicCount(Arc<AtomicU64>);

impl PanicCount {
    /// Returns the current count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Installs a hook that counts every panic, writes a line of level error and waits until `writer`
/// has written it.
pub fn install_panic_hook(
    output: Arc<dyn LogOutput>,
    writer: Option<LogWriterHandle>,
    text: PanicText,
    now: fn() -> SystemTime,
) -> PanicCount {
    let count = PanicCount::default();
    let previous = panic::take_hook();
    panic::set_hook(Box::new({
        let count = count.clone();
        move |info: &PanicHookInfo<'_>| {
            count.0.fetch_add(1, Ordering::Relaxed);
            output.line(Level::Error, &panic_line(now(), info.location()));
            if text == PanicText::OnStderr {
                previous(info);
            }
            if let Some(writer) = &writer {
                writer.wake();
                writer.flush(Instant::now() + FLUSH_DEADLINE);
            }
        }
    }));
    count
}

fn panic_line(now: SystemTime, location: Option<&Location<'_>>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    line::begin(&mut out, now, Level::Error, events::PANIC);
    line::text(&mut out, "error.type", ErrorType::Panic.as_str());
    if let Some(location) = location {
        line::text(&mut out, "code.file", without_build_directory(location.file()));
        line::literal(&mut out, "code.line", location.line());
    }
    if let Some(name) = thread::current().name().filter(|name| line::is_identifier(name)) {
        line::text(&mut out, "thread.name", name);
    }
    line::end(&mut out);
    out
}

/// Removes the build machine's directories from a path.
fn without_build_directory(path: &str) -> &str {
    if !path.starts_with('/') {
        return path;
    }
    path.rmatch_indices('/').nth(KEPT_PATH_COMPONENTS - 1).map_or(path, |(start, _)| &path[start + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_nothing_about_the_machine() {
        for (path, expected) in [
            ("crates/socialize/src/routes/content_items.rs", "crates/socialize/src/routes/content_items.rs"),
            (
                "/home/someone/.cargo/registry/src/index-1/hyper-1.0.0/src/proto/h1.rs",
                "hyper-1.0.0/src/proto/h1.rs",
            ),
            ("/rustc/0123/library/core/src/option.rs", "library/core/src/option.rs"),
            ("/lib.rs", "/lib.rs"),
        ] {
            assert_eq!(without_build_directory(path), expected);
        }
    }

    #[test]
    fn a_panic_without_a_location_is_a_line_too() {
        let line = panic_line(SystemTime::UNIX_EPOCH, None);
        let value: serde_json::Value = serde_json::from_slice(&line).expect("valid JSON");
        assert_eq!(value["timestamp"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(value["level"], "error");
        assert_eq!(value["event"], "panic");
        assert_eq!(value["error.type"], "panic");
        assert_eq!(value.get("code.file"), None);
    }
}
