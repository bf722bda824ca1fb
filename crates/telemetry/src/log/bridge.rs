//! Turns `tracing` events of the application and of libraries into our log lines.
//!
//! The message of an event is never rendered and neither is any text that does not look like an identifier: both may quote what
//! a customer typed. What identifies an event is its name, or for a library the place in its code.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, Interest, SetGlobalDefaultError};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use super::level::{Level, LevelFilter, is_this_thread_silent, is_within};
use super::line;

/// The event name of a line that comes from a library.
pub const LIBRARY_EVENT: &str = "library.event";

/// The event name of a line of the application that was not given a name.
pub const UNNAMED_EVENT: &str = "application.event";

/// How many fields of an event did not pass the allow-list.
const REMOVED_FIELDS: &str = "fields.removed";

/// Names that the bridge itself writes, and the message: never taken from an event, even when allowed by mistake.
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

/// Takes finished log lines.
///
/// It is called while the application runs and while it panics: it must not wait, must not panic, and must not take a lock
/// that code above it may hold.
pub trait LogOutput: Send + Sync {
    /// Takes one line of JSON with its line end.
    fn line(&self, level: Level, line: &[u8]);
}

/// The trace id and span id of the operation in which an event happened.
pub type CurrentIds = ([u8; 16], [u8; 8]);

/// What the bridge lets through and where it gets what is not in the event.
#[derive(Clone, Copy, Debug)]
pub struct TracingBridgeSettings {
    /// The only field names that are recorded.
    pub allowed_fields: &'static [&'static str],
    /// The application's own modules, whose event names are recorded.
    pub own_targets: &'static [&'static str],
    /// The ids of the operation that the current thread works on.
    pub current_ids: fn() -> Option<CurrentIds>,
    /// The wall clock.
    pub now: fn() -> SystemTime,
}

/// The `tracing` layer that makes log lines of events. Spans are ignored: operations have records of their own.
pub struct TracingBridge {
    /// Sorted, so that a name is found by binary search.
    allowed_fields: Vec<&'static str>,
    settings: TracingBridgeSettings,
    filter: LevelFilter,
    output: Arc<dyn LogOutput>,
}

thread_local! {
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl TracingBridge {
    /// A bridge that sends what passes `filter` to `output`.
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

    /// Makes this bridge the destination of the events of all threads. Possible once per process.
    pub fn install_globally(self) -> Result<(), SetGlobalDefaultError> {
        tracing::subscriber::set_global_default(Registry::default().with(self))
    }

    /// Makes this bridge the destination of the calling thread's events until the guard is dropped.
    #[must_use = "the bridge is removed when the guard is dropped"]
    pub fn install_on_this_thread(self) -> DefaultGuard {
        tracing::subscriber::set_default(Registry::default().with(self))
    }

    fn is_wanted(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.filter.enabled_for(Level::from(*metadata.level()), metadata.target())
    }

    fn render(&self, event: &Event<'_>, out: &mut Vec<u8>) -> Level {
        let metadata = event.metadata();
        let level = Level::from(*metadata.level());
        let is_own = self.settings.own_targets.iter().any(|path| is_within(metadata.target(), path));
        // Without a name of its own an event is called after its place: "event src/file.rs:12".
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
        // Taken out of its place, so that an event inside the formatting of this one's fields finds an empty buffer, not this one.
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        let level = self.render(event, &mut line);
        self.output.line(level, &line);
        // A thread that is ending has no place for it any more.
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
    /// Whether the field is to be written; if not, it is counted.
    fn admits(&mut self, field: &Field) -> bool {
        // The message is known to be left out of every line, so counting it would say nothing.
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

/// Takes formatted text as long as it is an identifier, so that nothing else is ever rendered in full.
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
