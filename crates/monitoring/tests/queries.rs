//! Rendered queries, each validated by an independent parser.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::{ConnectionState, JobKind, Loop, Role};
use catalogue::metrics::{
    DB_CLIENT_CONNECTION_COUNT, DB_CLIENT_OPERATION_DURATION, HEARTBEAT, JOB_QUEUE_DEPTH, JOB_RUN_DURATION,
    LOOP_FAILURES, LOOP_LAST_SUCCESS, ORGANIZATIONS_CREATED,
};
use monitoring::query::{
    BuildCommit, BuildVersion, CallFailure, Grouping, Instance, Limit, Recording, RequestFailure,
    RequestMethod, ResponseStatus, Route, Total, Vector, Window, builds, calls, requests, select,
};
use signal::{ErrorType, JobOutcome};

const FIVE_MINUTES: Duration = Duration::from_mins(5);
const A_WEEK: Duration = Duration::from_hours(7 * 24);

#[track_caller]
fn renders<G: Grouping>(query: &Vector<G>, expected: &str) {
    assert_eq!(query.text(), expected);
    promql_parser::parser::parse(&query.text()).expect("it is PromQL");
}

#[test]
fn labels_choose_series() {
    renders(
        &select(&LOOP_FAILURES).is(Loop::Worker).rate(FIVE_MINUTES).sum(),
        r#"sum(rate(socialize_loop_failures_total{job=~"socialize/.+",loop="worker"}[5m]))"#,
    );
    renders(
        &select(&LOOP_FAILURES).is_not(Loop::Worker).increase(FIVE_MINUTES).sum_by::<Loop, _>(),
        r#"sum by (loop) (increase(socialize_loop_failures_total{job=~"socialize/.+",loop!="worker"}[5m]))"#,
    );
    let database =
        select(&DB_CLIENT_OPERATION_DURATION).is(DatabaseOperation::InsertSession).failed_unexpectedly();
    renders(
        &database.count().increase(FIVE_MINUTES).sum_by::<ErrorType, _>(),
        r#"sum by (error_type) (histogram_count(increase(db_client_operation_duration_seconds{job=~"socialize/.+",db_query_summary="insert_session",error_type!="",error_type!~"cancelled|unique_violation|foreign_key_violation|serialization_failure|deadlock|lock_timeout"}[5m])))"#,
    );
    renders(
        &requests().is_none_of(RequestFailure::OURS).seconds().rate(FIVE_MINUTES).sum_by::<Route, _>(),
        r#"sum by (http_route) (histogram_sum(rate(http_server_request_duration_seconds{job=~"socialize/.+",http_route!="",error_type!~"internal|panic|unavailable|timeout"}[5m])))"#,
    );
}

#[test]
fn gauges_and_up_down_counters_are_read_as_they_are() {
    renders(
        &select(&JOB_QUEUE_DEPTH).now().max_by::<JobKind, _>().at_least(1.0),
        r#"max by (job_kind) (socialize_job_queue_depth{job=~"socialize/.+"}) >= 1"#,
    );
    renders(
        &select(&DB_CLIENT_CONNECTION_COUNT).is(ConnectionState::Used).now().max(),
        r#"max(db_client_connection_count{job=~"socialize/.+",db_client_connection_state="used"})"#,
    );
    renders(
        &select(&HEARTBEAT).now().count(),
        r#"count(socialize_heartbeat_time_seconds{job=~"socialize/.+"})"#,
    );
    renders(
        &select(&LOOP_LAST_SUCCESS).now().max_by::<Loop, _>().age().above(60.0),
        r#"(time() - max by (loop) (socialize_loop_last_success_time_seconds{job=~"socialize/.+"})) > 60"#,
    );
    renders(
        &select(&HEARTBEAT).lag().max_by::<Instance, _>(),
        r#"max by (instance) (timestamp(socialize_heartbeat_time_seconds{job=~"socialize/.+"}) - socialize_heartbeat_time_seconds{job=~"socialize/.+"})"#,
    );
}

#[test]
fn histograms_have_quantiles_and_shares() {
    const A_SECOND: Limit = Limit::at(1.0);
    const HALF_A_SECOND: Limit = Limit::at(0.5);
    renders(
        &requests().quantile(0.95, FIVE_MINUTES),
        r#"histogram_quantile(0.95, sum(rate(http_server_request_duration_seconds{job=~"socialize/.+",http_route!=""}[5m])))"#,
    );
    renders(
        &select(&JOB_RUN_DURATION).is(JobOutcome::Ok).quantile_by::<JobKind, _>(0.5, FIVE_MINUTES),
        r#"histogram_quantile(0.5, sum by (job_kind) (rate(socialize_job_run_duration_seconds{job=~"socialize/.+",outcome="ok"}[5m])))"#,
    );
    let rate = r#"sum(rate(http_server_request_duration_seconds{job=~"socialize/.+",http_route!=""}[5m]))"#;
    renders(
        &requests().rate_above(A_SECOND, FIVE_MINUTES),
        &format!("histogram_fraction(1, +Inf, {rate}) * histogram_count({rate})"),
    );
    let increase = r#"sum by (http_route) (increase(http_server_request_duration_seconds{job=~"socialize/.+",http_route!=""}[5m]))"#;
    renders(
        &requests().increase_above_by::<Route, _>(HALF_A_SECOND, FIVE_MINUTES),
        &format!("histogram_fraction(0.5, +Inf, {increase}) * histogram_count({increase})"),
    );
    let distribution = requests().distribution(FIVE_MINUTES);
    let increase =
        r#"sum(increase(http_server_request_duration_seconds{job=~"socialize/.+",http_route!=""}[5m]))"#;
    assert_eq!(distribution.text(), increase);
}

#[test]
fn results_of_the_same_grouping_combine() {
    let dead =
        || select(&JOB_RUN_DURATION).is(JobOutcome::Dead).count().rate(FIVE_MINUTES).sum_by::<JobKind, _>();
    let all = || select(&JOB_RUN_DURATION).count().rate(FIVE_MINUTES).sum_by::<JobKind, _>();
    let dead_text = r#"sum by (job_kind) (histogram_count(rate(socialize_job_run_duration_seconds{job=~"socialize/.+",outcome="dead"}[5m])))"#;
    let all_text = r#"sum by (job_kind) (histogram_count(rate(socialize_job_run_duration_seconds{job=~"socialize/.+"}[5m])))"#;
    renders(&dead().share_of(all()), &format!("{dead_text} / ({all_text} > 0)"));
    renders(
        &dead().share_of(all()).above(0.5).and(all().above(1.0)),
        &format!("(({dead_text} / ({all_text} > 0)) > 0.5) and on (job_kind) ({all_text} > 1)"),
    );
    renders(&dead().unless(all()), &format!("{dead_text} unless on (job_kind) {all_text}"));
    renders(&dead().or(all()), &format!("{dead_text} or on (job_kind) {all_text}"));
    renders(&all().plus(all()).minus(dead()), &format!("({all_text} + {all_text}) - {dead_text}"));
    renders(&all().equals(0.0), &format!("{all_text} == 0"));
}

#[test]
fn the_past_and_the_absent_can_be_asked_for() {
    let created = || select(&ORGANIZATIONS_CREATED);
    let now = created().increase(Duration::from_hours(3)).sum();
    let then = created().offset(A_WEEK).increase(Duration::from_hours(3)).sum();
    let absent = || select(&HEARTBEAT).is(Role::Serve).absent_over(Duration::from_mins(3));
    renders(
        &absent(),
        r#"absent_over_time(socialize_heartbeat_time_seconds{job=~"socialize/.+",role="serve"}[3m])"#,
    );
    renders(
        &now.below_that(then.times(0.2)).unless_when(absent()),
        r#"(sum(increase(socialize_organizations_created_total{job=~"socialize/.+"}[3h])) < (sum(increase(socialize_organizations_created_total{job=~"socialize/.+"}[3h] offset 1w)) * 0.2)) unless on () absent_over_time(socialize_heartbeat_time_seconds{job=~"socialize/.+",role="serve"}[3m])"#,
    );
    renders(
        &Vector::always().below(2.0).when(absent()),
        r#"(vector(1) < 2) and on () absent_over_time(socialize_heartbeat_time_seconds{job=~"socialize/.+",role="serve"}[3m])"#,
    );
}

#[test]
fn what_a_rule_recorded_can_be_asked_for() {
    const RECORDED: Recording<Total> =
        Recording { name: "socialize:organizations_created:rate5m", query: |_| Vector::always() };
    renders(&RECORDED.now(), "socialize:organizations_created:rate5m");
    renders(&RECORDED.average(A_WEEK), "avg_over_time(socialize:organizations_created:rate5m[1w])");
    renders(
        &RECORDED.samples_in(FIVE_MINUTES),
        "count_over_time(socialize:organizations_created:rate5m[5m])",
    );
}

#[test]
fn panels_leave_their_windows_to_grafana() {
    // Parsed after Grafana's variables were replaced by durations: see tests/dashboards.rs.
    let created = || select(&ORGANIZATIONS_CREATED);
    assert_eq!(
        created().rate(Window::RateInterval).sum().text(),
        r#"sum(rate(socialize_organizations_created_total{job=~"socialize/.+"}[$__rate_interval]))"#
    );
    assert_eq!(
        created().per_bar().sum().text(),
        r#"sum(rate(socialize_organizations_created_total{job=~"socialize/.+"}[$__rate_interval]) * $__interval_ms / 1000)"#
    );
    assert_eq!(
        created().at_end().increase(Window::Range).sum().or_zero().text(),
        r#"sum(increase(socialize_organizations_created_total{job=~"socialize/.+"}[$__range] @ end())) or vector(0)"#
    );
}

#[test]
fn groups_can_have_two_labels_and_be_ranked() {
    renders(
        &requests().count().increase(FIVE_MINUTES).sum_by::<Route, _>().largest(3),
        r#"topk(3, sum by (http_route) (histogram_count(increase(http_server_request_duration_seconds{job=~"socialize/.+",http_route!=""}[5m]))))"#,
    );
    renders(
        &requests().quantile_by_both::<Route, RequestMethod, _, _>(0.95, FIVE_MINUTES),
        r#"histogram_quantile(0.95, sum by (http_route, http_request_method) (rate(http_server_request_duration_seconds{job=~"socialize/.+",http_route!=""}[5m])))"#,
    );
    renders(
        &calls().count().increase(FIVE_MINUTES).sum_by_both::<ResponseStatus, CallFailure, _, _>(),
        r#"sum by (http_response_status_code, error_type) (histogram_count(increase(http_client_request_duration_seconds{job=~"socialize/.+"}[5m])))"#,
    );
    renders(
        &builds().now().count_by_both::<BuildVersion, BuildCommit, _, _>(),
        r#"count by (version, commit) (socialize_build_info{job=~"socialize/.+"})"#,
    );
}

#[test]
fn silence_is_a_zero() {
    let failures = || select(&LOOP_FAILURES).increase(FIVE_MINUTES);
    renders(
        &failures().sum().or_zero(),
        r#"sum(increase(socialize_loop_failures_total{job=~"socialize/.+"}[5m])) or vector(0)"#,
    );
    renders(
        &failures().sum_by::<Loop, _>().above(0.0).or_none(),
        r#"(sum by (loop) (increase(socialize_loop_failures_total{job=~"socialize/.+"}[5m])) > 0) or on () label_replace(vector(0), "loop", "none", "", "")"#,
    );
}

#[test]
fn ages_leave_out_what_ended() {
    renders(
        &select(&HEARTBEAT).ages_below(Duration::from_mins(1)).min_by::<Role, _>(),
        r#"min by (role) (time() - socialize_heartbeat_time_seconds{job=~"socialize/.+"} < 60)"#,
    );
}
