//! Every metric that Socialize emits: name, labels, unit and the operator's question that it
//! answers.
//!
//! Instruments are built only from these constants. So an undeclared metric cannot be emitted, and
//! a dashboard can only name declared ones.
//!
//! Long because the metrics form one table.

use domain::audit::AuditAction;
use domain::vocabulary::{ContentItemStatus, Decision, FeedbackKind, FeedbackStatus};
use signal::metric::{
    ClosedAtStart, CounterMetric, DATABASE_BOUNDS, GaugeMetric, HistogramMetric, IsGauge,
    LONG_DURATION_BOUNDS, Label, Metric, MetricDescription, MetricKind, Unit, UpDownCounterMetric,
};
use signal::{JobOutcome, builtin};

use crate::database_operation::DatabaseOperation;
use crate::labels::{
    ActivityWindow, AuthFailureReason, BlobOperation, BlobOutcome, ConnectionPool, ConnectionState,
    DatabaseSystem, Dependency, Disk, EmailLimit, EmailOutcome, EmailResult, EmailTemplate, ErrorCode,
    JobKind, Loop, PublishingEndpointChange, PublishingOutcome, Quota, Role, StatusGauge,
};

const ARE_WORKFLOWS_USED: &str = "Are real users exercising the core workflows?";
const DO_NEW_USERS_ARRIVE: &str = "Do new users get from registration to their first publication?";
const IS_THE_WORKFLOW_HEALTHY: &str = "Is the workflow itself healthy?";
const IS_THERE_ROOM: &str = "Is a disk filling up?";
const DO_PEOPLE_LOG_IN: &str = "Do people log in?";

/// Labels of failed database operations: the kind of the error, and the code of the response.
pub const DATABASE_FAILURE_KEYS: &[&str] = &["error.type", "db.response.status_code"];

/// All labels of database operations.
const DATABASE_KEYS: &[&str] =
    &[DatabaseOperation::KEY, DatabaseSystem::KEY, DATABASE_FAILURE_KEYS[0], DATABASE_FAILURE_KEYS[1]];

signal::metrics! {
    /// The process itself.
    const PROCESS;

    /// Version and commit of the running build, as labels of a constant 1.
    pub const BUILD_INFO: Metric<ClosedAtStart, IsGauge> = Metric::closed_at_start(
        "socialize.build.info",
        MetricKind::Gauge,
        Unit::Count("{build}"),
        "Always 1; the labels say which version is running.",
        "Which version is running?",
        &["version", "commit"],
        &[],
    );

    /// Time at which the event loop of a process last made progress, by role.
    pub const HEARTBEAT: GaugeMetric<Role> = GaugeMetric::gauge(
        "socialize.heartbeat.time",
        Unit::Seconds,
        "Unix time at which a process of this role last turned its event loop.",
        "Is it up?",
    );

    /// Start time of a process, by role.
    pub const STARTED: GaugeMetric<Role> = GaugeMetric::gauge(
        "socialize.start.time",
        Unit::Seconds,
        "Unix time at which a process of this role started.",
        "Do processes crash and start again and again?",
    );

    /// Live tasks of the asynchronous runtime.
    pub const RUNTIME_TASKS: UpDownCounterMetric = UpDownCounterMetric::up_down_counter(
        "socialize.runtime.tasks",
        Unit::Count("{task}"),
        "Tasks that have begun and not ended: connections, jobs, loops.",
        "Does the process leak work?",
    );
}

signal::metrics! {
    /// Errors of the API, dependencies, the database and background work.
    const WORK;

    /// Counted by `Signals::api_error`: error responses by their stable code.
    pub const API_ERRORS: CounterMetric<ErrorCode> = CounterMetric::counter(
        "socialize.api.errors",
        Unit::Count("{error}"),
        "Error answers of the API, by their stable code.",
        "What do requests fail of?",
    );

    /// 1 or 0 by the latest check of each dependency.
    pub const DEPENDENCY_UP: GaugeMetric<Dependency> = GaugeMetric::gauge(
        "socialize.dependency.up",
        Unit::Count("{dependency}"),
        "1 while the dependency answers its check in time, 0 while it does not. Absent while no check has a \
         recent result.",
        "Are Postgres, the mail server and the blob store reachable?",
    );

    /// Size of the file system of a directory, in bytes.
    pub const DISK_SIZE: GaugeMetric<Disk> = GaugeMetric::gauge(
        "socialize.disk.size",
        Unit::Bytes,
        "Size of the file system of a directory that the process writes to.",
        IS_THERE_ROOM,
    );

    /// Free space of the file system of a directory, in bytes.
    pub const DISK_AVAILABLE: GaugeMetric<Disk> = GaugeMetric::gauge(
        "socialize.disk.available",
        Unit::Bytes,
        "What can still be written to the file system of a directory that the process writes to.",
        IS_THERE_ROOM,
    );

    /// Duration of database operations; acquiring a connection is one of them.
    pub const DB_CLIENT_OPERATION_DURATION: HistogramMetric<(DatabaseOperation, DatabaseSystem)> =
        HistogramMetric::histogram(
            "db.client.operation.duration",
            "How long database operations took, by operation, error type and code of the response.",
            "Is Postgres slow or failing, and where?",
            DATABASE_BOUNDS,
        )
        .with_failures(DATABASE_KEYS)
        .of_operations();

    /// Pooled connections by state.
    pub const DB_CLIENT_CONNECTION_COUNT: UpDownCounterMetric<(ConnectionState, ConnectionPool)> =
        UpDownCounterMetric::up_down_counter(
            "db.client.connection.count",
            Unit::Count("{connection}"),
            "Connections of the pool to Postgres, by state.",
            "Is the pool starved?",
        );

    /// Configured upper limit of the pool.
    pub const DB_CLIENT_CONNECTION_MAX: UpDownCounterMetric<ConnectionPool> =
        UpDownCounterMetric::up_down_counter(
            "db.client.connection.max",
            Unit::Count("{connection}"),
            "The most connections that the pool may open.",
            "Is the pool starved?",
        );

    /// Operations that are waiting for a pooled connection.
    pub const DB_CLIENT_CONNECTION_PENDING: UpDownCounterMetric<ConnectionPool> =
        UpDownCounterMetric::up_down_counter(
            "db.client.connection.pending_requests",
            Unit::Count("{request}"),
            "Operations that wait for a connection of the pool.",
            "Is the pool starved?",
        );

    /// Operations that got no pooled connection in time.
    pub const DB_CLIENT_CONNECTION_TIMEOUTS: CounterMetric<ConnectionPool> = CounterMetric::counter(
        "db.client.connection.timeouts",
        Unit::Count("{timeout}"),
        "Operations that got no connection of the pool in time.",
        "Is the pool starved?",
    );

    /// Time that operations waited for a pooled connection.
    pub const DB_CLIENT_CONNECTION_WAIT_TIME: HistogramMetric<ConnectionPool> = HistogramMetric::histogram(
        "db.client.connection.wait_time",
        "How long operations waited for a connection of the pool.",
        "Is the pool starved?",
        DATABASE_BOUNDS,
    );

    /// Duration of job runs, including failed ones.
    pub const JOB_RUN_DURATION: HistogramMetric<(JobKind, JobOutcome)> = HistogramMetric::histogram(
        "socialize.job.run.duration",
        "How long runs of background jobs took, by job and outcome.",
        "Do background services fail or lag?",
        LONG_DURATION_BOUNDS,
    )
    .of_operations();

    /// Jobs that are queued or running.
    pub const JOB_QUEUE_DEPTH: GaugeMetric<JobKind> = GaugeMetric::gauge(
        "socialize.job.queue.depth",
        Unit::Count("{job}"),
        "Jobs that wait for their time or for a worker, or are running.",
        "Do background services lag?",
    );

    /// Delay of the oldest due job.
    pub const JOB_QUEUE_OLDEST_AGE: GaugeMetric<JobKind> = GaugeMetric::gauge(
        "socialize.job.queue.oldest_age",
        Unit::Seconds,
        "How long the oldest due job has been waiting past the time at which it should have run.",
        "Do background services lag or stand still?",
    );

    /// Jobs that were given up and wait for an operator.
    pub const JOB_QUEUE_DEAD: GaugeMetric<JobKind> = GaugeMetric::gauge(
        "socialize.job.queue.dead",
        Unit::Count("{job}"),
        "Jobs that were given up and wait for an operator.",
        "Did background work fail for good?",
    );

    /// Time at which this process last completed a job of a kind.
    pub const JOB_LAST_SUCCESS: GaugeMetric<JobKind> = GaugeMetric::gauge(
        "socialize.job.last_success.time",
        Unit::Seconds,
        "Unix time at which this process last ran a job of this kind without an error.",
        "Do background services stand still?",
    );

    /// Time of the last successful iteration of a loop.
    pub const LOOP_LAST_SUCCESS: GaugeMetric<Loop> = GaugeMetric::gauge(
        "socialize.loop.last_success.time",
        Unit::Seconds,
        "Unix time at which a loop last completed a turn without an error.",
        "Does a background loop stand still?",
    );

    /// Failed iterations of a loop.
    pub const LOOP_FAILURES: CounterMetric<Loop> = CounterMetric::counter(
        "socialize.loop.failures",
        Unit::Count("{failure}"),
        "Turns of a loop that failed or panicked. The loop goes on after a pause.",
        "Does a background loop fail?",
    );

    /// Attempts to hand an e-mail to the mail server.
    pub const EMAIL_DELIVERIES: CounterMetric<(EmailTemplate, EmailOutcome)> = CounterMetric::counter(
        "socialize.email.deliveries",
        Unit::Count("{attempt}"),
        "Attempts to hand an e-mail to the mail server, by template and outcome.",
        "Do e-mails fail?",
    )
    .of_operations();

    /// E-mails by their result over all attempts.
    pub const EMAIL_MESSAGES: CounterMetric<EmailResult> = CounterMetric::counter(
        "socialize.email.messages",
        Unit::Count("{message}"),
        "E-mails by what became of them. However often one is tried, it counts once for each result that it comes to.",
        "Do e-mails reach people?",
    );

    /// Duration of operations on the blob store, including streaming to the client.
    pub const BLOB_OPERATION_DURATION: HistogramMetric<(BlobOperation, BlobOutcome)> = HistogramMetric::histogram(
        "socialize.blob.operation.duration",
        "How long operations on the blob store took, by operation and outcome. Reading lasts as long as the \
         client takes.",
        "Does blob storage fail?",
        LONG_DURATION_BOUNDS,
    )
    .of_operations();
}

signal::metrics! {
    /// Publishing, accounts and user actions.
    const USAGE;

    /// Counted by `Signals::publishing_attempted`: attempts to deliver a content item.
    pub const PUBLISHING_DELIVERIES: CounterMetric<PublishingOutcome> = CounterMetric::fact(
        "socialize.publishing.deliveries",
        Unit::Count("{attempt}"),
        "Attempts to deliver a content item to the publishing endpoint of its workspace, by outcome.",
        "Does publishing fail?",
    );

    /// Counted by `Signals::publishing_endpoint_changed`, by kind of change.
    pub const PUBLISHING_ENDPOINTS_CHANGED: CounterMetric<PublishingEndpointChange> = CounterMetric::fact(
        "socialize.publishing_endpoints.changed",
        Unit::Count("{change}"),
        "Changes that managers made to the publishing endpoints of their workspaces.",
        "Do teams set up publishing?",
    );

    /// Counted by `Signals::email_withheld`: e-mails over a limit, which were not sent.
    pub const EMAILS_WITHHELD: CounterMetric<EmailLimit> = CounterMetric::fact(
        "socialize.emails.withheld",
        Unit::Count("{email}"),
        "E-mails that were not sent because they were over a limit of what others can cause, by limit.",
        "Does somebody have us flood mailboxes?",
    );

    /// Counted by `Signals::audited`: changes of permissions and of settings that protect approval.
    pub const AUDIT_EVENTS: CounterMetric<AuditAction> = CounterMetric::fact(
        "socialize.audit.events",
        Unit::Count("{event}"),
        "Changes of rights and of what protects approval, by what was changed.",
        "Does somebody change who may do what?",
    );

    /// Counted by `Signals::auth_failed`, by reason.
    pub const AUTH_FAILURES: CounterMetric<AuthFailureReason> = CounterMetric::fact(
        "socialize.auth.failures",
        Unit::Count("{failure}"),
        "Requests whose caller could not be authenticated, by reason.",
        "Do people fail to authenticate?",
    );

    /// Counted by `Signals::login_attempted`, whatever the outcome.
    pub const AUTH_LOGIN_ATTEMPTS: CounterMetric = CounterMetric::counter(
        "socialize.auth.login.attempts",
        Unit::Count("{attempt}"),
        "Attempts to log in with e-mail address and password, whatever came of them.",
        DO_PEOPLE_LOG_IN,
    );

    /// Counted by `Signals::login_succeeded`.
    pub const AUTH_LOGIN_SUCCESSES: CounterMetric = CounterMetric::fact(
        "socialize.auth.login.successes",
        Unit::Count("{login}"),
        "Attempts to log in that succeeded.",
        DO_PEOPLE_LOG_IN,
    );

    /// Counted by `Signals::user_registered`, before the address is confirmed.
    pub const USERS_REGISTERED: CounterMetric = CounterMetric::fact(
        "socialize.users.registered",
        Unit::Count("{user}"),
        "Registrations with an address that has no account. Whoever registers twice before confirming it counts twice.",
        DO_NEW_USERS_ARRIVE,
    );

    /// Counted by `Signals::user_verified`, when the account begins.
    pub const USERS_VERIFIED: CounterMetric = CounterMetric::fact(
        "socialize.users.verified",
        Unit::Count("{user}"),
        "Accounts that began because their address was confirmed.",
        DO_NEW_USERS_ARRIVE,
    );

    /// Counted by `Signals::organization_created`.
    pub const ORGANIZATIONS_CREATED: CounterMetric = CounterMetric::fact(
        "socialize.organizations.created",
        Unit::Count("{organization}"),
        "Organizations created.",
        ARE_WORKFLOWS_USED,
    );

    /// Counted by `Signals::workspace_created`.
    pub const WORKSPACES_CREATED: CounterMetric = CounterMetric::fact(
        "socialize.workspaces.created",
        Unit::Count("{workspace}"),
        "Workspaces created.",
        ARE_WORKFLOWS_USED,
    );

    /// Counted by `Signals::workspace_invite_created`.
    pub const WORKSPACE_INVITES_CREATED: CounterMetric = CounterMetric::fact(
        "socialize.workspace_invites.created",
        Unit::Count("{invite}"),
        "Workspace invites created.",
        ARE_WORKFLOWS_USED,
    );

    /// Counted by `Signals::content_item_created`, once per item and not per revision.
    pub const CONTENT_ITEMS_CREATED: CounterMetric = CounterMetric::fact(
        "socialize.content_items.created",
        Unit::Count("{content_item}"),
        "Content items created.",
        ARE_WORKFLOWS_USED,
    );

    /// Counted by `Signals::comment_created`.
    pub const COMMENTS_CREATED: CounterMetric = CounterMetric::fact(
        "socialize.comments.created",
        Unit::Count("{comment}"),
        "Comments on content items created.",
        ARE_WORKFLOWS_USED,
    );

    /// Counted by `Signals::approval_decision_submitted`, by verdict.
    pub const APPROVAL_DECISIONS_SUBMITTED: CounterMetric<Decision> = CounterMetric::fact(
        "socialize.approval_decisions.submitted",
        Unit::Count("{decision}"),
        "Approval decisions that reviewers submitted.",
        ARE_WORKFLOWS_USED,
    );

    /// Counted by `Signals::workspace_first_published`, once per workspace.
    pub const WORKSPACES_FIRST_PUBLISHED: CounterMetric = CounterMetric::fact(
        "socialize.workspaces.first_published",
        Unit::Count("{workspace}"),
        "Workspaces whose first content item was published, by delivery or by hand.",
        DO_NEW_USERS_ARRIVE,
    );

    /// Counted by `Signals::feedback_report_submitted`, by kind.
    pub const FEEDBACK_REPORTS_SUBMITTED: CounterMetric<FeedbackKind> = CounterMetric::fact(
        "socialize.feedback_reports.submitted",
        Unit::Count("{report}"),
        "Feedback reports that users submitted.",
        "Do users run into bugs?",
    );

    /// Sampled from the database: content items by status.
    pub const CONTENT_ITEMS: GaugeMetric<ContentItemStatus> = GaugeMetric::gauge(
        "socialize.content_items",
        Unit::Count("{content_item}"),
        "Content items by status.",
        IS_THE_WORKFLOW_HEALTHY,
    );

    /// Sampled from the database: items that have waited too long for decisions.
    pub const CONTENT_ITEMS_STALE_IN_APPROVAL: GaugeMetric = GaugeMetric::gauge(
        "socialize.content_items.stale_in_approval",
        Unit::Count("{content_item}"),
        "Content items that have been in approval for longer than SOCIALIZE_APPROVAL_STALE_AFTER, 72 hours by default.",
        IS_THE_WORKFLOW_HEALTHY,
    );

    /// Sampled from the database: feedback reports by status.
    pub const FEEDBACK_REPORTS: GaugeMetric<FeedbackStatus> = GaugeMetric::gauge(
        "socialize.feedback_reports",
        Unit::Count("{report}"),
        "Feedback reports by status.",
        "Is feedback looked at?",
    );

    /// Sampled from the database: invites that can still be accepted.
    pub const WORKSPACE_INVITES_PENDING: GaugeMetric = GaugeMetric::gauge(
        "socialize.workspace_invites.pending",
        Unit::Count("{invite}"),
        "Workspace invites that can be accepted now.",
        IS_THE_WORKFLOW_HEALTHY,
    );

    /// Sampled from the database: workspaces with recent changes.
    pub const WORKSPACES_ACTIVE: GaugeMetric<ActivityWindow> = GaugeMetric::gauge(
        "socialize.workspaces.active",
        Unit::Count("{workspace}"),
        "Workspaces in which a member changed something within the window, exact to five minutes.",
        ARE_WORKFLOWS_USED,
    );

    /// Time of the last sample of the database gauges.
    pub const SAMPLER_LAST_SUCCESS: GaugeMetric = GaugeMetric::gauge(
        "socialize.sampler.last_success.time",
        Unit::Seconds,
        "Unix time of the last sample that the gauges of the database show. Only the process that samples reports it.",
        "Can I trust what I see?",
    );

    /// Difference between the incremental counts and the tables, in rows.
    pub const GAUGE_DRIFT: GaugeMetric<StatusGauge> = GaugeMetric::gauge(
        "socialize.gauge.drift",
        Unit::Count("{row}"),
        "Rows by which the last exact comparison found a gauge's counts to differ from its table, over all statuses.",
        "Can I trust what I see?",
    );

    /// Largest share of a quota that a customer uses.
    pub const QUOTA_LARGEST_SHARE: GaugeMetric<Quota> = GaugeMetric::gauge(
        "socialize.quota.largest_share",
        Unit::One,
        "The largest share of a quota that any user or organization uses.",
        "Does a customer need more room, or does somebody fill the server?",
    );
}

/// Returns every metric, in the order of `docs/METRICS.md`.
pub fn all() -> Vec<MetricDescription> {
    [PROCESS, builtin::PROCESS, builtin::HTTP_SERVER, WORK, builtin::HTTP_CLIENT, USAGE, builtin::PIPELINE]
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_keep_to_the_conventions() {
        let mut names = HashSet::new();
        for metric in all() {
            assert!(names.insert(metric.name), "{} is declared twice", metric.name);
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
            assert!(metric.name.chars().all(allowed), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}: help is a sentence", metric.name);
            assert!(
                metric.question.ends_with('?'),
                "{}: the question ends with a question mark",
                metric.name
            );
            if let Unit::Count(annotation) = metric.unit {
                assert!(annotation.starts_with('{') && annotation.ends_with('}'), "{}", metric.name);
            }
        }
    }

    /// Prometheus's OTLP receiver overwrites `job` and `instance`, and `le` distinguishes buckets.
    #[test]
    fn no_label_is_one_that_prometheus_sets_itself() {
        for metric in all() {
            for key in metric.label_keys {
                assert!(!["job", "instance", "le"].contains(key), "{}: {key}", metric.name);
            }
        }
    }

    #[test]
    fn prometheus_names_follow_the_standard_translation() {
        let name = |metric: MetricDescription| metric.prometheus_name();
        assert_eq!(name(ORGANIZATIONS_CREATED.description()), "socialize_organizations_created_total");
        assert_eq!(name(JOB_RUN_DURATION.description()), "socialize_job_run_duration_seconds");
        assert_eq!(name(LOOP_LAST_SUCCESS.description()), "socialize_loop_last_success_time_seconds");
        assert_eq!(name(builtin::PROCESS_MEMORY_USAGE.description()), "process_memory_usage_bytes");
        assert_eq!(name(builtin::PROCESS_CPU_TIME.description()), "process_cpu_time_seconds_total");
        assert_eq!(name(DEPENDENCY_UP.description()), "socialize_dependency_up");
    }
}
