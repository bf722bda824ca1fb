//! Changes of state of the last 30 days, in memory and in an append-only file.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::machine::Phase;
use crate::store::metrics::Labels;

/// Time for which changes are kept.
pub const KEPT: i64 = 30 * 24 * 60 * 60 * 1000;

/// Maximum number of changes; the oldest go first. One takes some 300 bytes in memory.
pub const MOST_EVENTS: usize = 20_000;

/// Maximum size of a file that is read. A file is rewritten when it has twice the events that are kept, which
/// take less than this.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;

/// Number of expired events in the file at which it is rewritten without them.
const SURPLUS: usize = 2_000;

const FILE: &str = "alerts.jsonl";

/// A change of state.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Time of the evaluation, in Unix milliseconds.
    pub at: i64,
    /// Name of the alert.
    pub alert: Arc<str>,
    /// Labels other than name and severity.
    pub labels: Labels,
    /// The new state.
    pub phase: Phase,
    /// Value of the condition.
    pub value: f64,
}

#[derive(Default)]
pub struct History {
    events: VecDeque<Event>,
    file: Option<HistoryFile>,
    message: Option<String>,
}

struct HistoryFile {
    path: PathBuf,
    /// `None` after a failure, until the file is rewritten.
    file: Option<File>,
    lines: usize,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    at: i64,
    alert: String,
    state: String,
    #[serde(default)]
    value: Option<f64>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl History {
    /// Reads the history in a directory. A damaged file is set aside, with a message; its readable lines are
    /// kept.
    pub fn open(directory: &Path, now: i64) -> Self {
        let path = directory.join(FILE);
        let mut history = Self::default();
        let mut lines = 0;
        match read(&path) {
            Ok(text) => {
                let (events, damage) = parse(&text);
                lines = events.len();
                history.events = events.into();
                if damage != Damage::None {
                    history.set_aside(&path, damage, now);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                history.message = Some(format!("The history of alerts cannot be read: {error}."));
                history.set_aside(&path, Damage::Lines, now);
            }
        }
        let rewrite = history.message.is_some() || history.forget(now) > 0;
        history.file = Some(HistoryFile { path, file: None, lines });
        if rewrite {
            history.rewrite()
        } else {
            history.reopen()
        }
        history
    }

    fn set_aside(&mut self, path: &Path, damage: Damage, now: i64) {
        if damage == Damage::TornEnd {
            // The process ended during a write. The file is rewritten without the fragment.
            self.message = None;
            return self.rewrite_to(path);
        }
        let aside = path.with_extension(format!("damaged-{now}"));
        let moved = match fs::rename(path, &aside) {
            Ok(()) => format!("It was set aside as {}.", aside.display()),
            Err(error) => format!("It could not be set aside: {error}."),
        };
        self.message = Some(format!("The history of alerts was damaged, so parts are missing. {moved}"));
    }

    /// Adds a change and writes it.
    pub fn add(&mut self, event: Event, now: i64) {
        let line = line(&event);
        self.events.push_back(event);
        let forgotten = self.forget(now);
        let Some(file) = &mut self.file else { return };
        let written = match &mut file.file {
            Some(open) => open.write_all(line.as_bytes()),
            None => Err(io::Error::other("the file is not open")),
        };
        file.lines += 1;
        let surplus = file.lines.saturating_sub(self.events.len());
        match written {
            Ok(()) if surplus <= SURPLUS || forgotten == 0 => {}
            Ok(()) => self.rewrite(),
            Err(error) => {
                self.message = Some(format!("The history of alerts cannot be written: {error}."));
                self.rewrite();
            }
        }
    }

    /// Returns the changes within a range of time, oldest first.
    pub fn between(&self, from: i64, until: i64) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter().filter(move |event| (from..=until).contains(&event.at))
    }

    /// Returns the changes of an alert, oldest first.
    pub fn of(&self, alert: &str) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter().filter(move |event| &*event.alert == alert)
    }

    /// Returns the error of the file, for the page.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Drops changes that are too old or exceed the bound. Returns the number of changes dropped.
    fn forget(&mut self, now: i64) -> usize {
        let before = self.events.len();
        let excess = before.saturating_sub(MOST_EVENTS);
        let old = self.events.iter().take_while(|event| event.at < now - KEPT).count();
        self.events.drain(..excess.max(old));
        before - self.events.len()
    }

    fn rewrite(&mut self) {
        if let Some(path) = self.file.as_ref().map(|file| file.path.clone()) {
            self.rewrite_to(&path);
            if let Some(file) = &mut self.file {
                file.lines = self.events.len();
            }
            self.reopen();
        }
    }

    fn rewrite_to(&mut self, path: &Path) {
        let text: String = self.events.iter().map(line).collect();
        if let Err(error) = replace(path, text.as_bytes()) {
            self.message = Some(format!("The history of alerts cannot be written: {error}."));
        }
    }

    fn reopen(&mut self) {
        let Some(file) = &mut self.file else { return };
        match OpenOptions::new().create(true).append(true).open(&file.path) {
            Ok(open) => file.file = Some(open),
            Err(error) => {
                file.file = None;
                self.message = Some(format!("The history of alerts cannot be written: {error}."));
            }
        }
    }
}

/// Replaces a file atomically.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    fs::rename(&new, path)
}

/// Reads a file, unless it is larger than any that the console writes.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let size = fs::metadata(path)?.len();
    if size > LARGEST_FILE {
        return Err(io::Error::other(format!("{size} bytes are more than the console ever writes")));
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    None,
    /// The last line is incomplete.
    TornEnd,
    /// Lines in the middle cannot be read.
    Lines,
}

fn parse(text: &str) -> (Vec<Event>, Damage) {
    let mut damage = Damage::None;
    let mut events: Vec<Event> = Vec::new();
    for line in text.split_inclusive('\n') {
        if !line.ends_with('\n') {
            if damage == Damage::None {
                damage = Damage::TornEnd;
            }
            continue;
        }
        match event(line) {
            Some(event) => events.push(event),
            None => damage = Damage::Lines,
        }
    }
    // The clock may have been set back.
    events.sort_by_key(|event| event.at);
    (events, damage)
}

fn event(line: &str) -> Option<Event> {
    let line: Line = serde_json::from_str(line).ok()?;
    Some(Event {
        at: line.at,
        alert: line.alert.into(),
        labels: Labels::new(line.labels.into_iter().map(|(name, value)| (name.into(), value.into()))),
        phase: Phase::named(&line.state)?,
        value: line.value.unwrap_or(f64::NAN),
    })
}

fn line(event: &Event) -> String {
    let line = Line {
        at: event.at,
        alert: event.alert.to_string(),
        state: event.phase.as_str().to_owned(),
        value: event.value.is_finite().then_some(event.value),
        labels: event.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    };
    // Texts and numbers can always be written as JSON.
    serde_json::to_string(&line).map(|text| text + "\n").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: i64, phase: Phase) -> Event {
        let labels = Labels::new([("role".into(), "serve \"x\"\n".into())]);
        Event { at, alert: "TelemetryMissing".into(), labels, phase, value: 1.5 }
    }

    fn kept(history: &History) -> Vec<Event> {
        history.between(i64::MIN, i64::MAX).cloned().collect()
    }

    #[test]
    fn changes_survive_a_restart() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut history = History::open(directory.path(), 0);
        let events = [event(1, Phase::Pending), event(2, Phase::Firing), event(3, Phase::Resolved)];
        for event in &events {
            history.add(event.clone(), event.at);
        }
        drop(history);
        let history = History::open(directory.path(), 4);
        assert_eq!(kept(&history), events);
        assert_eq!(history.message(), None);
        assert_eq!(history.of("TelemetryMissing").count(), 3);
        assert_eq!(history.of("Other").count(), 0);
        // After 30 days they are forgotten, also in the file.
        let history = History::open(directory.path(), 2 + KEPT);
        assert_eq!(kept(&history), events[1..]);
        let text = fs::read_to_string(directory.path().join(FILE)).expect("the file");
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_torn_end_is_dropped_and_damage_is_set_aside() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(FILE);
        let good = line(&event(1, Phase::Firing));
        fs::write(&path, format!("{good}{}", &good[..20])).expect("written");
        let mut history = History::open(directory.path(), 5);
        assert_eq!((kept(&history).len(), history.message()), (1, None));
        history.add(event(6, Phase::Resolved), 6);
        drop(history);
        assert_eq!(fs::read_to_string(&path).expect("the file").lines().count(), 2);

        fs::write(&path, [good.as_bytes(), b"\xff\xfe garbage\n{}\n", good.as_bytes()].concat())
            .expect("written");
        let history = History::open(directory.path(), 7);
        assert_eq!(kept(&history).len(), 2);
        let message = history.message().expect("a message");
        assert!(message.contains("damaged") && message.contains("alerts.damaged-7"), "{message}");
        assert!(directory.path().join("alerts.damaged-7").exists());
        assert_eq!(History::open(directory.path(), 8).message(), None);
    }

    #[test]
    fn the_file_is_bounded() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut history = History::open(directory.path(), 0);
        for at in 0..(MOST_EVENTS + 3 * SURPLUS) as i64 {
            history.add(event(at, Phase::Firing), at);
        }
        assert_eq!(kept(&history).len(), MOST_EVENTS);
        let text = fs::read_to_string(directory.path().join(FILE)).expect("the file");
        assert!(text.lines().count() <= MOST_EVENTS + SURPLUS + 1, "{}", text.lines().count());
    }

    #[test]
    fn without_a_directory_the_history_is_in_memory_only() {
        let mut history = History::open(Path::new("/does/not/exist"), 0);
        history.add(event(1, Phase::Firing), 1);
        assert!(history.message().expect("a message").contains("cannot be written"));
        assert_eq!(kept(&history).len(), 1);
    }
}
