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
pub(crate) const ALL: &[Equivalent] = &[];
