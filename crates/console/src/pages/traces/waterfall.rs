//! Layout of a trace: row and depth of each span, and start and end of its bar.

use std::collections::{HashMap, HashSet};

/// The data of a span that determines its position. Times are Unix times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    /// Id of the span.
    pub id: [u8; 8],
    /// Id of its parent.
    pub parent: Option<[u8; 8]>,
    /// Start time.
    pub start: u64,
    /// End time; at or after the start, unless a clock was set.
    pub end: u64,
}

/// A row of the waterfall.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// Position of the span in the input.
    pub span: usize,
    /// Number of known ancestors.
    pub depth: usize,
    /// Distance of the bar from the left, in percent.
    pub left: f64,
    /// Width of the bar, in percent.
    pub width: f64,
    /// True if the span names a parent that is not in the trace.
    pub is_orphan: bool,
    /// Time of the span that no child covers, in nanoseconds.
    pub own: u64,
}

/// The rows of a trace and its total time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waterfall {
    /// Start of the earliest span.
    pub start: u64,
    /// End of the latest span.
    pub end: u64,
    /// One row for each span: each parent before its children, siblings by start time.
    pub rows: Vec<Row>,
}

impl Waterfall {
    /// Lays out the spans of one trace. Spans that are their own ancestors are treated as roots.
    pub(crate) fn new(spans: &[Interval]) -> Self {
        let start = spans.iter().map(|span| span.start).min().unwrap_or(0);
        let end = spans.iter().map(|span| span.end.max(span.start)).max().unwrap_or(start);
        let known: HashSet<[u8; 8]> = spans.iter().map(|span| span.id).collect();
        let mut children: HashMap<Option<[u8; 8]>, Vec<usize>> = HashMap::new();
        for (position, span) in spans.iter().enumerate() {
            let parent = span.parent.filter(|parent| known.contains(parent) && *parent != span.id);
            children.entry(parent).or_default().push(position);
        }
        for siblings in children.values_mut() {
            siblings
                .sort_by_key(|position| (spans[*position].start, std::cmp::Reverse(spans[*position].end)));
        }
        let mut waterfall = Self { start, end, rows: Vec::with_capacity(spans.len()) };
        let mut placed = vec![false; spans.len()];
        let roots = children.get(&None).cloned().unwrap_or_default();
        waterfall.place(spans, &children, roots, &mut placed);
        // Spans that no root leads to are part of a cycle.
        for position in 0..spans.len() {
            if !placed[position] {
                waterfall.place(spans, &children, vec![position], &mut placed);
            }
        }
        waterfall
    }

    /// Returns the distance of a moment from the left, in percent, and 0 or 100 outside of the trace.
    pub(crate) fn position(&self, at: u64) -> f64 {
        let length = self.end.saturating_sub(self.start);
        if length == 0 {
            return 0.0;
        }
        (at.saturating_sub(self.start) as f64 / length as f64 * 100.0).min(100.0)
    }

    /// Returns round times since the start, with their distance from the left in percent. There
    /// are at most six.
    pub(crate) fn ticks(&self) -> Vec<(f64, u64)> {
        let length = self.end.saturating_sub(self.start);
        if length == 0 {
            return vec![(0.0, 0)];
        }
        let step = round_step(length);
        (0..=5)
            .map_while(|number: u64| number.checked_mul(step))
            .take_while(|at| *at <= length)
            .map(|at| (self.position(self.start + at), at))
            .collect()
    }

    /// Places trees of spans in depth-first order. Uses an explicit stack instead of recursion, because the
    /// sender chooses the depth of a trace.
    fn place(
        &mut self,
        spans: &[Interval],
        children: &HashMap<Option<[u8; 8]>, Vec<usize>>,
        roots: Vec<usize>,
        placed: &mut [bool],
    ) {
        let mut waiting: Vec<(usize, usize)> = roots.into_iter().rev().map(|root| (root, 0)).collect();
        while let Some((position, depth)) = waiting.pop() {
            if std::mem::replace(&mut placed[position], true) {
                continue;
            }
            let span = &spans[position];
            let below = children.get(&Some(span.id)).map_or(&[][..], Vec::as_slice);
            let end = span.end.max(span.start);
            let left = self.position(span.start);
            self.rows.push(Row {
                span: position,
                depth,
                left,
                width: self.position(end) - left,
                is_orphan: depth == 0 && span.parent.is_some(),
                own: own_time(span, below.iter().map(|child| &spans[*child])),
            });
            waiting.extend(below.iter().rev().map(|child| (*child, depth + 1)));
        }
    }
}

/// Returns the time of a span that none of its children covers. Children are sorted by start time.
fn own_time<'a>(span: &Interval, children: impl Iterator<Item = &'a Interval>) -> u64 {
    let end = span.end.max(span.start);
    let (mut own, mut covered_until) = (0, span.start);
    for child in children {
        let child_start = child.start.clamp(span.start, end);
        own += child_start.saturating_sub(covered_until);
        covered_until = covered_until.max(child.end.clamp(child_start, end));
    }
    own + end.saturating_sub(covered_until)
}

/// Returns the largest of 1, 2 and 5 times a power of ten that divides a length into about five.
fn round_step(length: u64) -> u64 {
    let least = length.div_ceil(5).max(1);
    let power = 10_u64.pow(least.ilog10());
    [1, 2, 5]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least)
        .unwrap_or(power.saturating_mul(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(id: u8, parent: u8, start: u64, end: u64) -> Interval {
        let id_of = |id: u8| [0, 0, 0, 0, 0, 0, 0, id];
        Interval { id: id_of(id), parent: (parent > 0).then(|| id_of(parent)), start, end }
    }

    fn shape(spans: &[Interval]) -> Vec<(u8, usize)> {
        Waterfall::new(spans).rows.iter().map(|row| (spans[row.span].id[7], row.depth)).collect()
    }

    #[test]
    fn children_follow_their_parent_by_start_time() {
        let spans = [span(3, 1, 50, 60), span(2, 1, 10, 40), span(4, 2, 20, 30), span(1, 0, 0, 100)];
        assert_eq!(shape(&spans), [(1, 0), (2, 1), (4, 2), (3, 1)]);
    }

    #[test]
    fn bars_are_parts_of_the_whole() {
        let spans = [span(1, 0, 1_000, 1_200), span(2, 1, 1_050, 1_100)];
        let waterfall = Waterfall::new(&spans);
        assert_eq!((waterfall.start, waterfall.end), (1_000, 1_200));
        assert_eq!((waterfall.rows[1].left, waterfall.rows[1].width), (25.0, 25.0));
        assert_eq!(waterfall.position(900), 0.0);
        assert_eq!(waterfall.position(2_000), 100.0);
    }

    #[test]
    fn a_missing_parent_makes_an_orphan() {
        let spans = [span(2, 9, 10, 20), span(3, 2, 12, 14)];
        let waterfall = Waterfall::new(&spans);
        assert!(waterfall.rows[0].is_orphan && !waterfall.rows[1].is_orphan);
        assert_eq!(shape(&spans), [(2, 0), (3, 1)]);
    }

    #[test]
    fn cycles_and_duplicates_end() {
        let cases: [&[Interval]; 3] = [
            &[span(1, 2, 0, 10), span(2, 1, 0, 10)],
            &[span(1, 1, 0, 10)],
            &[span(1, 0, 0, 10), span(1, 0, 0, 10), span(2, 1, 3, 4)],
        ];
        for spans in cases {
            assert_eq!(Waterfall::new(spans).rows.len(), spans.len());
        }
    }

    #[test]
    fn own_time_excludes_children_that_overlap() {
        let spans = [span(1, 0, 0, 100), span(2, 1, 10, 50), span(3, 1, 30, 60), span(4, 1, 90, 130)];
        let own: Vec<u64> = Waterfall::new(&spans).rows.iter().map(|row| row.own).collect();
        assert_eq!(own, [40, 40, 30, 40]);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_negative_bar() {
        let waterfall = Waterfall::new(&[span(1, 0, 100, 50), span(2, 1, 120, 110)]);
        assert!(waterfall.rows.iter().all(|row| row.width >= 0.0));
        assert_eq!(Waterfall::new(&[]).ticks(), [(0.0, 0)]);
    }

    #[test]
    fn ticks_are_round() {
        let cases = [(100, 20), (38, 10), (7, 2), (1, 1), (2_600_000, 1_000_000)];
        for (length, step) in cases {
            let ticks = Waterfall::new(&[span(1, 0, 0, length)]).ticks();
            assert_eq!(ticks[1].1, step, "{length}");
            assert!(ticks.len() <= 6, "{ticks:?}");
        }
    }

    proptest! {
        #[test]
        fn each_span_has_one_row_within_the_page(
            spans in proptest::collection::vec((1_u8..20, 0_u8..20, any::<u64>(), any::<u64>()), 0..40)
        ) {
            let spans: Vec<Interval> =
                spans.into_iter().map(|(id, parent, start, end)| span(id, parent, start, end)).collect();
            let waterfall = Waterfall::new(&spans);
            let mut rows: Vec<usize> = waterfall.rows.iter().map(|row| row.span).collect();
            rows.sort_unstable();
            prop_assert!(rows.into_iter().eq(0..spans.len()));
            for row in &waterfall.rows {
                prop_assert!(row.left >= 0.0 && row.width >= 0.0 && row.left + row.width <= 100.001);
            }
            prop_assert!(waterfall.ticks().len() <= 6);
        }
    }
}
