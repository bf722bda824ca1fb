//! Contents and refusals of the store of lines.

/// Reasons to refuse a line of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineRefusal {
    /// The line is not a JSON object.
    NotJson,
    /// The line has no `timestamp`, or one that is not a UTC time.
    NoTimestamp,
    /// The line has no `level` of the closed set.
    NoLevel,
    /// The line has no `event`.
    NoEvent,
    /// The line is longer than the cap.
    TooLong,
}

impl LineRefusal {
    /// Every reason.
    pub const ALL: &'static [Self] =
        &[Self::NotJson, Self::NoTimestamp, Self::NoLevel, Self::NoEvent, Self::TooLong];

    /// Returns the reason as text for a page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not a JSON object",
            Self::NoTimestamp => "no timestamp",
            Self::NoLevel => "no level",
            Self::NoEvent => "no event",
            Self::TooLong => "longer than 256 KiB",
        }
    }
}

/// Contents of a store of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineUsage {
    /// Number of lines held.
    pub lines: u64,
    /// Bytes of memory used.
    pub bytes: usize,
    /// Maximum of `bytes`.
    pub bound: usize,
    /// Unix time in microseconds of the oldest line.
    pub oldest: Option<i64>,
    /// Unix time in microseconds of the newest line.
    pub newest: Option<i64>,
    /// Number of evicted lines. They are still in the log files, if those exist.
    pub evicted: u64,
    /// Number of lines refused, for each reason that occurred.
    pub refused: Vec<(LineRefusal, u64)>,
}
