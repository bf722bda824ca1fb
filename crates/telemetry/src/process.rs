//! Resource usage of this process as the operating system reports it, named as OpenTelemetry's
//! `process.*` metrics.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

/// One reading. Its fields are exported as the metrics that they name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessSample {
    /// `process.cpu.time` with `cpu.mode` = `user`, in seconds since the process started.
    pub cpu_user: Duration,
    /// `process.cpu.time` with `cpu.mode` = `system`.
    pub cpu_system: Duration,
    /// `process.memory.usage`: physical memory in use, in bytes.
    pub memory_usage: u64,
    /// `process.memory.virtual`: reserved address space, in bytes.
    pub memory_virtual: u64,
    /// `process.unix.file_descriptor.count`, formerly `process.open_file_descriptor.count` in the
    /// conventions.
    pub file_descriptors: u64,
    /// `process.unix.file_descriptor.limit`: maximum number of open files and sockets.
    pub file_descriptor_limit: u64,
    /// `process.thread.count`: current number of threads.
    pub threads: u64,
    /// `process.uptime`: time since the process started.
    pub uptime: Duration,
}

impl ProcessSample {
    /// Reads the current values. Returns `None` if the operating system has no `/proc`.
    #[cfg(target_os = "linux")]
    pub fn read() -> Option<Self> {
        linux::read()
    }

    /// Returns `None`: `/proc` is read on Linux only.
    #[cfg(not(target_os = "linux"))]
    pub fn read() -> Option<Self> {
        None
    }
}

/// Returns the start time of this process as the conventions write it: RFC 3339 in UTC.
pub fn creation_time() -> String {
    let uptime = ProcessSample::read().map(|sample| sample.uptime).unwrap_or_default();
    let started = SystemTime::now().checked_sub(uptime).unwrap_or(SystemTime::UNIX_EPOCH);
    DateTime::<Utc>::from(started).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns the name of the machine or container, or `None` if the operating system does not tell it.
pub fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Reads only the fields that are exported. `procfs` would parse and allocate every field of both
/// files at each export, and add its crates below everything that uses telemetry.
#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::time::Duration;

    use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
    use nix::sys::time::TimeVal;
    use nix::time::{ClockId, clock_gettime};
    use nix::unistd::{SysconfVar, sysconf};

    use super::ProcessSample;

    pub(super) fn read() -> Option<ProcessSample> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
        let since_boot = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?);
        let ticks_per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
        Some(ProcessSample {
            cpu_user: duration(usage.user_time())?,
            cpu_system: duration(usage.system_time())?,
            memory_usage: status_number(&status, "VmRSS")? * 1024,
            memory_virtual: status_number(&status, "VmSize")? * 1024,
            // Reading the directory opens one more descriptor, which is not the application's.
            file_descriptors: (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1),
            file_descriptor_limit: getrlimit(Resource::RLIMIT_NOFILE).ok()?.0,
            threads: status_number(&status, "Threads")?,
            uptime: since_boot.saturating_sub(start_since_boot(&stat, ticks_per_second)?),
        })
    }

    fn duration(time: TimeVal) -> Option<Duration> {
        let seconds = u64::try_from(time.tv_sec()).ok()?;
        let microseconds = u64::try_from(time.tv_usec()).ok()?;
        Some(Duration::from_secs(seconds) + Duration::from_micros(microseconds))
    }

    /// Parses the number of a line such as `VmRSS: 1234 kB`.
    fn status_number(status: &str, name: &str) -> Option<u64> {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.split_whitespace().next()?.parse().ok()
    }

    /// Returns the time from the machine's boot to the start of the process.
    fn start_since_boot(stat: &str, ticks_per_second: u64) -> Option<Duration> {
        // The second field is the program's name in parentheses, and may itself contain spaces and
        // parentheses.
        let (_, after_name) = stat.rsplit_once(')')?;
        const START_TIME: usize = 22;
        const FIRST_AFTER_NAME: usize = 3;
        let ticks: u64 = after_name.split_whitespace().nth(START_TIME - FIRST_AFTER_NAME)?.parse().ok()?;
        let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(ticks_per_second.max(1));
        Some(Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn numbers_are_found_by_their_whole_name() {
            let status = "Name:\tVmRSS: 1\nVmRSSLike:\t 7 kB\nVmRSS:\t    2048 kB\nThreads:\t12\n";
            assert_eq!(status_number(status, "VmRSS"), Some(2048));
            assert_eq!(status_number(status, "Threads"), Some(12));
            assert_eq!(status_number(status, "VmSize"), None);
        }

        #[test]
        fn a_name_with_parentheses_does_not_shift_the_fields() {
            let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 200";
            assert_eq!(start_since_boot(stat, 100), Some(Duration::from_millis(987_650)));
            assert_eq!(start_since_boot("42 (a) S 1", 100), None);
            assert_eq!(start_since_boot("", 100), None);
        }

        #[test]
        fn a_sample_follows_what_the_process_does() {
            let before = read().expect("a sample");
            let memory = vec![1_u8; 64 << 20];
            let files: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").expect("opened")).collect();
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::spawn(move || stopped.recv());
            let mut sum = 0_u64;
            while read().expect("a sample").cpu_user <= before.cpu_user {
                sum =
                    std::hint::black_box(sum.wrapping_add(memory.iter().map(|byte| u64::from(*byte)).sum()));
            }
            let after = read().expect("a sample");
            // Other tests run in this process too, so only what this test itself keeps busy is
            // certain.
            assert!(after.memory_usage >= 64 << 20, "{after:?}");
            assert!(after.memory_virtual >= after.memory_usage, "{after:?}");
            assert!(after.file_descriptors >= files.len() as u64 + 3, "{after:?}");
            assert!(after.file_descriptors <= after.file_descriptor_limit, "{after:?}");
            assert!(after.threads >= 2, "{after:?}");
            assert!(after.uptime >= before.uptime, "{after:?}");
            let since_boot = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).expect("a clock"));
            assert!(after.uptime < since_boot, "the machine is older than the process: {after:?}");
            drop(stop);
            assert!(thread.join().expect("the thread ends well").is_err());
        }
    }
}
