//! The filter for log lines, which an operator can change at run time.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use signal::{ClosedSet, Level};

/// Returns the severity of an event of `tracing`.
pub(super) fn of_tracing(level: tracing::Level) -> Level {
    match level {
        tracing::Level::TRACE => Level::Trace,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::INFO => Level::Info,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::ERROR => Level::Error,
    }
}

/// Libraries that log every connection and statement, including those that send telemetry.
///
/// They are left out below `warn` unless the setting names them: sending telemetry would otherwise
/// produce more telemetry.
const NOISY_TARGETS: &[&str] =
    &["h2", "hyper", "hyper_util", "reqwest", "rustls", "sqlx::query", "tonic", "tower", "tower_http"];

/// The lowest level that passes, as a number; `OFF` lets nothing pass.
type Threshold = u8;

const OFF: Threshold = Level::Fatal as u8 + 1;

fn threshold_name(threshold: Threshold) -> &'static str {
    Level::ALL.get(usize::from(threshold)).map_or("off", |level| level.as_str())
}

/// A filter for log lines: a default level, and other levels for named targets, such as
/// `info,sqlx=warn`.
///
/// `tracing_subscriber::filter::Targets` parses the same syntax, but its `sqlx` also matches
/// `sqlx_core`, it accepts a target with two levels, it has no level `fatal`, and its errors do not
/// name the valid values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelSetting {
    default: Threshold,
    /// Longest target first, so that the first match is the most specific.
    targets: Vec<(String, Threshold)>,
}

/// Reasons why a text is not a valid [`LevelSetting`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelSettingError {
    /// A level has an unknown name.
    #[error("\"{0}\" is not a log level: use one of off, fatal, error, warn, info, debug, trace")]
    UnknownLevel(String),
    /// Two parts set the default level.
    #[error(
        "two levels without a target: write one level, then TARGET=LEVEL pairs, such as \"info,sqlx=warn\""
    )]
    TwoDefaults,
    /// The same target occurs twice.
    #[error("the target \"{0}\" has two levels: name it once")]
    TwoLevels(String),
    /// A target contains a character that module paths cannot contain.
    #[error("\"{0}\" is not a target: use a module path such as sqlx or hyper_util::client")]
    InvalidTarget(String),
}

impl Default for LevelSetting {
    fn default() -> Self {
        Self { default: Level::Info as Threshold, targets: Vec::new() }
    }
}

impl From<Level> for LevelSetting {
    fn from(level: Level) -> Self {
        Self { default: level as Threshold, targets: Vec::new() }
    }
}

impl FromStr for LevelSetting {
    type Err = LevelSettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut default = None;
        let mut targets: Vec<(String, Threshold)> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((target, level)) = part.split_once('=') else {
                if default.replace(parse_threshold(part)?).is_some() {
                    return Err(LevelSettingError::TwoDefaults);
                }
                continue;
            };
            let target = target.trim();
            let is_path =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'.');
            if target.is_empty() || !target.bytes().all(is_path) {
                return Err(LevelSettingError::InvalidTarget(target.to_owned()));
            }
            if targets.iter().any(|(known, _)| known == target) {
                return Err(LevelSettingError::TwoLevels(target.to_owned()));
            }
            targets.push((target.to_owned(), parse_threshold(level.trim())?));
        }
        targets.sort_by(|(one, _), (other, _)| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        Ok(Self { default: default.unwrap_or(Level::Info as Threshold), targets })
    }
}

impl fmt::Display for LevelSetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(threshold_name(self.default))?;
        for (target, threshold) in &self.targets {
            write!(formatter, ",{target}={}", threshold_name(*threshold))?;
        }
        Ok(())
    }
}

impl LevelSetting {
    fn threshold_of(&self, target: &str) -> Threshold {
        if let Some((_, threshold)) = self.targets.iter().find(|(prefix, _)| is_within(target, prefix)) {
            return *threshold;
        }
        if NOISY_TARGETS.iter().any(|prefix| is_within(target, prefix)) {
            return self.default.max(Level::Warn as Threshold);
        }
        self.default
    }

    fn lowest_threshold(&self) -> Threshold {
        self.targets.iter().map(|(_, threshold)| *threshold).fold(self.default, Threshold::min)
    }
}

fn parse_threshold(name: &str) -> Result<Threshold, LevelSettingError> {
    if name.eq_ignore_ascii_case("off") {
        return Ok(OFF);
    }
    Level::ALL
        .iter()
        .find(|level| name.eq_ignore_ascii_case(level.as_str()))
        .map(|level| *level as Threshold)
        .ok_or_else(|| LevelSettingError::UnknownLevel(name.to_owned()))
}

/// Returns whether `target` is the module `path` or lies below it. `sqlx` does not match
/// `sqlx_core`.
pub(crate) fn is_within(target: &str, path: &str) -> bool {
    target.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The filter in force. Clones share it, and a change takes effect everywhere at once.
#[derive(Clone, Debug)]
pub struct LevelFilter {
    shared: Arc<SharedFilter>,
}

#[derive(Debug)]
struct SharedFilter {
    default: AtomicU8,
    lowest: AtomicU8,
    setting: RwLock<Arc<LevelSetting>>,
}

impl Default for LevelFilter {
    fn default() -> Self {
        Self::new(LevelSetting::default())
    }
}

impl LevelFilter {
    /// Creates a filter with an initial setting.
    pub fn new(setting: LevelSetting) -> Self {
        Self {
            shared: Arc::new(SharedFilter {
                default: AtomicU8::new(setting.default),
                lowest: AtomicU8::new(setting.lowest_threshold()),
                setting: RwLock::new(Arc::new(setting)),
            }),
        }
    }

    /// Returns whether a line of the application itself is written. It costs one atomic load,
    /// because it is called once per request.
    #[inline]
    pub fn enabled(&self, level: Level) -> bool {
        level as Threshold >= self.shared.default.load(Ordering::Relaxed)
    }

    /// Returns whether a line of the code at `target` is written.
    pub fn enabled_for(&self, level: Level, target: &str) -> bool {
        level as Threshold >= self.shared.lowest.load(Ordering::Relaxed)
            && level as Threshold >= self.setting().threshold_of(target)
    }

    /// Returns the lowest level that any target may log at, or `None` if everything is off.
    pub fn lowest(&self) -> Option<Level> {
        Level::ALL.get(usize::from(self.shared.lowest.load(Ordering::Relaxed))).copied()
    }

    /// Returns the setting in force, for display.
    pub fn setting(&self) -> Arc<LevelSetting> {
        Arc::clone(&self.shared.setting.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the setting at run time.
    pub fn set(&self, setting: LevelSetting) {
        let default = setting.default;
        let lowest = setting.lowest_threshold();
        {
            let mut current = self.shared.setting.write().unwrap_or_else(PoisonError::into_inner);
            *current = Arc::new(setting);
            self.shared.default.store(default, Ordering::Relaxed);
            self.shared.lowest.store(lowest, Ordering::Relaxed);
        }
        // `tracing` caches for every call site whether it is enabled, so rebuild that cache.
        tracing::callsite::rebuild_interest_cache();
    }
}

thread_local! {
    static IS_SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Discards everything logged through `tracing` on the calling thread from now on.
///
/// It is for threads that send telemetry: lines that libraries log about sending would have to be
/// sent in turn.
pub fn silence_this_thread() {
    IS_SILENT.set(true);
}

/// Returns whether [`silence_this_thread`] was called on this thread.
pub(crate) fn is_this_thread_silent() -> bool {
    IS_SILENT.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(text: &str) -> LevelFilter {
        LevelFilter::new(text.parse().expect("a valid setting"))
    }

    #[test]
    fn every_level_has_its_position() {
        for (position, level) in Level::ALL.iter().enumerate() {
            assert_eq!(level.index(), position);
        }
        assert_eq!(Level::Fatal as usize + 1, Level::ALL.len());
    }

    #[test]
    fn info_is_the_default() {
        let filter = LevelFilter::default();
        assert!(filter.enabled(Level::Info));
        assert!(!filter.enabled(Level::Debug));
        assert_eq!(filter.setting().to_string(), "info");
    }

    #[test]
    fn the_most_specific_target_decides() {
        let filter = filter("warn, sqlx=info,sqlx::pool=debug,socialize=off");
        assert!(filter.enabled_for(Level::Debug, "sqlx::pool"));
        assert!(filter.enabled_for(Level::Debug, "sqlx::pool::inner"));
        assert!(!filter.enabled_for(Level::Debug, "sqlx::postgres"));
        assert!(filter.enabled_for(Level::Info, "sqlx::postgres"));
        assert!(!filter.enabled_for(Level::Info, "sqlx_core"), "another crate whose name starts the same");
        assert!(!filter.enabled_for(Level::Fatal, "socialize"));
        assert_eq!(filter.lowest(), Some(Level::Debug));
    }

    #[test]
    fn noisy_libraries_stay_quiet_until_they_are_named() {
        let trace = filter("trace");
        for target in NOISY_TARGETS {
            assert!(!trace.enabled_for(Level::Info, target), "{target}");
            assert!(!trace.enabled_for(Level::Info, &format!("{target}::inner")), "{target}");
            assert!(trace.enabled_for(Level::Warn, target), "{target}");
            assert!(!filter("error").enabled_for(Level::Warn, target), "{target}");
            assert!(filter(&format!("info,{target}=trace")).enabled_for(Level::Trace, target), "{target}");
        }
    }

    #[test]
    fn off_lets_nothing_pass() {
        let filter = filter("off");
        assert!(!filter.enabled(Level::Fatal));
        assert!(!filter.enabled_for(Level::Fatal, "socialize"));
        assert_eq!(filter.lowest(), None);
    }

    #[test]
    fn a_change_is_seen_by_every_clone() {
        let filter = LevelFilter::default();
        let clone = filter.clone();
        filter.set("debug,hyper=trace".parse().expect("a valid setting"));
        assert!(clone.enabled(Level::Debug));
        assert!(clone.enabled_for(Level::Trace, "hyper::proto"));
        assert_eq!(clone.setting().to_string(), "debug,hyper=trace");
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, message) in [
            (
                "verbose",
                "\"verbose\" is not a log level: use one of off, fatal, error, warn, info, debug, trace",
            ),
            ("info,sqlx=", "\"\" is not a log level: use one of off, fatal, error, warn, info, debug, trace"),
            (
                "info,warn",
                "two levels without a target: write one level, then TARGET=LEVEL pairs, such as \"info,sqlx=warn\"",
            ),
            ("sqlx=warn,sqlx=info", "the target \"sqlx\" has two levels: name it once"),
            ("=info", "\"\" is not a target: use a module path such as sqlx or hyper_util::client"),
            ("a b=info", "\"a b\" is not a target: use a module path such as sqlx or hyper_util::client"),
        ] {
            let error = text.parse::<LevelSetting>().expect_err(text);
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn case_and_blanks_do_not_matter() {
        let setting: LevelSetting = " INFO , sqlx = Warn,, ".parse().expect("a valid setting");
        assert_eq!(setting.to_string(), "info,sqlx=warn");
        assert_eq!("".parse::<LevelSetting>(), Ok(LevelSetting::default()));
    }

    proptest! {
        #[test]
        fn any_text_is_a_setting_or_an_error(text in ".{0,60}") {
            if let Ok(setting) = text.parse::<LevelSetting>() {
                prop_assert_eq!(setting.to_string().parse::<LevelSetting>(), Ok(setting));
            }
        }

        #[test]
        fn what_is_shown_can_be_set_again(
            default in 0..=OFF,
            targets in prop::collection::btree_map("[a-z]{1,4}(::[a-z]{1,4}){0,2}", 0..=OFF, 0..4),
        ) {
            let mut text = threshold_name(default).to_owned();
            for (target, threshold) in &targets {
                text.push_str(&format!(",{target}={}", threshold_name(*threshold)));
            }
            let setting: LevelSetting = text.parse().expect("a valid setting");
            for (target, threshold) in &targets {
                prop_assert_eq!(setting.threshold_of(target), *threshold);
            }
            prop_assert_eq!(setting.to_string().parse::<LevelSetting>(), Ok(setting));
        }
    }
}
