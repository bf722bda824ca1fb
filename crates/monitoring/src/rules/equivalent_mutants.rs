//! Changes of rules that no test can notice, because the rule goes on saying the same. `./test mutants` fails for each that is caught after
//! all, or that does not exist any more.

/// A change that changes nothing.
pub(crate) struct Equivalent {
    /// The alert or recording.
    pub(crate) rule: &'static str,
    /// The change, as `./test mutants` prints it.
    pub(crate) change: &'static str,
    /// Why the rule says the same.
    pub(crate) reason: &'static str,
}

/// All of them.
pub(crate) const ALL: &[Equivalent] = &[
    Equivalent { rule: "Watchdog", change: "1 becomes 2", reason: ALWAYS },
    Equivalent { rule: "Watchdog", change: "1 becomes 0.5", reason: ALWAYS },
    Equivalent { rule: "Watchdog", change: "1 becomes 0", reason: ALWAYS },
    Equivalent { rule: "PostgresUnreachable", change: "1 becomes 0.5", reason: ZERO_OR_ONE },
    Equivalent { rule: "DependencyUnreachable", change: "1 becomes 0.5", reason: ZERO_OR_ONE },
    Equivalent { rule: "CollectorDown", change: "1 becomes 0.5", reason: ZERO_OR_ONE },
    Equivalent { rule: "StackTargetDown", change: "1 becomes 0.5", reason: ZERO_OR_ONE },
    Equivalent { rule: "RulesFailing", change: "1 becomes 0.5", reason: ZERO_OR_ONE },
    Equivalent { rule: "DiskFilling", change: "no > 0", reason: NO_SUCH_DISK },
    Equivalent { rule: "DiskFilling", change: "0 becomes 1", reason: NO_SUCH_DISK },
    Equivalent { rule: "DiskAlmostFull", change: "no > 0", reason: NO_SUCH_DISK },
    Equivalent { rule: "DiskAlmostFull", change: "0 becomes 1", reason: NO_SUCH_DISK },
    Equivalent { rule: "DiskFullSoon", change: "no > 0", reason: NO_SUCH_DISK },
    Equivalent { rule: "DiskFullSoon", change: "0 becomes 1", reason: "a byte more or less" },
    Equivalent { rule: "DiskFullSoon", change: "0 becomes 1 (2)", reason: NO_SUCH_DISK },
    Equivalent { rule: "ConnectionPoolFull", change: "no > 0", reason: "every pool has connections" },
    Equivalent { rule: "CollectorQueueFilling", change: "no > 0", reason: NO_SUCH_QUEUE },
    Equivalent { rule: "CollectorQueueFilling", change: "0 becomes 1", reason: NO_SUCH_QUEUE },
];

const NO_SUCH_QUEUE: &str = "every queue has room for more than a byte";
const NO_SUCH_DISK: &str = "every disk has more than a byte";
const ALWAYS: &str = "an alert fires for each value that its expression has";
const ZERO_OR_ONE: &str = "the value is 0 or 1";
