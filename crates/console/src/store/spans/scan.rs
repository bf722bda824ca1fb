//! Conditions of a search, applied to blocks without decoding their spans.

use std::collections::HashMap;

use super::block::Summary;
use super::encode::{Parent, View};
use super::ids::TraceId;
use super::search::{SpanCondition, SpanSearch};
use crate::store::ValueTest;
use crate::store::packed::{Check, Matcher};

/// Maximum number of conditions. A search with more finds nothing.
const MOST_CONDITIONS: usize = 64;

/// Start of the newest matching span of each trace.
pub(super) type Starts = HashMap<TraceId, u64>;

/// A search, prepared for any block.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    search: &'a SpanSearch,
    /// One for each condition; only those on attributes are used.
    matchers: Vec<Matcher>,
    longest_least_ns: u64,
}

impl<'a> Scan<'a> {
    pub(super) fn new(search: &'a SpanSearch) -> Self {
        let matcher = |condition: &SpanCondition| match condition {
            SpanCondition::Attribute(_, test) => Matcher::new(test),
            SpanCondition::AnyAttribute(value) => Matcher::new(&ValueTest::Is(value.clone())),
            _ => Matcher::new(&ValueTest::Exists),
        };
        let least = |condition: &SpanCondition| match condition {
            SpanCondition::AtLeastNs(least) => Some(*least),
            _ => None,
        };
        Self {
            search,
            matchers: search.conditions.iter().map(matcher).collect(),
            longest_least_ns: search.conditions.iter().filter_map(least).max().unwrap_or(0),
        }
    }

    /// Returns whether a block can have matching spans.
    pub(super) fn may_have(&self, block: &Summary) -> bool {
        let is_possible = |condition: &SpanCondition| match condition {
            SpanCondition::Kind(kind) => block.has_kind(*kind),
            SpanCondition::Failed => block.has_failed,
            SpanCondition::AtLeastNs(least) => block.longest_ns >= *least,
            SpanCondition::Trace(id) => block.may_have(*id),
            _ => true,
        };
        block.newest_ns >= self.search.from_ns
            && block.oldest_ns < self.search.until_ns
            && self.search.conditions.len() <= MOST_CONDITIONS
            && self.search.conditions.iter().all(is_possible)
    }

    /// Adds the traces of a block that have matching spans. Stops at damage.
    pub(super) fn traces(&self, view: &View<'_>, starts: &mut Starts) {
        let checks: Vec<Option<Vec<Check<'_>>>> =
            (0..view.shapes.len()).map(|shape| self.checks(view, shape)).collect();
        let wanted = self.search.conditions.iter().find_map(|condition| match condition {
            SpanCondition::Trace(id) => Some(*id),
            _ => None,
        });
        for group in view.groups() {
            if wanted.is_some_and(|id| id != group.trace_id) {
                continue;
            }
            let _ = view.heads(&group, |head, reader| {
                let is_within = (self.search.from_ns..self.search.until_ns).contains(&head.start_ns)
                    && head.duration_ns >= self.longest_least_ns;
                let is_found = match &checks[head.shape] {
                    Some(checks) if !checks.is_empty() && is_within => {
                        Check::all(checks, &view.shapes[head.shape].fields, reader, &view.texts)?
                    }
                    checks => {
                        view.skip_values(head.shape, reader)?;
                        is_within && checks.as_ref().is_some_and(Vec::is_empty)
                    }
                };
                if is_found {
                    let start = starts.entry(group.trace_id).or_insert(head.start_ns);
                    *start = head.start_ns.max(*start);
                }
                view.skip_rest(head.shape, reader)
            });
        }
    }

    /// Returns the checks that remain for spans of a shape; `None` if none of them can match.
    fn checks(&self, view: &View<'_>, shape: usize) -> Option<Vec<Check<'_>>> {
        let shape = &view.shapes[shape];
        let text = |index: u32| view.texts.get(index as usize).copied().unwrap_or_default();
        let (name, instance) = (text(shape.name), text(shape.instance));
        let mut checks = Vec::new();
        for (condition, matcher) in self.search.conditions.iter().zip(&self.matchers) {
            let is_fulfilled = match condition {
                SpanCondition::Kind(kind) => shape.kind == *kind,
                SpanCondition::Failed => shape.failed,
                SpanCondition::Name(test) => test.accepts_text(name),
                SpanCondition::Instance(test) => test.accepts_text(instance),
                SpanCondition::Root => shape.parent == Parent::None,
                // Tested for each span.
                SpanCondition::AtLeastNs(_) | SpanCondition::Trace(_) => true,
                SpanCondition::Attribute(name, test) => {
                    let check = Check::of_name(&shape.fields, matcher, &view.texts, name);
                    Check::add(&mut checks, check) || test.accepts_absence()
                }
                SpanCondition::AnyAttribute(_) => {
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
