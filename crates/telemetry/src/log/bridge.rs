//! Turns `tracing` events of the application and of libraries into log lines.
//!
//! An event's message is never rendered, nor is any text that does not look like an identifier:
//! both may quote customers' input. An event is identified by its name, or for a library by its
//! source location.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, Interest, SetGlobalDefaultError};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use super::Level;
use super::level::{LevelFilter, is_this_thread_silent, is_within, of_tracing};
use super::line;

/// Event name of lines from libraries.
pub const LIBRARY_EVENT: &str = "library.event";

/// Event name of lines from the application's own code whose event has no name.
pub const UNNAMED_EVENT: &str = "application.event";

/// Field with the number of fields that were not on the allow-list.
const REMOVED_FIELDS: &str = "fields.removed";

/// Names that the bridge itself writes, and the message. They are never taken from an event, even
/// if the allow-list contains them by mistake.
const RESERVED_FIELDS: &[&str] = &[
    "message",
    "timestamp",
    "level",
    "event",
    "trace_id",
    "span_id",
    "code.target",
    "code.line",
    REMOVED_FIELDS,
];

/// Receives finished log lines.
///
/// It is called while the application runs and while it panics. It must not block, must not panic,
/// and must not take a lock that a caller may hold.
pub trait LogOutput: Send + Sync {
    /// Receives one JSON line, including its newline.
    fn line(&self, level: Level, line: &[u8]);
}

/// Trace id and span id of the operation in which an event happened.
pub type CurrentIds = ([u8; 16], [u8; 8]);

/// Filter of the bridge, and its sources for everything that an event does not contain.
#[derive(Clone, Copy, Debug)]
pub struct TracingBridgeSettings {
    /// The only field names that are recorded.
    pub allowed_fields: &'static [&'static str],
    /// The application's own modules. Only they may name events.
    pub own_targets: &'static [&'static str],
    /// Returns the ids of the current thread's operation.
    pub current_ids: fn() -> Option<CurrentIds>,
    /// Returns the current wall-clock time.
    pub now: fn() -> SystemTime,
}

/// The `tracing` layer that turns events into log lines. Spans are ignored: operations have their
/// own records.
pub struct TracingBridge {
    /// Sorted for binary search.
    allowed_fields: Vec<&'static str>,
    settings: TracingBridgeSettings,
    filter: LevelFilter,
    output: Arc<dyn LogOutput>,
}

thread_local! {
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl TracingBridge {
    /// Creates a bridge that sends events that pass `filter` to `output`.
    pub fn new(settings: TracingBridgeSettings, filter: LevelFilter, output: Arc<dyn LogOutput>) -> Self {
        let mut allowed_fields: Vec<_> = settings
            .allowed_fields
            .iter()
            .copied()
            .filter(|name| !RESERVED_FIELDS.contains(name) && line::is_identifier(name))
            .collect();
        allowed_fields.sort_unstable();
        Self { allowed_fields, settings, filter, output }
    }

    /// Installs this bridge for the events of all threads. It succeeds once per process.
    pub fn install_globally(self) -> Result<(), SetGlobalDefaultError> {
        tracing::subscriber::set_global_default(Registry::default().with(self))
    }

    /// Installs this bridge for the calling thread's events until the guard is dropped.
    #[must_use = "the bridge is removed when the guard is dropped"]
    pub fn install_on_this_thread(self) -> DefaultGuard {
        tracing::subscriber::set_default(Registry::default().with(self))
    }

    fn is_wanted(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.filter.enabled_for(of_tracing(*metadata.level()), metadata.target())
    }

    fn render(&self, event: &Event<'_>, out: &mut Vec<u8>) -> Level {
        let metadata = event.metadata();
        let level = of_tracing(*metadata.level());
        let is_own = self.settings.own_targets.iter().any(|path| is_within(metadata.target(), path));
        // `tracing` names anonymous events after their source location: "event src/file.rs:12".
        let is_named = is_own && line::is_identifier(metadata.name());
        let name = match (is_named, is_own) {
            (true, _) => metadata.name(),
            (false, true) => UNNAMED_EVENT,
            (false, false) => LIBRARY_EVENT,
        };
        line::begin(out, (self.settings.now)(), level, name);
        if let Some((trace_id, span_id)) = (self.settings.current_ids)() {
            line::hex(out, "trace_id", &trace_id);
            line::hex(out, "span_id", &span_id);
        }
        if !is_named {
            line::text(out, "code.target", metadata.target());
            if let Some(number) = metadata.line() {
                line::literal(out, "code.line", number);
            }
        }
        let mut fields = FieldWriter { allowed: &self.allowed_fields, out, removed: 0 };
        event.record(&mut fields);
        let removed = fields.removed;
        if removed > 0 {
            line::literal(out, REMOVED_FIELDS, removed);
        }
        line::end(out);
        level
    }
}

impl<S: Subscriber> Layer<S> for TracingBridge {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.is_wanted(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        self.is_wanted(metadata) && !is_this_thread_silent()
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        use tracing::level_filters::LevelFilter as Most;
        Some(match self.filter.lowest() {
            Some(Level::Trace) => Most::TRACE,
            Some(Level::Debug) => Most::DEBUG,
            Some(Level::Info) => Most::INFO,
            Some(Level::Warn) => Most::WARN,
            Some(Level::Error) => Most::ERROR,
            Some(Level::Fatal) | None => Most::OFF,
        })
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if is_this_thread_silent() {
            return;
        }
        // Take the buffer out of its slot: an event raised while this one's fields are formatted
        // must find an empty buffer.
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        let level = self.render(event, &mut line);
        self.output.line(level, &line);
        // A thread that is ending has lost the slot; drop the buffer then.
        let _ = LINE.try_with(|place| place.set(line));
    }
}

/// Writes the allowed fields of an event and counts the others.
struct FieldWriter<'a> {
    allowed: &'a [&'static str],
    out: &'a mut Vec<u8>,
    removed: u64,
}

impl FieldWriter<'_> {
    /// Returns whether the field may be written, and counts it if not.
    fn admits(&mut self, field: &Field) -> bool {
        // Every line leaves out the message, so counting it would carry no information.
        if field.name() == "message" {
            return false;
        }
        let is_admitted =
            self.allowed.binary_search(&field.name()).is_ok() && !line::has_field(self.out, field.name());
        self.removed += u64::from(!is_admitted);
        is_admitted
    }

    fn literal(&mut self, field: &Field, value: impl fmt::Display) {
        if self.admits(field) {
            line::literal(self.out, field.name(), value);
        }
    }
}

impl Visit for FieldWriter<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.literal(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.literal(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.literal(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.literal(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.literal(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            // Unlike `Display`, `Debug` writes very large and small numbers with an exponent.
            self.literal(field, format_args!("{value:?}"));
        } else {
            self.literal(field, "null");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.admits(field) {
            line::text(self.out, field.name(), value);
        }
    }

    fn record_bytes(&mut self, field: &Field, _value: &[u8]) {
        if self.admits(field) {
            line::text(self.out, field.name(), line::REDACTED);
        }
    }

    fn record_error(&mut self, field: &Field, _value: &(dyn std::error::Error + 'static)) {
        if self.admits(field) {
            line::text(self.out, field.name(), line::REDACTED);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.admits(field) {
            let mut text = IdentifierText::default();
            let is_identifier = write!(text, "{value:?}").is_ok();
            line::text(self.out, field.name(), if is_identifier { text.as_str() } else { line::REDACTED });
        }
    }
}

/// Accepts formatted text only while it is an identifier, so that nothing else is ever rendered in
/// full.
struct IdentifierText {
    bytes: [u8; line::LONGEST_IDENTIFIER],
    length: usize,
}

impl Default for IdentifierText {
    fn default() -> Self {
        Self { bytes: [0; line::LONGEST_IDENTIFIER], length: 0 }
    }
}

impl IdentifierText {
    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or(line::REDACTED)
    }
}

impl fmt::Write for IdentifierText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        if end > self.bytes.len() || !text.bytes().all(line::is_identifier_byte) {
            return Err(fmt::Error);
        }
        self.bytes[self.length..end].copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
