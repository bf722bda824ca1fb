//! Settings of the process, its jobs and its samples.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::platform::settings::{LONGEST, boolean, duration, number};

/// A gauge that is sampled less than once an hour would describe the past.
const GAUGE_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);
/// A comparison reads every row; one that runs less than once a month is useless.
const GAUGE_CHECK_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_hours(31 * 24);
/// At most a year.
const APPROVAL_STALE_AFTER: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(365 * 24);

/// Settings of the process, its jobs and its samples.
#[derive(Args)]
pub struct ProcessSettings {
    // Load balancers that probe every second notice in time. Without a delay, 36 of 2,037 requests over six
    // restarts met a closed listener.
    /// Time for which readiness fails before the listener closes, so that load balancers notice. It
    /// must be at least their probe interval times the failures that they wait for
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_DRAIN_DELAY", default_value = "2s")]
    #[arg(value_parser = duration(Duration::ZERO..=LONGEST))]
    pub drain_delay: Duration,
    /// Maximum time for requests and jobs to end at shutdown
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_SHUTDOWN_TIMEOUT", default_value = "20s")]
    #[arg(value_parser = duration(Duration::ZERO..=LONGEST))]
    pub shutdown_timeout: Duration,
    /// Let serve work on jobs too: true or false
    #[arg(long, value_name = "BOOL", env = "SOCIALIZE_SERVE_WORKS", default_value = "true")]
    #[arg(value_parser = boolean, action = ArgAction::Set)]
    pub serve_works: bool,
    /// Maximum number of concurrent jobs of a kind; four times as many deliveries to publishing
    /// endpoints
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_JOB_CONCURRENCY", default_value = "8")]
    #[arg(value_parser = number::<usize>(1..=256))]
    pub job_concurrency: usize,
    /// Time after which the jobs of a killed worker are taken over by another
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_JOB_LEASE", default_value = "60s")]
    #[arg(value_parser = duration(Duration::from_secs(1)..=Duration::from_hours(1)))]
    pub job_lease: Duration,

    /// Interval at which one process, on behalf of all, samples the database gauges
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_GAUGE_INTERVAL", default_value = "30s")]
    #[arg(value_parser = duration(GAUGE_INTERVAL))]
    pub gauge_interval: Duration,
    /// Interval at which their counts are compared with the tables, which reads every content item
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_GAUGE_CHECK_INTERVAL", default_value = "1h")]
    #[arg(value_parser = duration(GAUGE_CHECK_INTERVAL))]
    pub gauge_check_interval: Duration,
    /// Time in approval after which a content item counts as stale and its reviewers are reminded
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_APPROVAL_STALE_AFTER", default_value = "72h")]
    #[arg(value_parser = duration(APPROVAL_STALE_AFTER))]
    pub approval_stale_after: Duration,
}
