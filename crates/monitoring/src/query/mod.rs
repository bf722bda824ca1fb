//! Queries as data, from typed metrics, labels and label values.
//!
//! [`Expression`], [`Lines`] and [`Spans`] render to PromQL, LogQL and TraceQL. The console evaluates
//! them without a parser.
//!
//! ```
//! use std::time::Duration;
//! use catalogue::metrics::JOB_RUN_DURATION;
//! use catalogue::labels::JobKind;
//! use monitoring::query::select;
//! use signal::JobOutcome;
//!
//! const WINDOW: Duration = Duration::from_mins(5);
//! let dead = select(&JOB_RUN_DURATION).is(JobOutcome::Dead).count().increase(WINDOW).sum_by::<JobKind, _>();
//! assert_eq!(
//!     dead.above(0.0).text(),
//!     concat!(
//!         "sum by (job_kind) (histogram_count(increase(socialize_job_run_duration_seconds",
//!         r#"{job=~"socialize/.+",outcome="dead"}[5m]))) > 0"#
//!     )
//! );
//! ```
//!
//! Queries with names that Socialize does not emit do not compile. A metric that is not in the catalogue:
//!
//! ```compile_fail,E0425
//! monitoring::query::select(&catalogue::metrics::JOB_WALK_DURATION);
//! ```
//!
//! A label that the metric does not have:
//!
//! ```compile_fail,E0277
//! use catalogue::{metrics::JOB_RUN_DURATION, labels::EmailTemplate};
//! monitoring::query::select(&JOB_RUN_DURATION).is(EmailTemplate::VerifyEmail);
//! ```
//!
//! A label that the metric does not have, to group by:
//!
//! ```compile_fail,E0277
//! use catalogue::{metrics::LOOP_LAST_SUCCESS, labels::JobKind};
//! monitoring::query::select(&LOOP_LAST_SUCCESS).now().sum_by::<JobKind, _>();
//! ```
//!
//! A value that the label does not have:
//!
//! ```compile_fail,E0599
//! use catalogue::metrics::JOB_RUN_DURATION;
//! monitoring::query::select(&JOB_RUN_DURATION).is(signal::JobOutcome::Lost);
//! ```
//!
//! The rate of a gauge:
//!
//! ```compile_fail,E0599
//! use catalogue::metrics::JOB_QUEUE_DEPTH;
//! monitoring::query::select(&JOB_QUEUE_DEPTH).rate(std::time::Duration::from_mins(5));
//! ```
//!
//! The current value of a counter, which depends on the start time of its process:
//!
//! ```compile_fail,E0599
//! use catalogue::metrics::LOOP_FAILURES;
//! monitoring::query::select(&LOOP_FAILURES).now();
//! ```
//!
//! A quantile of something that is not a histogram:
//!
//! ```compile_fail,E0599
//! use catalogue::metrics::LOOP_FAILURES;
//! monitoring::query::select(&LOOP_FAILURES).quantile(0.95, std::time::Duration::from_mins(5));
//! ```
//!
//! A limit that is not the bound of a bucket:
//!
//! ```compile_fail,E0080
//! use monitoring::query::Limit;
//! const LIMIT: Limit = Limit::at(31.0);
//! assert_eq!(LIMIT.seconds(), 31.0);
//! ```
//!
//! Combining results that are grouped by different labels, for which PromQL silently returns an
//! empty result:
//!
//! ```compile_fail,E0308
//! use catalogue::{metrics::{JOB_QUEUE_DEPTH, LOOP_LAST_SUCCESS}, labels::{JobKind, Loop}};
//! use monitoring::query::select;
//! let depth = select(&JOB_QUEUE_DEPTH).now().sum_by::<JobKind, _>();
//! depth.and(select(&LOOP_LAST_SUCCESS).now().sum_by::<Loop, _>());
//! ```
//!
//! Grouping by two labels of which the metric has only one:
//!
//! ```compile_fail,E0277
//! use catalogue::{metrics::LOOP_FAILURES, labels::{JobKind, Loop}};
//! use monitoring::query::{Window, select};
//! select(&LOOP_FAILURES).increase(Window::Range).sum_by_both::<Loop, JobKind, _, _>();
//! ```
//!
//! Each query about the application selects its `job`, because other programs send series of the same names,
//! such as `http_server_request_duration_seconds`. One Prometheus is expected to hold one deployment of
//! Socialize.

mod choice;
mod duration;
mod expression;
mod field;
mod labels;
mod line_query;
mod lines;
mod promql;
mod recording;
mod selections;
mod selector;
mod spans;
mod vector;
mod window;

pub use choice::Choice;
pub use duration::{Scale, duration_text};
pub use expression::{
    Aggregation, Expression, HistogramFunction, MatchOperator, Matcher, Operator, RangeFunction, Selection,
    Source,
};
pub use field::Field;
pub use labels::{
    AlertName, AlertSeverity, Both, Build, BuildCommit, BuildVersion, CallFailure, ClientCall, Environment,
    First, Grouping, HasLabel, Instance, LabelName, Only, RequestFailure, RequestMethod, Resource,
    ResponseStatus, Route, Second, ServerRequest, Total,
};
pub use line_query::LineQuery;
pub use lines::{LineCondition, Lines, all_lines, lines};
pub use recording::Recording;
pub use selections::{FILE_SEGMENTS, builds, calls, firing_alerts, requests, unmatched_requests};
pub use selector::{APPLICATION_SERIES, Distribution, Level, Limit, Queried, Selector, select};
pub use spans::{SpanCondition, Spans, spans};
pub use vector::{Samples, Vector};
pub use window::Window;
