//! Deliberate leaks, panics and hangs. The privacy test uses them to prove that its search finds leaks, and
//! drills use them to see a panic and a hung process. No other build contains them.
//!
//! They also show what a leak requires: a type that lies about being a closed set, memory that is never
//! freed, and series created while serving requests.

use catalogue::keys;
use signal::builtin::HTTP_SERVER_REQUEST_DURATION;
use telemetry::{ClosedSet, Telemetry, current};
use tokio::runtime::Handle;

#[cfg(not(debug_assertions))]
compile_error!(
    "the feature `leak-canary` records what customers write: it is for a test, in builds for tests"
);

/// A text that falsely claims to be one of a closed set.
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

/// Records the text in the log line and the span of the current request, as a metric label, and on standard
/// error.
#[expect(clippy::print_stderr, reason = "that is one of the leaks")]
pub(crate) fn leak(telemetry: &Telemetry, text: &str) {
    let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
    // Uses names that the collector passes on: otherwise it would filter the leak before the stores.
    current::set(|attributes| attributes.name(&keys::ERROR_CODE, Leaked(text)));
    let labels = vec![("http.route", text.to_owned())];
    telemetry.meter().histogram_series(&HTTP_SERVER_REQUEST_DURATION, labels).record(1, None);
    eprintln!("{text}");
}

/// Text that blocks every worker thread of the runtime.
const HANGS: &str = "Hangs";

/// Panics with a customer's text, as an `expect` on it would, or hangs if the text is [`HANGS`].
pub(crate) fn misbehave(text: &str) {
    if text == HANGS {
        return stop_workers();
    }
    panic!("{text}");
}

/// Blocks every worker thread forever, like a deadlock.
fn stop_workers() {
    for _ in 0..Handle::current().metrics().num_workers() {
        tokio::spawn(async {
            loop {
                std::thread::park();
            }
        });
    }
}
