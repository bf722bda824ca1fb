//! Writes received data to the stores, and the loop that maintains them.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use tokio::time::{MissedTickBehavior, interval};

use crate::memory;
use crate::receive::{Collection, RefusedSpans, Sink};
use crate::state::{Console, SharedConsole, write};
use crate::store::metrics::{Appended, Exemplars, Origin};

/// Interval at which the stores write to disk. A crash loses data of at most twice this interval.
const FLUSH: Duration = Duration::from_secs(10);

impl Sink for Console {
    fn append_metrics(&self, collection: Collection) -> Appended {
        if let Origin::Process { instance, .. } = &collection.origin {
            write(self.clocks()).compare(instance, collection.at, self.now());
        }
        write(self.metrics()).append(&collection.origin, collection.at, collection.samples)
    }

    fn append_exemplars(&self, exemplars: Vec<Exemplars>) {
        write(self.metrics()).append_exemplars(exemplars);
    }

    fn append_spans(&self, spans: ResourceSpans) -> RefusedSpans {
        let appended = write(self.spans()).append(vec![spans]);
        let reason = match appended.refused {
            0 => String::new(),
            _ => "a span has no id, or its trace has none".to_owned(),
        };
        RefusedSpans { spans: appended.refused, reason }
    }
}

/// Maintains the stores until the future is dropped.
pub(crate) async fn maintain(console: SharedConsole) {
    let mut ticks = interval(FLUSH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let shared = SharedConsole::clone(&console);
        // The panic hook reports a panic; the next iteration tries again.
        let _ = tokio::task::spawn_blocking(move || {
            write(shared.metrics()).maintain(shared.now());
            report(flush(&shared));
            memory::give_back_freed();
        })
        .await;
    }
}

/// Writes to disk what is only in memory.
///
/// # Errors
/// Returns an error if the spans cannot be written. The store of metrics keeps its errors for the page About.
pub(crate) fn flush(console: &Console) -> std::io::Result<()> {
    write(console.metrics()).flush();
    write(console.spans()).flush()
}

#[expect(clippy::print_stderr, reason = "the console has no log file of its own")]
fn report(flushed: std::io::Result<()>) {
    if let Err(error) = flushed {
        eprintln!("console: traces cannot be written: {error}");
    }
}
