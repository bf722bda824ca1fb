//! The closed vocabularies from which every label, span attribute and log field takes its values.

/// A set of values that is known completely when the program is compiled.
///
/// One [`as_str`](ClosedSet::as_str) serves the database, JSON, metric label and log field alike, so they cannot disagree.
pub trait ClosedSet: Copy + Eq + 'static {
    /// Every member, in declaration order.
    const ALL: &'static [Self];

    /// The one spelling of this member everywhere.
    fn as_str(self) -> &'static str;

    /// The position of this member in [`ALL`](ClosedSet::ALL); series are found by it without a look-up.
    fn index(self) -> usize;
}
