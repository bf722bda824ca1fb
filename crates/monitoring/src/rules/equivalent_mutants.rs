//! Mutants of rules that no test can catch, because they are equivalent to the rule. `./test mutants` fails
//! for each that is caught or no longer exists.

/// An equivalent mutant.
pub(crate) struct Equivalent {
    /// The alert or recording.
    pub(crate) rule: &'static str,
    /// The mutation, as `./test mutants` prints it.
    pub(crate) change: &'static str,
    /// Reason why the rule stays equivalent.
    pub(crate) reason: &'static str,
}

const fn same(rule: &'static str, change: &'static str, reason: &'static str) -> Equivalent {
    Equivalent { rule, change, reason }
}

/// Every equivalent mutant.
pub(crate) const ALL: &[Equivalent] = &[
    same("Watchdog", "1 becomes 2", ALWAYS),
    same("Watchdog", "1 becomes 0.5", ALWAYS),
    same("Watchdog", "1 becomes 0", ALWAYS),
    same("PostgresUnreachable", "1 becomes 0.5", ZERO_OR_ONE),
    same("DependencyUnreachable", "1 becomes 0.5", ZERO_OR_ONE),
    same("CollectorDown", "1 becomes 0.5", ZERO_OR_ONE),
    same("StackTargetDown", "1 becomes 0.5", ZERO_OR_ONE),
    same("RulesFailing", "1 becomes 0.5", ZERO_OR_ONE),
    same("ApiUnreachable", "1 becomes 0.5", ZERO_OR_ONE),
    same("PublicUrlUnreachable", "1 becomes 0.5", ZERO_OR_ONE),
    same("PostgresUnwatched", "1 becomes 0.5", ZERO_OR_ONE),
    same("PostgresUnwatched", "1 becomes 0.5 (2)", ZERO_OR_ONE),
    same("ApiUnreachable", "1 becomes 2", NO_STATUS),
    same("ApiUnreachable", "no < 1", NO_STATUS),
    same("ApiUnreachable", "0 becomes 1", STATUS),
    same("PublicUrlUnreachable", "0 becomes 1", STATUS),
    same("DiskFilling", r#"no job=~"socialize/.+""#, PAIR),
    same("DiskFilling", r#"no job=~"socialize/.+" (2)"#, PAIR),
    same("DiskAlmostFull", r#"no job=~"socialize/.+""#, PAIR),
    same("DiskAlmostFull", r#"no job=~"socialize/.+" (2)"#, PAIR),
    same("DiskFullSoon", r#"no job=~"socialize/.+""#, PAIR),
    same("DiskFullSoon", r#"no job=~"socialize/.+" (2)"#, PAIR),
    same("DiskFullSoon", r#"no job=~"socialize/.+" (3)"#, PAIR),
    same("DiskFullSoon", r#"no job=~"socialize/.+" (4)"#, PAIR),
    same("ProcessHung", r#"no job=~"socialize/.+""#, PAIR),
    same("ProcessHung", r#"no job=~"socialize/.+" (2)"#, PAIR),
    same("ProcessCrashLooping", r#"no job=~"socialize/.+""#, PAIR),
    same("ProcessCrashLooping", r#"no job=~"socialize/.+" (2)"#, PAIR),
    same("ProcessCrashLooping", r#"no job=~"socialize/.+" (3)"#, PAIR),
    same("ProcessCrashLooping", r#"no job=~"socialize/.+" (4)"#, PAIR),
    same("ProcessCrashLooping", r#"no job=~"socialize/.+" (5)"#, PAIR),
    same("ProcessCrashLooping", r#"no job=~"socialize/.+" (6)"#, PAIR),
    same("FileDescriptorsRunningOut", r#"no job=~"socialize/.+""#, PAIR),
    same("FileDescriptorsRunningOut", r#"no job=~"socialize/.+" (2)"#, PAIR),
    same("DiskFullSoon", "0 becomes 1", A_BYTE),
    same("ProcessCrashLooping", "1h becomes 2h", SENT_TOGETHER),
    same("ProcessCrashLooping", "1h becomes 2h (2)", SENT_TOGETHER),
    same("ProcessCrashLooping", "1h becomes 2h (3)", SENT_TOGETHER),
    same("ProcessCrashLooping", "1h becomes 2h (4)", SENT_TOGETHER),
    same("TelemetryDropped", "0 becomes 1", EXTRAPOLATED),
    same("RulesFailing", "0 becomes 1", EXTRAPOLATED),
    same("CollectorGaveUp", "0 becomes 1", EXTRAPOLATED),
    same("CollectorGaveUp", "0 becomes 1 (2)", EXTRAPOLATED),
    same("CollectorGaveUp", "0 becomes 1 (3)", EXTRAPOLATED),
    same("StoreDiscarding", "0 becomes 1", EXTRAPOLATED),
    same("StoreDiscarding", "0 becomes 1 (3)", EXTRAPOLATED),
    same("LogsNotArriving", "0 becomes 1 (2)", ONE_OF_ALL),
    same("TracesNotArriving", "0 becomes 1 (2)", ONE_OF_ALL),
    same("RouteFailing", r#"no http_route!="""#, ROUTE),
    same("RouteFailing", r#"no http_route!="" (2)"#, ROUTE),
    same("RouteFailing", r#"no http_route!="" (3)"#, ROUTE),
    same("RouteFailing", r#"no http_route!="" (4)"#, ROUTE),
    same("RouteFailing", r#"no http_route!="" (5)"#, ROUTE),
    same("RouteFailing", r#"no http_route!="" (6)"#, ROUTE),
    same("RouteSlow", r#"no http_route!="""#, ROUTE),
    same(
        "RouteSlow",
        r#"no http_route!~".+/attachments|.+/attachments/.+|.+/screenshot|.+/screenshot/.+""#,
        ROUTE,
    ),
    same("RouteSlow", "no .+/attachments in http_route!~", ROUTE),
    same("RouteSlow", "no .+/attachments/.+ in http_route!~", ROUTE),
    same("RouteSlow", "no .+/screenshot in http_route!~", ROUTE),
    same("RouteSlow", "no .+/screenshot/.+ in http_route!~", ROUTE),
    same("RouteSlow", r#"no http_route!="" (2)"#, ROUTE),
    same(
        "RouteSlow",
        r#"no http_route!~".+/attachments|.+/attachments/.+|.+/screenshot|.+/screenshot/.+" (2)"#,
        ROUTE,
    ),
    same("RouteSlow", "no .+/attachments in http_route!~ (2)", ROUTE),
    same("RouteSlow", "no .+/attachments/.+ in http_route!~ (2)", ROUTE),
    same("RouteSlow", "no .+/screenshot in http_route!~ (2)", ROUTE),
    same("RouteSlow", "no .+/screenshot/.+ in http_route!~ (2)", ROUTE),
    same("RouteSlow", r#"no http_route!="" (3)"#, ROUTE),
    same(
        "RouteSlow",
        r#"no http_route!~".+/attachments|.+/attachments/.+|.+/screenshot|.+/screenshot/.+" (3)"#,
        ROUTE,
    ),
    same("RouteSlow", "no .+/attachments in http_route!~ (3)", ROUTE),
    same("RouteSlow", "no .+/attachments/.+ in http_route!~ (3)", ROUTE),
    same("RouteSlow", "no .+/screenshot in http_route!~ (3)", ROUTE),
    same("RouteSlow", "no .+/screenshot/.+ in http_route!~ (3)", ROUTE),
    same("Panicked", "0 becomes 1", EXTRAPOLATED),
    same("BugReported", "0 becomes 1", EXTRAPOLATED),
    same("BlobsMissing", "0 becomes 1", EXTRAPOLATED),
    same("DependencyCheckStuck", r#"no job=~"socialize/.+""#, PAIR),
    same("DependencyCheckStuck", r#"no job=~"socialize/.+" (2)"#, PAIR),
    same("WorkerStalled", r#"no job=~"socialize/.+""#, PAIR),
    same("WorkerStalled", r#"no job=~"socialize/.+" (2)"#, PAIR),
    same("LoopStalled", r#"no job=~"socialize/.+""#, PAIR),
    same("LoopStalled", r#"no job=~"socialize/.+" (2)"#, PAIR),
    same("WorkerStalled", r#"no loop=~"worker""#, PAIR_OF_LOOPS),
    same("WorkerStalled", r#"no loop=~"worker" (2)"#, PAIR_OF_LOOPS),
    same("LoopStalled", r#"no loop=~"scheduler|job_listener|queue_sampler|gauge_checker""#, PAIR_OF_LOOPS),
    same(
        "LoopStalled",
        r#"no loop=~"scheduler|job_listener|queue_sampler|gauge_checker" (2)"#,
        PAIR_OF_LOOPS,
    ),
    same("SamplerStale", r#"no job=~"socialize/.+""#, PAIR),
    same("SamplerStale", r#"no job=~"socialize/.+" (2)"#, PAIR),
    same("SamplerStale", r#"no job=~"socialize/.+" (4)"#, PAIR),
    same("SamplerStale", r#"no job=~"socialize/.+" (5)"#, PAIR),
    same("OutOfMemoryKill", "1 becomes 0.5", WHOLE),
    same("MemoryGrowing", r#"no job=~"socialize/.+""#, PAIR),
    same("MemoryGrowing", r#"no job=~"socialize/.+" (2)"#, PAIR),
    same("MemoryGrowing", r#"no job=~"socialize/.+" (3)"#, PAIR),
    same("MemoryGrowing", r#"no job=~"socialize/.+" (4)"#, PAIR),
];

const A_BYTE: &str = "a byte more or less";
const ALWAYS: &str = "an alert fires for each value that its expression has";
const EXTRAPOLATED: &str = "Prometheus extrapolates the increase of a single event to a little more than one";
const NO_STATUS: &str = "a probe that succeeded has a status above zero, and then the other clause decides";
const ONE_OF_ALL: &str = "nothing was taken: the share is far above its threshold with one item more or less";
const PAIR: &str =
    "series are combined with those of the same job only, and the other operand asks for the application's";
const PAIR_OF_LOOPS: &str =
    "series are combined with those of the same loop only, and the other operand asks for it";
const ROUTE: &str = "routes are combined with the same route only, and the other operand leaves these out";
const SENT_TOGETHER: &str = "both metrics are sent together, so the shorter of both windows decides";
const STATUS: &str = "no status is 1: there is none, or it is one of HTTP";
const WHOLE: &str = "processes are ended as a whole, so the increase is none or at least one";
const ZERO_OR_ONE: &str = "the value is 0 or 1";
