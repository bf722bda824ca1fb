//! Queries that count log lines, rendered to LogQL.

use super::field::Field;
use super::lines::Lines;

/// Loki's name for the level that the application wrote.
const LEVEL: &str = "severity_text";

/// A query that counts log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineQuery {
    /// Number of lines within the range of a dashboard, for each value of a field.
    CountBy {
        /// The counted lines.
        lines: Lines,
        /// The field whose values are counted.
        field: Field,
    },
    /// The values of a field with the most lines within the range of a dashboard.
    MostAffected {
        /// The counted lines, all of which have the field.
        lines: Lines,
        /// The field whose values are counted.
        field: Field,
        /// Maximum number of values.
        most: u8,
    },
    /// Number of distinct values of a field within the range of a dashboard.
    NumberAffected {
        /// The counted lines, all of which have the field.
        lines: Lines,
        /// The field whose values are counted.
        field: Field,
    },
    /// Number of lines per interval of a panel, for each level.
    CountByLevel {
        /// The counted lines.
        lines: Lines,
    },
}

impl LineQuery {
    /// Returns the counted lines.
    pub fn lines(&self) -> &Lines {
        match self {
            Self::CountBy { lines, .. }
            | Self::MostAffected { lines, .. }
            | Self::NumberAffected { lines, .. }
            | Self::CountByLevel { lines } => lines,
        }
    }

    /// Keeps only lines of the environments selected by a Grafana variable.
    #[must_use]
    pub fn in_environment(mut self, variable: &'static str) -> Self {
        let (Self::CountBy { lines, .. }
        | Self::MostAffected { lines, .. }
        | Self::NumberAffected { lines, .. }
        | Self::CountByLevel { lines }) = &mut self;
        *lines = lines.clone().in_environment(variable);
        self
    }

    /// Returns the LogQL text.
    pub fn text(&self) -> String {
        let in_range = |lines, field: &Field| {
            format!("sum by ({}) (count_over_time({lines} [$__range]))", field.metadata())
        };
        match self {
            Self::CountBy { lines, field } => in_range(lines, field),
            Self::MostAffected { lines, field, most } => format!("topk({most}, {})", in_range(lines, field)),
            Self::NumberAffected { lines, field } => format!("count({})", in_range(lines, field)),
            Self::CountByLevel { lines } => format!("sum by ({LEVEL}) (count_over_time({lines} [$__auto]))"),
        }
    }
}

impl Lines {
    /// Counts the lines over the range of a dashboard, by a field.
    pub fn count_by(&self, field: Field) -> LineQuery {
        LineQuery::CountBy { lines: self.clone(), field }
    }

    /// Returns the values of a field with the most lines within the range of a dashboard, such as the
    /// customers that a failure affects.
    pub fn most_affected(&self, field: Field, most: u8) -> LineQuery {
        LineQuery::MostAffected { lines: self.clone().with(field), field, most }
    }

    /// Returns the number of distinct values of a field over the range of a dashboard.
    pub fn number_affected(&self, field: Field) -> LineQuery {
        LineQuery::NumberAffected { lines: self.clone().with(field), field }
    }

    /// Counts the lines at each point of a panel, by level.
    pub fn count_by_level(&self) -> LineQuery {
        LineQuery::CountByLevel { lines: self.clone() }
    }
}
