//! Conditions on lines, and results of searches.

use signal::{ClosedSet, Level};

use super::line::{LINK_TRACE_ID, Line, Position, TRACE_ID};
use crate::store::ValueTest;

/// Number of levels.
pub const LEVELS: usize = Level::ALL.len();

#[derive(Clone, Debug, PartialEq)]
pub enum LineCondition {
    /// The line has at least this level.
    AtLeast(Level),
    /// The name of the event passes the test.
    Event(ValueTest),
    /// A field passes.
    Field(String, ValueTest),
    /// The line belongs to this trace, or was caused by it.
    Trace(String),
    /// Any field, or the event, has exactly this value.
    AnyField(String),
    /// Any field, or the event, contains this text, which is in lower case.
    Contains(String),
}

impl LineCondition {
    /// Returns whether a line fulfils the condition.
    pub fn accepts(&self, line: &Line) -> bool {
        match self {
            Self::AtLeast(level) => line.level >= *level,
            Self::Event(test) => test.accepts_text(&line.event),
            Self::Field(name, test) => test.accepts(line.field(name)),
            Self::Trace(id) => {
                let names = |name: &str| [TRACE_ID, LINK_TRACE_ID].contains(&name);
                !id.is_empty() && line.fields.iter().any(|(name, value)| names(name) && value.text() == *id)
            }
            Self::AnyField(value) => {
                *line.event == **value || line.fields.iter().any(|(_, field)| field.text() == *value)
            }
            Self::Contains(text) => {
                let test = ValueTest::Contains(text.clone());
                test.accepts_text(&line.event)
                    || line.fields.iter().any(|(_, field)| test.accepts(Some(field)))
            }
        }
    }
}

/// A search for lines. All conditions must be fulfilled.
#[derive(Clone, Debug)]
pub struct Search {
    /// Start of the searched range, in Unix microseconds; inclusive.
    pub from: i64,
    /// End of the searched range, in Unix microseconds; exclusive.
    pub until: i64,
    /// Conditions, all of which must be fulfilled.
    pub conditions: Vec<LineCondition>,
    /// Maximum number of lines in the result.
    pub most: usize,
    /// Only lines before this position, for the next page of a result.
    pub before: Option<Position>,
    /// Only lines read after the one with this number, for the live tail.
    pub newer_than: Option<u64>,
}

impl Search {
    /// Creates a search that finds the newest hundred lines in a range of Unix microseconds.
    pub fn new(from: i64, until: i64) -> Self {
        Self { from, until, conditions: Vec::new(), most: 100, before: None, newer_than: None }
    }

    /// Adds a condition.
    #[must_use]
    pub fn with(mut self, condition: LineCondition) -> Self {
        self.conditions.push(condition);
        self
    }
}

/// A line that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its position, at which the next page starts.
    pub position: Position,
    pub line: Line,
}

/// Number of lines over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Unix time in microseconds at which the first step begins.
    pub from: i64,
    /// Length of a step in microseconds.
    pub step: i64,
    /// Number of lines in each step, by the index of their level.
    pub steps: Vec<[u64; LEVELS]>,
}

/// Number of lines by the value of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// The most frequent values with their numbers of lines, in descending order.
    pub top: Vec<(String, u64)>,
    /// Number of distinct values.
    pub distinct: usize,
    /// If true, `distinct` is a lower bound, because there were too many values.
    pub is_capped: bool,
    /// Number of lines that have the field.
    pub with_field: u64,
    /// Number of lines that were found, with or without the field.
    pub lines: u64,
}
