//! The effect of a dashboard's variables on its queries.
//!
//! Panels do not name environment and process: every query about the application is narrowed when
//! its dashboard is rendered. So no query can forget to.

use signal::metric::prometheus_label;

use crate::query::{
    Choice, Environment, Expression, Instance, LabelName, Lines, MatchOperator, Matcher, Source, Spans,
};

/// Narrows a PromQL expression to the chosen environment and processes. Only series of the application have
/// these labels.
pub(super) fn narrow_series(expression: &Expression, choices: &[Choice]) -> Expression {
    let matchers: Vec<Matcher> = choices
        .iter()
        .filter_map(|choice| {
            let label = match choice {
                Choice::Environment => Environment::KEY,
                Choice::Instance => Instance::KEY,
                Choice::Route | Choice::RequestId => return None,
            };
            Some(Matcher::new(&prometheus_label(label), MatchOperator::Matches, choice.variable()))
        })
        .collect();
    let mut narrowed = expression.clone();
    narrowed.change_selections(&mut |selection| {
        if selection.source == Source::Application {
            // After `job`, which is the first.
            selection.matchers.splice(1..1, matchers.iter().cloned());
        }
    });
    narrowed
}

/// Narrows a query to the chosen environment, which `variable` refers to. Processes are chosen in charts only.
pub(super) fn narrow_lines(lines: &Lines, choices: &[Choice], variable: &'static str) -> Lines {
    let lines = lines.clone();
    if choices.contains(&Choice::Environment) { lines.in_environment(variable) } else { lines }
}

/// Narrows a query to the chosen environment, which `variable` refers to.
pub(super) fn narrow_spans(spans: &Spans, choices: &[Choice], variable: &'static str) -> Spans {
    let spans = spans.clone();
    if choices.contains(&Choice::Environment) { spans.in_environment(variable) } else { spans }
}

#[cfg(test)]
mod tests {
    use catalogue::labels::Loop;
    use catalogue::metrics::{JOB_QUEUE_DEPTH, LOOP_FAILURES};

    use super::*;
    use crate::foreign::{ScrapeJob, UP};
    use crate::query::{APPLICATION_SERIES, Window, all_lines, select, spans};

    #[test]
    fn queries_about_the_application_are_narrowed_to_what_is_chosen() {
        let requests = select(&LOOP_FAILURES).is(Loop::Worker).rate(Window::RateInterval).sum();
        let ours = requests.over(select(&JOB_QUEUE_DEPTH).now().sum());
        let narrow = format!(
            r#"{APPLICATION_SERIES},deployment_environment_name=~"$environment",instance=~"$instance""#
        );
        let narrowed = narrow_series(ours.expression(), Choice::PROCESSES).to_string();
        let expected = format!(
            "sum(rate(socialize_loop_failures_total{{{narrow},loop=\"worker\"}}[$__rate_interval])) / \
             sum(socialize_job_queue_depth{{{narrow}}})"
        );
        assert_eq!(narrowed, expected);
        assert_eq!(&narrow_series(ours.expression(), &[Choice::RequestId]), ours.expression());
        let loki = select(&UP).is(ScrapeJob::Loki).now().max();
        assert_eq!(&narrow_series(loki.expression(), Choice::PROCESSES), loki.expression());
    }

    #[test]
    fn lines_and_traces_are_narrowed_to_the_environment() {
        let narrowed = narrow_lines(&all_lines(), Choice::PROCESSES, "$environment");
        assert_eq!(narrowed, all_lines().in_environment("$environment"));
        assert_eq!(narrow_lines(&all_lines(), &[], "$environment"), all_lines());
        assert_eq!(narrow_spans(&spans(), Choice::PROCESSES, "x"), spans().in_environment("x"));
        assert_eq!(narrow_spans(&spans(), &[Choice::RequestId], "x"), spans());
    }
}
