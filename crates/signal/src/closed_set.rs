//! The closed vocabularies from which every label, span attribute and log field takes its values.

/// A set of values that is known completely at compile time.
///
/// One [`as_str`](ClosedSet::as_str) serves the database, JSON, metric label and log field alike,
/// so they cannot disagree. It is derived from the names of an enum's members:
///
/// ```
/// use signal::ClosedSet;
/// use signal::metric::Label;
///
/// #[derive(Clone, Copy, PartialEq, Eq, ClosedSet)]
/// #[label("weather.window")]
/// enum Window {
///     LastHour,
///     #[spelling("7d")]
///     Week,
/// }
///
/// assert_eq!(Window::ALL.iter().map(|window| window.as_str()).collect::<Vec<_>>(), ["last_hour", "7d"]);
/// assert_eq!((Window::Week.index(), Window::KEY), (1, "weather.window"));
/// ```
///
/// A member has no data, and no number that would differ from its position:
///
/// ```compile_fail
/// #[derive(Clone, Copy, PartialEq, Eq, signal::ClosedSet)]
/// enum Window {
///     Days(u8),
/// }
/// ```
///
/// ```compile_fail
/// #[derive(Clone, Copy, PartialEq, Eq, signal::ClosedSet)]
/// enum Window {
///     Week = 7,
/// }
/// ```
pub trait ClosedSet: Copy + Eq + 'static {
    /// Every member, in declaration order.
    const ALL: &'static [Self];

    /// Returns the only spelling of this member, used everywhere.
    fn as_str(self) -> &'static str;

    /// Returns the index of this member in [`ALL`](ClosedSet::ALL). It selects a series without a
    /// look-up.
    fn index(self) -> usize;
}
