//! Leaks, panics and hangs on purpose: what the privacy test builds to see that its search finds something, and what drills run to see a panic
//! and a process that hangs. No other build contains it.
//!
//! It also shows what a leak takes: a type that lies about being a closed set, memory that is never freed, and series made while
//! requests are answered.

use telemetry::builtin::HTTP_SERVER_REQUEST_DURATION;
use telemetry::{ClosedSet, Telemetry, current};
use tokio::runtime::Handle;

use domain::signals::keys;

#[cfg(not(debug_assertions))]
compile_error!(
    "the feature `leak-canary` records what customers write: it is for a test, in builds for tests"
);

/// Claims that a text is one of few that are known in advance.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Leaked(&'static str);

impl ClosedSet for Leaked {
    const ALL: &'static [Self] = &[];

    fn as_str(self) -> &'static str {
        self.0
    }

    fn index(self) -> usize {
        0
    }
}

/// Records the text in the line and the span of the current request, as a label of a metric, and on standard error.
#[expect(clippy::print_stderr, reason = "that is one of the leaks")]
pub(crate) fn leak(telemetry: &Telemetry, text: &str) {
    let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
    // Names that the collector lets through: otherwise it would stop what the stores are searched for.
    current::set(|attributes| attributes.name(&keys::ERROR_CODE, Leaked(text)));
    let labels = vec![("http.route", text.to_owned())];
    telemetry.meter().histogram_series(&HTTP_SERVER_REQUEST_DURATION, labels).record(1, None);
    eprintln!("{text}");
}

/// What a customer writes to stop every worker thread of the runtime.
const HANGS: &str = "Hangs";

/// Panics with words of a customer, as an `expect` on something that they wrote would, or hangs if that is what they wrote.
pub(crate) fn misbehave(text: &str) {
    if text == HANGS {
        return stop_workers();
    }
    panic!("{text}");
}

/// Blocks every worker thread for good, as a deadlock would.
fn stop_workers() {
    for _ in 0..Handle::current().metrics().num_workers() {
        tokio::spawn(async {
            loop {
                std::thread::park();
            }
        });
    }
}
