//! Every threshold of an alert, with its reason.
//!
//! They suit an installation with some hundred users. With more traffic, lower the shares rather than raise
//! the counts.

use std::time::Duration;

use crate::query::Limit;

/// The window of most conditions. It covers four exports of metrics at the default of 60 seconds, so one lost
/// export changes little.
pub const SHORT: Duration = Duration::from_mins(5);

/// The window of rare events such as e-mails. It covers several retries of one delivery.
pub const LONG: Duration = Duration::from_mins(15);

/// Time that an alert about events keeps firing after the last one. Retries back off for minutes, and the
/// alert must not resolve between two of them.
pub const BETWEEN_EVENTS: Duration = Duration::from_mins(10);

/// A process exports every 60 seconds by default. Three minutes allow for two failed exports and a slow
/// restart.
pub const TELEMETRY_MISSING_AFTER: Duration = Duration::from_mins(3);

/// An event loop updates its heartbeat every second. After half a minute without, every client has timed out.
pub const HUNG_AFTER: Duration = Duration::from_secs(30);

/// Lower bound of [`HUNG_AFTER`] at faster scales, because heartbeats are not scaled.
pub const SHORTEST_HUNG_AFTER: Duration = Duration::from_secs(5);

/// The window that counts processes which ended early.
pub const CRASH_WINDOW: Duration = Duration::from_hours(1);

/// A process that ends within half an hour of its start hardly ended on purpose.
pub const YOUNG: Duration = Duration::from_mins(30);

/// A deploy and its rollback start each process once or twice; three starts are a crash loop.
pub const FEWEST_CRASHES: f64 = 3.0;

/// The minimum of an hour is compared, so that bursts do not count.
pub const MEMORY_WINDOW: Duration = Duration::from_hours(1);

/// Memory must grow over two such periods, because one increase, such as after a start, is not a leak.
pub const MEMORY_PERIOD: Duration = Duration::from_hours(6);

/// 32 MiB in six hours are 128 MiB a day, which reaches the limit of 512 MiB in deploy/compose.yaml within
/// four days.
pub const MEMORY_GROWTH_BYTES: f64 = 33_554_432.0;

/// At the limit new sockets fail. The rest is a reserve for bursts of connections.
pub const FILE_DESCRIPTOR_SHARE: f64 = 0.8;

/// A pool with hardly an idle connection. The condition averages over a quarter of an hour, because single
/// samples may hit peaks.
pub const POOL_FULL_SHARE: f64 = 0.9;

/// Together with the averaging window this is an hour; a busy half hour passes by itself.
pub const POOL_FULL_FOR: Duration = Duration::from_mins(45);

/// The window for the growth of a disk's content: longer than a temporary backup.
pub const DISK_TREND: Duration = Duration::from_hours(6);

/// Half of [`DISK_TREND`]. A shorter history reflects only the first start.
pub const DISK_TREND_KNOWN: Duration = Duration::from_hours(3);

/// A disk that will be full within a day needs attention within the working day.
pub const DISK_FULL_WITHIN: Duration = Duration::from_hours(24);

/// With more free space than this, a trend has time to end by itself.
pub const DISK_TREND_SHARE: f64 = 0.5;

/// A worker that has been absent for a day was removed on purpose.
pub const WORKER_FORGOTTEN_AFTER: Duration = Duration::from_hours(24);

/// Five failed scrapes: a restart takes less.
pub const TARGET_DOWN_FOR: Duration = Duration::from_mins(2);

/// Half of the queue of 64 MiB is some hours of a small installation, so there is time to act within the
/// working day.
pub const COLLECTOR_QUEUE_SHARE: f64 = 0.5;

/// The window in which recorded and accepted items are compared: long enough for a process that logs little,
/// and for a backlog to drain.
pub const ARRIVAL_WINDOW: Duration = Duration::from_mins(30);

/// Both sides count at different times, so the counts of a window differ by the items between two scrapes:
/// less than a tenth.
pub const MISSING_SHARE: f64 = 0.1;

/// Fewer missing items can be the difference between two scrapes.
pub const FEWEST_MISSING: f64 = 30.0;

/// Probes run every 15 seconds; three failed exports alone are not significant.
pub const PROBES_MISSING_AFTER: Duration = Duration::from_mins(3);

/// A health check does no work, so a second is spent on the network or waiting for a CPU.
pub const SLOW_PROBE_SECONDS: f64 = 1.0;

/// Certificates are usually renewed a month before they expire. Two weeks remain to find out why this one was
/// not.
pub const CERTIFICATE_ENDS_WITHIN: Duration = Duration::from_hours(14 * 24);

/// Postgres needs space for sorts and vacuum long before a disk is full.
pub const DISK_LOW_SHARE: f64 = 0.15;

/// At usual growth the rest lasts for hours only.
pub const DISK_CRITICAL_SHARE: f64 = 0.05;

/// At one failure in twenty requests every user notices within minutes.
pub const ERROR_SHARE: f64 = 0.05;

/// Fewer failures within [`SHORT`] may all come from one user who keeps retrying.
pub const FEWEST_ERRORS: f64 = 10.0;

/// At low traffic a share means little, so failures are counted instead.
pub const LOW_TRAFFIC_REQUESTS: f64 = 1000.0;

/// Three failures within [`LOW_TRAFFIC_WINDOW`] are significant.
pub const LOW_TRAFFIC_ERRORS: f64 = 3.0;

/// Long enough for three users to hit the same fault.
pub const LOW_TRAFFIC_WINDOW: Duration = Duration::from_mins(30);

/// A route that fails half of its requests is broken, but the traffic of other routes hides it in the overall
/// share.
pub const ROUTE_ERROR_SHARE: f64 = 0.5;

/// Windows for a single route with their minimum number of failures: for a busy route, and for one that is
/// used once an hour.
pub const ROUTE_WINDOWS: [(Duration, f64); 2] = [(LOW_TRAFFIC_WINDOW, 3.0), (Duration::from_hours(6), 5.0)];

/// Fewer slow requests on one route may all come from one user.
pub const FEWEST_SLOW_REQUESTS: f64 = 5.0;

/// Windows for rare workflows, in which none may have succeeded. A longer one would cost Prometheus more than
/// all other rules together.
pub const WORKFLOW_WINDOWS: [Duration; 2] = [Duration::from_hours(6), Duration::from_hours(24)];

/// With fewer attempts all may fail by users' mistakes.
pub const FEWEST_ATTEMPTS: f64 = 5.0;

/// Maximum duration that users do not perceive as waiting.
pub const SLOW_REQUEST: Limit = Limit::at(1.0);

/// With fewer requests a percentile is the duration of a single one.
pub const FEWEST_REQUESTS: f64 = 20.0;

/// Minimum number of failures in the long window of a burn-rate alert: the retries of a single user stay
/// below.
pub const FEWEST_BUDGET_FAILURES: f64 = 20.0;

/// Share of a long window that must have samples: a new installation does not have four weeks of them.
pub const WINDOW_COVERAGE: f64 = 0.75;

/// 99.5 % of requests succeed, which allows three and a half hours of complete failure in 28 days.
pub const AVAILABILITY_OBJECTIVE: f64 = 0.995;

/// 99 % of requests finish within [`SLOW_REQUEST`].
pub const LATENCY_OBJECTIVE: f64 = 0.99;

/// Users notice when one operation in twenty takes half a second.
pub const DATABASE_P95_SECONDS: f64 = 0.5;

/// With fewer operations a percentile means little.
pub const FEWEST_OPERATIONS: f64 = 50.0;

/// Each timeout is a failed request; a few of them are a restart of Postgres.
pub const POOL_TIMEOUTS: f64 = 5.0;

/// With fewer core actions in the same hours a week ago, silence is normal.
pub const QUIET_FLOOR: f64 = 20.0;

/// A holiday halves usage; a drop by four fifths is a fault that no other alert caught.
pub const QUIET_SHARE: f64 = 0.2;

/// The window that is compared with a week ago.
pub const QUIET_WINDOW: Duration = Duration::from_hours(2);

/// Offsets of the window a week ago: for a change of the clocks, and for people who start an hour later.
pub const QUIET_NEIGHBOURS: [Duration; 3] =
    [Duration::from_hours(7 * 24 - 1), Duration::from_hours(7 * 24), Duration::from_hours(7 * 24 + 1)];

/// The window in which a single workflow is compared with the same weekday a week ago.
pub const WORKFLOW_QUIET_WINDOW: Duration = Duration::from_hours(24);

/// A workflow that was used less on the same weekday may be unused today without any fault.
pub const WORKFLOW_QUIET_FLOOR: f64 = 10.0;

/// Windows without a single successful login, for an installation with a few people.
pub const LOGIN_WINDOWS: [Duration; 2] = [Duration::from_hours(1), Duration::from_hours(24)];

/// People mistype passwords, but four of five attempts succeed.
pub const LOGIN_SUCCESS_SHARE: f64 = 0.2;

/// Fewer attempts may all come from one forgetful user.
pub const FEWEST_LOGINS: f64 = 20.0;

/// A part of a file has at most a few MiB, and a healthy store writes it within a second.
pub const BLOB_STORE_SLOW: Limit = Limit::at(2.0);

/// E-mails, blob operations and deliveries are rare: three failures are a fault of the remote side.
pub const FEWEST_FAILURES: f64 = 3.0;

/// Single messages are refused or delayed because of their content; one in five is not.
pub const EMAIL_FAILURE_SHARE: f64 = 0.2;

/// With few e-mails, three failures are hours apart. If none was delivered meanwhile, they are significant.
pub const FEW_EMAILS_WINDOW: Duration = Duration::from_hours(6);

/// Items are given up after a day of retries.
pub const PUBLISH_FAILED_WINDOW: Duration = Duration::from_hours(24);

/// Fewer items concern one customer's endpoint, and that customer is told.
pub const FEWEST_MORE_UNPUBLISHED: f64 = 10.0;

/// If most items are published, the rest is for their workspaces to fix.
pub const UNPUBLISHED_SHARE: f64 = 0.2;

/// Within a day, all undecided items that were submitted on one day become stale.
pub const STALE_WINDOW: Duration = Duration::from_hours(24);

/// Fewer items belong to one team on holiday.
pub const FEWEST_MORE_STALE: f64 = 50.0;

/// If reviewers are active, most items in approval are recent.
pub const STALE_SHARE: f64 = 0.5;

/// Leaves a legitimate team days to ask for more.
pub const QUOTA_SHARE: f64 = 0.9;

/// Another process may take over sampling meanwhile.
pub const BACKLOG_PENDING: Duration = Duration::from_mins(5);

/// A store that fails one operation in ten fails uploads that users wait for.
pub const BLOB_FAILURE_SHARE: f64 = 0.1;

/// Customers own their endpoints and fix them. If most fail, the fault is here.
pub const PUBLISHING_FAILURE_SHARE: f64 = 0.5;

/// Jobs normally start within a second; after ten minutes no worker processes the queue.
pub const QUEUE_AGE: Duration = Duration::from_mins(10);

/// Every loop iterates at least every ten seconds, also after a failure.
pub const LOOP_AGE: Duration = Duration::from_mins(3);

/// Lower bound of [`LOOP_AGE`] at faster scales, because loops are not scaled.
pub const SHORTEST_LOOP_AGE: Duration = Duration::from_secs(15);

/// A single failure was transient.
pub const LOOP_FAILURES: f64 = 3.0;

/// Samples are taken every 30 seconds by default.
pub const SAMPLE_AGE: Duration = Duration::from_mins(10);

/// The limit is `max_connections` less three for superusers; a rolling restart needs another ten of a
/// hundred.
pub const POSTGRES_CONNECTION_SHARE: f64 = 0.8;

/// The longest backup of a database that fits on the intended hosts.
pub const OLD_TRANSACTION: Duration = Duration::from_hours(2);

/// Autovacuum starts at a fifth; at twice as many dead rows it could not run.
pub const DEAD_ROW_SHARE: f64 = 0.4;

/// A smaller table is read within a millisecond, however many of its rows are dead.
pub const FEWEST_DEAD_ROWS: f64 = 10_000.0;

/// Autovacuum freezes from 200 million on; the hard limit is two billion.
pub const TRANSACTION_ID_AGE: f64 = 500_000_000.0;

/// The rest of a host of 4 GiB is then less than the limit of one container.
pub const HOST_MEMORY_SHARE: f64 = 0.08;
