//! The configuration of Alertmanager: receivers, waiting times and inhibition rules.

use std::time::Duration;

use super::Severity;
use super::causes::{Series, causes};
use super::text::push;
use crate::query::{Scale, duration_text};

/// A route. Alerts with equal values of these labels share a notification.
struct Route {
    severity: Severity,
    /// The receiver's name in the file.
    receiver: &'static str,
    group_by: &'static str,
    /// Delay of the first notification, so that it covers other alerts of the group and causes that are
    /// detected later than their effects.
    wait: Duration,
    /// Delay of the next notification after alerts join or leave the group.
    interval: Duration,
    /// Interval after which a notification is repeated.
    repeat: Duration,
    about: &'static str,
}

const ROUTES: &[Route] = &[
    Route {
        severity: Severity::Critical,
        receiver: "critical",
        group_by: "alertname, environment",
        wait: Duration::from_mins(1),
        interval: Duration::from_mins(5),
        repeat: Duration::from_hours(2),
        about: "Wakes somebody: one notification for each cause.",
    },
    Route {
        severity: Severity::Warning,
        receiver: "warning",
        group_by: "environment",
        wait: Duration::from_mins(5),
        interval: Duration::from_mins(30),
        repeat: Duration::from_hours(24),
        about: "For the working day: one notification for all of them.",
    },
    Route {
        severity: Severity::Info,
        receiver: "info",
        group_by: "environment",
        wait: Duration::from_mins(5),
        interval: Duration::from_hours(1),
        repeat: Duration::from_hours(7 * 24),
        about: "For reading.",
    },
    Route {
        severity: Severity::None,
        receiver: "watchdog",
        group_by: "alertname",
        wait: Duration::from_secs(1),
        interval: Duration::from_mins(1),
        repeat: Duration::from_mins(5),
        about: "For a service that raises the alarm when it hears nothing any more.",
    },
];

/// Names of the receivers. The rendered file leaves them empty for the operator to fill in.
pub fn receivers() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.receiver)
}

/// Renders the file, with delays at a scale.
pub fn render(scale: Scale) -> String {
    let mut out = String::from(
        "# Rendered by `cargo run -p monitoring -- write` from crates/monitoring/src/rules.\n\
         # Who is told of alerts, and how soon. Receivers of your own belong into receivers.yml, see \"Notifications\" \
         in deploy/README.md.\n\n\
         route:\n  receiver: warning\n  group_by: [alertname, environment]\n  routes:\n",
    );
    for route in ROUTES {
        push(&mut out, format_args!("    # {}\n", route.about));
        push(&mut out, format_args!("    - matchers: ['severity=\"{}\"']\n", route.severity.as_str()));
        push(
            &mut out,
            format_args!("      receiver: {}\n      group_by: [{}]\n", route.receiver, route.group_by),
        );
        for (key, duration) in [
            ("group_wait", route.wait),
            ("group_interval", route.interval),
            ("repeat_interval", route.repeat),
        ] {
            push(&mut out, format_args!("      {key}: {}\n", duration_text(scale.of(duration))));
        }
    }
    out.push_str("\n# Whoever is told of a cause need not be told of what it explains.\ninhibit_rules:\n");
    for cause in causes() {
        for target in targets(&cause.explains) {
            push(&mut out, format_args!("  - source_matchers: [{}]\n", matchers(&cause.alert)));
            push(&mut out, format_args!("    target_matchers: [{target}]\n    equal: [environment]\n"));
        }
    }
    out.push_str(
        "\n\
         # Nobody. What stands from here to the end of the file is what receivers.yml replaces.\n\
         receivers:\n",
    );
    for receiver in receivers() {
        push(&mut out, format_args!("  - name: {receiver}\n"));
    }
    out
}

/// Matchers of the inhibited alerts: one for all series without a label of their own, and one for each of the
/// others.
fn targets(explained: &[(Series, &'static str)]) -> Vec<String> {
    let (every, only): (Vec<_>, Vec<_>) =
        explained.iter().map(|(series, _)| series).partition(|one| one.only.is_none());
    let names: Vec<&str> = every.iter().map(|series| series.alert).collect();
    let every = (!names.is_empty()).then(|| format!("'alertname=~\"{}\"'", names.join("|")));
    every.into_iter().chain(only.into_iter().map(matchers)).collect()
}

fn matchers(series: &Series) -> String {
    let name = format!("'alertname=\"{}\"'", series.alert);
    match &series.only {
        Some((label, value)) => format!("{name}, '{label}=\"{value}\"'"),
        None => name,
    }
}
