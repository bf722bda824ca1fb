//! Annotations in all charts: releases, restarts and alerts.

use std::time::Duration;

use serde::Serialize;
use signal::builtin::PROCESS_UPTIME;

use super::choice::narrow_series;
use super::target::DataSourceRef;
use super::{Choice, DataSource};
use crate::query::{BuildCommit, BuildVersion, Grouping, Instance, Vector, builds, firing_alerts, select};

/// Minimum distance of two points. Shorter events may be missed.
const STEP: &str = "60s";

/// Age up to which a process counts as new: two steps, so that none is missed.
const YOUNG: Duration = Duration::from_mins(2);

/// An annotation query of a dashboard.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Annotation {
    name: &'static str,
    datasource: DataSourceRef,
    enable: bool,
    hide: bool,
    icon_color: &'static str,
    target: AnnotationTarget,
    expr: String,
    step: &'static str,
    title_format: &'static str,
    text_format: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnnotationTarget {
    ref_id: &'static str,
    expr: String,
    interval: &'static str,
    legend_format: &'static str,
}

/// Appearance of one kind of annotation.
struct Mark {
    name: &'static str,
    color: &'static str,
    title: &'static str,
    text: &'static str,
}

impl Annotation {
    pub(super) fn all(choices: &[Choice]) -> Vec<Self> {
        vec![Self::releases(choices), Self::restarts(choices), Self::alerts()]
    }

    /// Marks the times at which a new version begins to run. Every build knows its commit or the
    /// digest of its sources, so two builds of the same version differ.
    fn releases(choices: &[Choice]) -> Self {
        let shortly_before = Duration::from_mins(5);
        let now = builds().now().count_by_both::<BuildVersion, BuildCommit, _, _>();
        let before = builds().offset(shortly_before).now().count_by_both::<BuildVersion, BuildCommit, _, _>();
        let mark = Mark { name: "Releases", color: "blue", title: "Release {{version}}", text: "{{commit}}" };
        Self::of(&mark, &now.unless(before), choices)
    }

    /// Marks the start times of processes.
    fn restarts(choices: &[Choice]) -> Self {
        let uptime = select(&PROCESS_UPTIME).now().min_by::<Instance, _>();
        let mark = Mark { name: "Starts", color: "purple", title: "{{instance}} started", text: "" };
        Self::of(&mark, &uptime.below(YOUNG.as_secs_f64()), choices)
    }

    /// Marks the periods in which an alert fires.
    fn alerts() -> Self {
        let mark = Mark { name: "Alerts", color: "red", title: "{{alertname}}", text: "{{severity}}" };
        Self::of(&mark, &firing_alerts(), &[])
    }

    fn of<G: Grouping>(mark: &Mark, query: &Vector<G>, choices: &[Choice]) -> Self {
        let expr = narrow_series(query.expression(), choices).to_string();
        Self {
            name: mark.name,
            datasource: DataSource::Prometheus.reference(),
            enable: true,
            hide: false,
            icon_color: mark.color,
            target: AnnotationTarget {
                ref_id: mark.name,
                expr: expr.clone(),
                interval: STEP,
                legend_format: mark.title,
            },
            expr,
            step: STEP,
            title_format: mark.title,
            text_format: mark.text,
        }
    }
}
