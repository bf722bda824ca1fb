//! Renders JSON log lines for people at a terminal.
//!
//! Only the thread that writes to standard output uses it, never the code that logs.

use std::fmt::{self, Write};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// Minimum column widths. Longer values push the rest of their line to the right.
const EVENT_WIDTH: usize = 28;
const DURATION_WIDTH: usize = 10;
const STATUS_WIDTH: usize = 4;

/// Fields that have their own column or do not help somebody who watches the log.
const FIELDS_IN_COLUMNS: &[&str] = &["timestamp", "level", "event", DURATION, STATUS];

const DURATION: &str = "duration_ms";
const STATUS: &str = "http.response.status_code";

/// Renders lines as `time LEVEL event duration status key=value …`.
#[derive(Clone, Copy, Debug)]
pub struct PrettyPrinter {
    color: bool,
}

impl PrettyPrinter {
    /// Creates a printer, with coloured levels if `color` is true.
    pub fn new(color: bool) -> Self {
        Self { color }
    }

    /// Appends the readable form of every line to `out`. Other text is copied with its control
    /// characters escaped, so that it cannot control the terminal.
    pub fn render(&self, lines: &[u8], out: &mut Vec<u8>) {
        let mut text = String::new();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            text.clear();
            match serde_json::from_slice::<Fields>(line) {
                Ok(fields) => self.render_fields(&fields, &mut text),
                Err(_) => push_visible(&mut text, &String::from_utf8_lossy(line)),
            }
            out.extend_from_slice(text.trim_end().as_bytes());
            out.push(b'\n');
        }
    }

    fn render_fields(&self, fields: &Fields, out: &mut String) {
        let level = fields.text("level").unwrap_or_default();
        let timestamp = fields.text("timestamp").unwrap_or_default();
        // The date is left out: somebody who watches the log knows it.
        let time = timestamp.split_once('T').map_or("", |(_, time)| time);
        let time: String = time.chars().take("00:00:00.000".len()).collect();
        self.push(out, Style::Dim, &format!("{time:<12}"));
        out.push(' ');
        self.push(out, Style::of_level(level), &format!("{:<5}", visible(level).to_uppercase()));
        out.push(' ');
        let event = visible(fields.text("event").unwrap_or_default());
        self.push(out, Style::Bold, &format!("{event:<EVENT_WIDTH$}"));
        let duration = fields.number(DURATION).map(readable_duration).unwrap_or_default();
        let status = fields.number(STATUS);
        // Writing to a string cannot fail.
        let _ = write!(out, " {duration:>DURATION_WIDTH$} ");
        let status_text = status.map(|status| status.to_string()).unwrap_or_default();
        self.push(out, Style::of_status(status), &format!("{status_text:<STATUS_WIDTH$}"));
        for (name, value) in &fields.0 {
            if FIELDS_IN_COLUMNS.contains(&name.as_str()) {
                continue;
            }
            out.push(' ');
            self.push(out, Style::Dim, &format!("{}=", visible(name)));
            match value {
                Value::String(value) => push_visible(out, value),
                other => push_visible(out, &other.to_string()),
            }
        }
    }

    fn push(&self, out: &mut String, style: Style, text: &str) {
        match style.code() {
            Some(code) if self.color && !text.trim().is_empty() => {
                let _ = write!(out, "\u{1b}[{code}m{text}\u{1b}[0m");
            }
            _ => out.push_str(text),
        }
    }
}

#[derive(Clone, Copy)]
enum Style {
    Plain,
    Dim,
    Bold,
    Green,
    Yellow,
    Red,
    BoldRed,
}

impl Style {
    fn of_level(level: &str) -> Self {
        match level {
            "info" => Self::Green,
            "warn" => Self::Yellow,
            "error" => Self::Red,
            "fatal" => Self::BoldRed,
            _ => Self::Dim,
        }
    }

    fn of_status(status: Option<f64>) -> Self {
        match status {
            Some(status) if status >= 500.0 => Self::Red,
            Some(status) if status >= 400.0 => Self::Yellow,
            _ => Self::Plain,
        }
    }

    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Dim => Some("2"),
            Self::Bold => Some("1"),
            Self::Green => Some("32"),
            Self::Yellow => Some("33"),
            Self::Red => Some("31"),
            Self::BoldRed => Some("1;31"),
        }
    }
}

fn readable_duration(milliseconds: f64) -> String {
    match milliseconds {
        below if below < 1.0 => format!("{:.0} µs", below * 1000.0),
        below if below < 1000.0 => format!("{below:.1} ms"),
        seconds => format!("{:.2} s", seconds / 1000.0),
    }
}

fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_visible(&mut out, text);
    out
}

/// Appends the text with control characters written as escapes.
fn push_visible(out: &mut String, text: &str) {
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
}

/// The fields of a line, in their original order.
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn value(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.value(name)?.as_f64()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}
