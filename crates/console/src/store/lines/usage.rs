//! What the store of lines holds and what it refused.

/// Reasons for which a line of a log file is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineRefusal {
    /// The line is no JSON object.
    NotJson,
    /// The line has no `timestamp`, or one that is no UTC time.
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

    /// Returns the reason as a page shows it.
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

/// What a store of lines holds.
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
    /// Number of lines that made room for newer ones. They are still in the files, if those exist.
    pub evicted: u64,
    /// Number of lines refused, for each reason that occurred.
    pub refused: Vec<(LineRefusal, u64)>,
}
