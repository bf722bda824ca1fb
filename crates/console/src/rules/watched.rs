//! Selection of the alerts that the console can evaluate.

use monitoring::query::Source;
use monitoring::rules::Alert;

/// Reason shown for alerts about programs that only the full overlay has.
const OTHER_PROGRAMS: &str = "It is about a program of the full overlay (collector, Prometheus, Loki, Tempo, Grafana, \
                              Alertmanager or an exporter), whose metrics the console does not receive.";

/// Reason shown for alerts that compare the application with such a program.
const COMPARED: &str = "It compares the application with a program of the full overlay (collector or an exporter), \
                        whose metrics the console does not receive.";

/// Returns the reason why the console does not evaluate an alert; `None` if it does.
///
/// It does not evaluate alerts whose conditions read series of another program. Without such series, most of
/// these conditions never hold and the others always do, so their state would be meaningless.
pub fn reason_unwatched(alert: &Alert) -> Option<&'static str> {
    let (mut ours, mut theirs) = (false, false);
    alert.condition.for_each_selection(&mut |selection| match selection.source {
        Source::Other => theirs = true,
        Source::Application | Source::Rules => ours = true,
    });
    match (theirs, ours) {
        (false, _) => None,
        (true, false) => Some(OTHER_PROGRAMS),
        (true, true) => Some(COMPARED),
    }
}
