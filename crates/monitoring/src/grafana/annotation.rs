//! Annotations in all charts: releases, restarts and alerts.

use std::time::Duration;

use serde::Serialize;
use signal::builtin::PROCESS_UPTIME;

use super::data_source::{DataSource, DataSourceRef};
use super::narrow::narrow_series;
use super::{Color, Period};
use crate::query::{BuildCommit, BuildVersion, Choice, Expression, Instance, builds, firing_alerts, select};

/// Age below which a process counts as new: two steps, so that no start is missed.
const YOUNG: Duration = Duration::from_mins(2);

/// An annotation query of a dashboard.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Annotation {
    name: &'static str,
    datasource: DataSourceRef,
    enable: bool,
    hide: bool,
    icon_color: Color,
    target: AnnotationTarget,
    expr: String,
    step: Period,
    title_format: &'static str,
    text_format: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnnotationTarget {
    ref_id: &'static str,
    expr: String,
    interval: Period,
    legend_format: &'static str,
}

/// Marks on the charts of a dashboard, at the times at which a query has series.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Name of the kind of mark.
    pub name: &'static str,
    /// Color of the vertical line.
    pub color: Color,
    /// Title of one mark, which may contain `{{label}}`.
    pub title: &'static str,
    /// Text of one mark, which may contain `{{label}}`.
    pub text: &'static str,
    /// The query. Each series is a mark, which lasts as long as the series has values.
    pub expression: Expression,
}

/// Minimum distance of two points of a query for marks. Shorter events may be missed.
pub const MARK_STEP: Period = Period::Seconds(60);

/// Returns the marks: releases, starts of processes, and firing alerts.
pub fn marks(choices: &[Choice]) -> Vec<Mark> {
    vec![releases(choices), restarts(choices), alerts()]
}

/// Marks the start of each new version. Every build knows its commit or the digest of its sources, so two
/// builds of the same version differ.
fn releases(choices: &[Choice]) -> Mark {
    let shortly_before = Duration::from_mins(5);
    let now = builds().now().count_by_both::<BuildVersion, BuildCommit, _, _>();
    let before = builds().offset(shortly_before).now().count_by_both::<BuildVersion, BuildCommit, _, _>();
    Mark {
        name: "Releases",
        color: Color::Blue,
        title: "Release {{version}}",
        text: "{{commit}}",
        expression: narrow_series(now.unless(before).expression(), choices),
    }
}

/// Marks the start times of processes.
fn restarts(choices: &[Choice]) -> Mark {
    let uptime = select(&PROCESS_UPTIME).now().min_by::<Instance, _>();
    Mark {
        name: "Starts",
        color: Color::Purple,
        title: "{{instance}} started",
        text: "",
        expression: narrow_series(uptime.below(YOUNG.as_secs_f64()).expression(), choices),
    }
}

/// Marks the periods in which an alert fires.
fn alerts() -> Mark {
    Mark {
        name: "Alerts",
        color: Color::Red,
        title: "{{alertname}}",
        text: "{{severity}}",
        expression: firing_alerts().into_expression(),
    }
}

impl Annotation {
    pub(super) fn all(choices: &[Choice]) -> Vec<Self> {
        marks(choices).into_iter().map(Self::of).collect()
    }

    fn of(mark: Mark) -> Self {
        let expr = mark.expression.to_string();
        Self {
            name: mark.name,
            datasource: DataSource::Prometheus.reference(),
            enable: true,
            hide: false,
            icon_color: mark.color,
            target: AnnotationTarget {
                ref_id: mark.name,
                expr: expr.clone(),
                interval: MARK_STEP,
                legend_format: mark.title,
            },
            expr,
            step: MARK_STEP,
            title_format: mark.title,
            text_format: mark.text,
        }
    }
}
