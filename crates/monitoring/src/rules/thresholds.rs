//! Every number that an alert compares with, and why it is that number.
//!
//! They are for an installation with some hundred users. Whoever has more traffic rather lowers shares than raises counts.

use std::time::Duration;

use domain::catalogue::BLOB_OPERATION_DURATION;
use telemetry::builtin::HTTP_SERVER_REQUEST_DURATION;

use crate::query::Bucket;

/// The window in which most conditions look: four exports of metrics at the default of 60 seconds, so that one that
/// was lost changes little.
pub const SHORT: Duration = Duration::from_mins(5);

/// The window of rare events, such as e-mails: several retries of one delivery fall into it.
pub const LONG: Duration = Duration::from_mins(15);

/// How long an alert about events goes on firing after the last one. Retries back off for minutes, and an alert that
/// resolves between two of them tells a lie.
pub const BETWEEN_EVENTS: Duration = Duration::from_mins(10);

/// A process exports at least every 60 seconds unless told otherwise; three minutes are two exports that failed and a restart
/// that took its time.
pub const TELEMETRY_MISSING_AFTER: Duration = Duration::from_mins(3);

/// An event loop turns every second. One that has not for half a minute does not answer within any client's patience.
pub const HUNG_AFTER: Duration = Duration::from_secs(30);

/// The least that [`HUNG_AFTER`] becomes when rules run faster than in real life, for event loops turn at their own pace then as well.
pub const SHORTEST_HUNG_AFTER: Duration = Duration::from_secs(5);

/// The window in which processes that ended early are counted.
pub const CRASH_WINDOW: Duration = Duration::from_hours(1);

/// A process that ends within half an hour of its start was hardly meant to.
pub const YOUNG: Duration = Duration::from_mins(30);

/// A deploy and its rollback make one or two starts of each process; three are a loop.
pub const FEWEST_CRASHES: f64 = 3.0;

/// The lowest memory of an hour, so that bursts do not count.
pub const MEMORY_WINDOW: Duration = Duration::from_hours(1);

/// Growth has to last for two such periods: one that happened once, such as after a start, is no leak.
pub const MEMORY_PERIOD: Duration = Duration::from_hours(6);

/// 32 MiB in six hours are 128 MiB a day: the limit of 512 MiB in deploy/compose.yaml is reached within four days.
pub const MEMORY_GROWTH_BYTES: f64 = 33_554_432.0;

/// Sockets are refused at the limit. Bursts of connections need the rest.
pub const FILE_DESCRIPTOR_SHARE: f64 = 0.8;

/// A pool with hardly an idle connection. The mean of a quarter of an hour, because single readings hit peaks.
pub const POOL_FULL_SHARE: f64 = 0.9;

/// With the window of the mean this is an hour: a busy half hour passes by itself.
pub const POOL_FULL_FOR: Duration = Duration::from_mins(45);

/// The window from which the growth of what is on a disk is taken: long enough for a backup to come and go.
pub const DISK_TREND: Duration = Duration::from_hours(6);

/// Half of [`DISK_TREND`]: a trend of less history is that of a first start.
pub const DISK_TREND_KNOWN: Duration = Duration::from_hours(3);

/// A disk that is full within a day needs somebody within the working day.
pub const DISK_FULL_WITHIN: Duration = Duration::from_hours(24);

/// With more room than this a trend has time to end by itself.
pub const DISK_TREND_SHARE: f64 = 0.5;

/// A worker that was not seen for a day has been removed on purpose.
pub const WORKER_FORGOTTEN_AFTER: Duration = Duration::from_hours(24);

/// Five scrapes that failed: a restart of the program takes less.
pub const TARGET_DOWN_FOR: Duration = Duration::from_mins(2);

/// Half of a queue of 64 MiB is some hours of a small installation, enough to act within a working day.
pub const COLLECTOR_QUEUE_SHARE: f64 = 0.5;

/// The window in which what the application recorded is compared with what the collector took: long enough to see a process that
/// writes few lines, and for a backlog to be read.
pub const ARRIVAL_WINDOW: Duration = Duration::from_mins(30);

/// Both sides count at their own times, so the counts of a window differ by what happens between two scrapes: less than a tenth.
pub const MISSING_SHARE: f64 = 0.1;

/// Fewer missing items than this are the difference of two scrapes.
pub const FEWEST_MISSING: f64 = 30.0;

/// Probes are made every 15 seconds, and three exports that failed are no sign of anything.
pub const PROBES_MISSING_AFTER: Duration = Duration::from_mins(3);

/// A health check does no work: a second is spent on the way, or waiting for a processor.
pub const SLOW_PROBE_SECONDS: f64 = 1.0;

/// Certificates are usually renewed a month before they end. Two weeks are left to find out why this one was not.
pub const CERTIFICATE_ENDS_WITHIN: Duration = Duration::from_hours(14 * 24);

/// Postgres needs room for a sort or a vacuum long before a disk is full.
pub const DISK_LOW_SHARE: f64 = 0.15;

/// What is left at the usual growth is a matter of hours.
pub const DISK_CRITICAL_SHARE: f64 = 0.05;

/// One request in twenty is noticed by every user within minutes.
pub const ERROR_SHARE: f64 = 0.05;

/// Fewer failures within [`SHORT`] may all be one user's, who tries the same thing again and again.
pub const FEWEST_ERRORS: f64 = 10.0;

/// At low traffic a share says little, so failures are counted instead.
pub const LOW_TRAFFIC_REQUESTS: f64 = 1000.0;

/// Three failures within [`LOW_TRAFFIC_WINDOW`] are no coincidence.
pub const LOW_TRAFFIC_ERRORS: f64 = 3.0;

/// Long enough for three users to run into the same fault.
pub const LOW_TRAFFIC_WINDOW: Duration = Duration::from_mins(30);

/// A route of which every other request fails does not work; what else goes through the service hides that from its share.
pub const ROUTE_ERROR_SHARE: f64 = 0.5;

/// Windows in which a route is looked at, with the fewest failures that say something: a route in use, and one that is used once an hour.
pub const ROUTE_WINDOWS: [(Duration, f64); 2] = [(LOW_TRAFFIC_WINDOW, 3.0), (Duration::from_hours(6), 5.0)];

/// Fewer slow requests on one route are one user's slow moment.
pub const FEWEST_SLOW_REQUESTS: f64 = 5.0;

/// Windows in which nothing at all succeeds, for what is rare. A longer one would cost Prometheus more than all other rules.
pub const WORKFLOW_WINDOWS: [Duration; 2] = [Duration::from_hours(6), Duration::from_hours(24)];

/// Of fewer attempts none need succeed: people err.
pub const FEWEST_ATTEMPTS: f64 = 5.0;

/// What users still take for an answer rather than for a wait.
pub const SLOW_REQUEST: Bucket = Bucket::of(&HTTP_SERVER_REQUEST_DURATION.description(), 1.0);

/// A percentile of fewer requests is the duration of one of them.
pub const FEWEST_REQUESTS: f64 = 20.0;

/// Failures within the long window of a budget, below which it cannot be said to burn: a single user's retries stay below.
pub const FEWEST_BUDGET_FAILURES: f64 = 20.0;

/// How much of a long window has to be recorded before its mean says something: a new installation has no four weeks behind it.
pub const WINDOW_COVERAGE: f64 = 0.75;

/// 99.5 % of requests succeed: three and a half hours of complete failure in 28 days.
pub const AVAILABILITY_OBJECTIVE: f64 = 0.995;

/// 99 % of requests are answered within [`SLOW_REQUEST`].
pub const LATENCY_OBJECTIVE: f64 = 0.99;

/// A failing database operation is seen by requests; one in twenty that takes half a second is seen by users.
pub const DATABASE_P95_SECONDS: f64 = 0.5;

/// A percentile of fewer operations says little.
pub const FEWEST_OPERATIONS: f64 = 50.0;

/// Each is a request that failed; a handful is a restart of Postgres.
pub const POOL_TIMEOUTS: f64 = 5.0;

/// Below this many core actions in the same hours a week ago, silence is nothing unusual.
pub const QUIET_FLOOR: f64 = 20.0;

/// A holiday halves usage; four fifths less is a fault that no other alert saw.
pub const QUIET_SHARE: f64 = 0.2;

/// The hours that are compared.
pub const QUIET_WINDOW: Duration = Duration::from_hours(2);

/// How far the hours of a week ago may be shifted: by a change of the clocks, or by people who begin an hour later.
pub const QUIET_NEIGHBOURS: [Duration; 3] =
    [Duration::from_hours(7 * 24 - 1), Duration::from_hours(7 * 24), Duration::from_hours(7 * 24 + 1)];

/// The window in which a single workflow is compared with the same weekday a week ago.
pub const WORKFLOW_QUIET_WINDOW: Duration = Duration::from_hours(24);

/// A workflow that was used less on the same weekday may well not be used at all today.
pub const WORKFLOW_QUIET_FLOOR: f64 = 10.0;

/// Windows in which not one attempt to log in succeeds, in an installation of a few people.
pub const LOGIN_WINDOWS: [Duration; 2] = [Duration::from_hours(1), Duration::from_hours(24)];

/// People mistype passwords, but four of five attempts succeed.
pub const LOGIN_SUCCESS_SHARE: f64 = 0.2;

/// Fewer attempts than this are one forgetful person.
pub const FEWEST_LOGINS: f64 = 20.0;

/// A part of a file is at most some MiB, and is stored within a second by any store that is well.
pub const BLOB_STORE_SLOW: Bucket = Bucket::of(&BLOB_OPERATION_DURATION.description(), 2.5);

/// E-mails, blob operations and deliveries are rare: three failures are a fault of the other side.
pub const FEWEST_FAILURES: f64 = 3.0;

/// Single messages are refused or late because of what is in them. One in five is not.
pub const EMAIL_FAILURE_SHARE: f64 = 0.2;

/// Where there are few e-mails, three that fail are hours apart. If none was delivered in so long, it is no coincidence.
pub const FEW_EMAILS_WINDOW: Duration = Duration::from_hours(6);

/// Items that are given up have been tried for a day.
pub const PUBLISH_FAILED_WINDOW: Duration = Duration::from_hours(24);

/// Fewer are one customer's endpoint, of whose failure that customer hears.
pub const FEWEST_MORE_UNPUBLISHED: f64 = 10.0;

/// Where most items are published, those that are not are their workspaces' to mend.
pub const UNPUBLISHED_SHARE: f64 = 0.2;

/// Within a day everything becomes stale that was submitted on one day and nobody decided on.
pub const STALE_WINDOW: Duration = Duration::from_hours(24);

/// Fewer are one team on holiday.
pub const FEWEST_MORE_STALE: f64 = 50.0;

/// Where reviewers decide, most items in approval are fresh.
pub const STALE_SHARE: f64 = 0.5;

/// Leaves an honest team days to ask for more.
pub const QUOTA_SHARE: f64 = 0.9;

/// Another process may take sampling over meanwhile.
pub const BACKLOG_PENDING: Duration = Duration::from_mins(5);

/// A store that fails one operation in ten fails uploads that users wait for.
pub const BLOB_FAILURE_SHARE: f64 = 0.1;

/// Endpoints belong to customers, and one that fails is theirs to mend. When most fail it is us.
pub const PUBLISHING_FAILURE_SHARE: f64 = 0.5;

/// Jobs start within a second; ten minutes is a queue that nobody works on.
pub const QUEUE_AGE: Duration = Duration::from_mins(10);

/// Every loop turns at least every ten seconds, and pauses no longer after a failure.
pub const LOOP_AGE: Duration = Duration::from_mins(3);

/// The least that [`LOOP_AGE`] becomes when rules run faster than in real life, for loops turn at their own pace then as well.
pub const SHORTEST_LOOP_AGE: Duration = Duration::from_secs(15);

/// A loop that fails once had a reason that passed.
pub const LOOP_FAILURES: f64 = 3.0;

/// Samples are taken every 30 seconds unless told otherwise.
pub const SAMPLE_AGE: Duration = Duration::from_mins(10);

/// `max_connections` less three for superusers is the end; a rolling restart takes another ten of a hundred.
pub const POSTGRES_CONNECTION_SHARE: f64 = 0.8;

/// The longest backup of a database that fits on the hosts this is made for.
pub const OLD_TRANSACTION: Duration = Duration::from_hours(2);

/// Autovacuum begins at a fifth; when there are twice as many, it has not been able to.
pub const DEAD_ROW_SHARE: f64 = 0.4;

/// A table of fewer rows is read in a millisecond however many of them are dead.
pub const FEWEST_DEAD_ROWS: f64 = 10_000.0;

/// Autovacuum freezes from 200 million on, and two billion are the end.
pub const TRANSACTION_ID_AGE: f64 = 500_000_000.0;

/// What is left of a host of 4 GiB is then less than the limit of one container.
pub const HOST_MEMORY_SHARE: f64 = 0.08;
