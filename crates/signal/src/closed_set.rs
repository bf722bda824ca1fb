//! The closed vocabularies from which every label, span attribute and log field takes its values.

/// A set of values that is known completely at compile time.
///
/// One [`as_str`](ClosedSet::as_str) serves the database, JSON, metric label and log field alike,
/// so they cannot disagree.
pub trait ClosedSet: Copy + Eq + 'static {
    /// Every member, in declaration order.
    const ALL: &'static [Self];

    /// Returns the only spelling of this member, used everywhere.
    fn as_str(self) -> &'static str;

    /// Returns the index of this member in [`ALL`](ClosedSet::ALL). It selects a series without a
    /// look-up.
    fn index(self) -> usize;
}
