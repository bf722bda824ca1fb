//! Conditions of a search, applied to blocks without decoding their lines.

use super::block::{Row, Summary, View};
use super::event_names::EventNames;
use super::line::{LINK_TRACE_ID, TRACE_ID};
use super::search::{LineCondition, Search};
use crate::store::ValueTest;
use crate::store::packed::{Check, Matcher};

/// Maximum number of conditions. A search with more finds nothing.
pub(super) const MOST_CONDITIONS: usize = 64;

/// A search, prepared for any block.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    search: &'a Search,
    /// One for each condition; those on levels are unused.
    matchers: Vec<Matcher>,
    /// Bits of the events that match.
    events: u64,
}

impl<'a> Scan<'a> {
    pub(super) fn new(search: &'a Search, names: &EventNames) -> Self {
        let matcher = |condition: &LineCondition| match condition {
            LineCondition::AtLeast(_) => Matcher::new(&ValueTest::Exists),
            LineCondition::Event(test) | LineCondition::Field(_, test) => Matcher::new(test),
            LineCondition::Trace(id) | LineCondition::AnyField(id) => {
                Matcher::new(&ValueTest::Is(id.clone()))
            }
            LineCondition::Contains(text) => Matcher::new(&ValueTest::Contains(text.clone())),
        };
        let matchers = search.conditions.iter().map(matcher).collect();
        Self { search, matchers, events: names.accepted_by(&search.conditions) }
    }

    /// Returns whether a block can have matching lines.
    pub(super) fn may_have(&self, block: &Summary) -> bool {
        let search = self.search;
        let has_level = |condition: &LineCondition| match condition {
            LineCondition::AtLeast(level) => block.levels[*level as usize..].iter().any(|count| *count > 0),
            _ => true,
        };
        block.lines > 0
            && block.newest >= search.from
            && block.oldest < search.until
            && block.events & self.events != 0
            && search.before.is_none_or(|before| block.oldest <= before.at)
            && search.newer_than.is_none_or(|last| block.last > last)
            && search.conditions.len() <= MOST_CONDITIONS
            && search.conditions.iter().all(has_level)
    }

    /// Returns whether all lines of a block match, apart from conditions on levels.
    pub(super) fn has_all(&self, block: &Summary) -> bool {
        let search = self.search;
        block.oldest >= search.from
            && block.newest < search.until
            && search.before.is_none()
            && search.newer_than.is_none()
            && search.conditions.iter().all(|condition| matches!(condition, LineCondition::AtLeast(_)))
    }

    /// Returns whether lines of a level match the conditions on levels.
    pub(super) fn accepts_level(&self, level: usize) -> bool {
        self.search.conditions.iter().all(|condition| match condition {
            LineCondition::AtLeast(least) => level >= *least as usize,
            _ => true,
        })
    }

    /// Passes the matching lines to `each`, in the order of reading. Stops at damage.
    pub(super) fn rows<'v>(&self, view: &View<'v>, mut each: impl FnMut(Row<'v>)) {
        let checks: Vec<Option<Vec<Check<'_>>>> =
            (0..view.shapes.len()).map(|shape| self.checks(view, shape)).collect();
        let _ = view.rows(|row, reader| {
            let is_found = match &checks[row.shape] {
                Some(checks) if !checks.is_empty() && self.is_within(row) => {
                    Check::all(checks, &view.shapes[row.shape].fields, reader, &view.texts)?
                }
                checks => {
                    view.skip(row.shape, reader)?;
                    checks.as_ref().is_some_and(Vec::is_empty) && self.is_within(row)
                }
            };
            if is_found {
                each(row);
            }
            Some(())
        });
    }

    fn is_within(&self, row: Row<'_>) -> bool {
        let position = row.position;
        (self.search.from..self.search.until).contains(&position.at)
            && self.search.before.is_none_or(|before| position < before)
            && self.search.newer_than.is_none_or(|last| position.number > last)
    }

    /// Returns the checks that remain for lines of a shape; `None` if none of them can match.
    fn checks(&self, view: &View<'_>, shape: usize) -> Option<Vec<Check<'_>>> {
        let shape = &view.shapes[shape];
        let event = view.texts.get(shape.event as usize).copied().unwrap_or_default();
        let mut checks = Vec::new();
        for (condition, matcher) in self.search.conditions.iter().zip(&self.matchers) {
            let is_fulfilled = match condition {
                LineCondition::AtLeast(level) => shape.level >= *level,
                LineCondition::Event(test) => test.accepts_text(event),
                LineCondition::Field(name, test) => {
                    let check = Check::of_name(&shape.fields, matcher, &view.texts, name);
                    Check::add(&mut checks, check) || test.accepts_absence()
                }
                LineCondition::Trace(id) if id.is_empty() => false,
                LineCondition::Trace(_) => {
                    let check = Check::new(&shape.fields, matcher, |_, name| {
                        let name = view.texts.get(name as usize);
                        name.is_some_and(|name| [TRACE_ID, LINK_TRACE_ID].contains(name))
                    });
                    Check::add(&mut checks, check)
                }
                LineCondition::AnyField(value) if value == event => true,
                LineCondition::Contains(_) if matcher.test().accepts_text(event) => true,
                LineCondition::AnyField(_) | LineCondition::Contains(_) => {
                    Check::add(&mut checks, Check::new(&shape.fields, matcher, |_, _| true))
                }
            };
            if !is_fulfilled {
                return None;
            }
        }
        Some(checks)
    }
}
