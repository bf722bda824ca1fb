//! Instrumentation scopes: the parts of a program that record spans and metrics.

/// The part of a program that records a span or a metric. Each has its own buffers for spans, so a
/// scope is a constant with an index of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstrumentationScope {
    index: u8,
    name: &'static str,
}

impl InstrumentationScope {
    /// Number of scopes that a program can have.
    pub const MOST: usize = 16;

    /// Declares a scope. Indexes from [`FIRST_OF_PROGRAM`](Self::FIRST_OF_PROGRAM) on belong to the
    /// program.
    ///
    /// # Panics
    /// Panics if the index is too large; in a constant, that does not compile.
    pub const fn new(index: u8, name: &'static str) -> Self {
        assert!((index as usize) < Self::MOST, "there are no buffers for so many scopes");
        Self { index, name }
    }

    /// The lowest index that `telemetry` does not use itself.
    pub const FIRST_OF_PROGRAM: u8 = 4;

    /// Returns the index, which is below [`MOST`](Self::MOST).
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.index)
    }

    /// Returns the name, such as `telemetry.http_server`.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// The sender and the writer of telemetry. It is the scope of everything that names no other.
pub const PIPELINE: InstrumentationScope = InstrumentationScope::new(0, "telemetry.pipeline");
/// Requests that this process serves.
pub const HTTP_SERVER: InstrumentationScope = InstrumentationScope::new(1, "telemetry.http_server");
/// Calls to other services.
pub const HTTP_CLIENT: InstrumentationScope = InstrumentationScope::new(2, "telemetry.http_client");
/// Resource usage of the process.
pub const PROCESS: InstrumentationScope = InstrumentationScope::new(3, "telemetry.process");

/// Scopes of metrics by the beginnings of their names.
pub type ScopesOfMetrics = &'static [(&'static str, InstrumentationScope)];

const OWN: ScopesOfMetrics = &[
    ("http.server.", HTTP_SERVER),
    ("http.client.", HTTP_CLIENT),
    ("process.", PROCESS),
    ("telemetry.", PIPELINE),
];

/// Returns the scope of a metric. `of_program` has those of the program's own metrics, the more
/// precise first.
pub fn of_metric(name: &str, of_program: ScopesOfMetrics) -> InstrumentationScope {
    let matching = OWN.iter().chain(of_program).find(|(beginning, _)| name.starts_with(beginning));
    matching.map_or(PIPELINE, |(_, scope)| *scope)
}
