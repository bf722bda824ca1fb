//! SQLSTATE codes of database errors, as a closed set.
//!
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>

use crate::ClosedSet;

/// Codes that tell an operator more than their class, and one code per class for all others in it. Sorted for
/// binary search.
const CODES: &[&str] = &[
    "01000", "02000", "03000", "08000", "08001", "08003", "08004", "08006", "08P01", "09000", "0A000",
    "0B000", "0F000", "0L000", "0P000", "0Z000", "10000", "20000", "21000", "22000", "22001", "22003",
    "22007", "22008", "22012", "22021", "22023", "22P02", "22P05", "23000", "23001", "23502", "23503",
    "23505", "23514", "23P01", "24000", "25000", "25001", "25006", "25P01", "25P02", "25P03", "25P04",
    "26000", "27000", "28000", "28P01", "2B000", "2D000", "2F000", "34000", "38000", "39000", "3B000",
    "3D000", "3F000", "40000", "40001", "40003", "40P01", "42000", "42501", "42601", "42703", "42804",
    "42883", "42P01", "42P05", "44000", "53000", "53100", "53200", "53300", "53400", "54000", "55000",
    "55006", "55P03", "57000", "57014", "57P01", "57P02", "57P03", "57P04", "57P05", "58000", "58030",
    "72000", "F0000", "HV000", "P0000", "P0001", "XX000", "XX001", "XX002",
];

/// A code of the closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqlState(u8);

impl SqlState {
    /// Returns the member for a code: the code itself, or that of its class. Returns `None` for classes that
    /// Postgres does not document.
    pub fn from_code(code: &str) -> Option<Self> {
        let position = |code: &str| CODES.binary_search(&code).ok();
        let of_class = || position(&format!("{}000", code.get(..2)?));
        position(code).or_else(of_class).map(|position| Self(position as u8))
    }
}

impl ClosedSet for SqlState {
    const ALL: &'static [Self] = &{
        let mut all = [Self(0); CODES.len()];
        let mut position = 0;
        while position < CODES.len() {
            all[position] = Self(position as u8);
            position += 1;
        }
        all
    };

    fn as_str(self) -> &'static str {
        CODES[self.index()]
    }

    fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_of_five_characters() {
        assert!(CODES.is_sorted());
        assert!(CODES.len() <= usize::from(u8::MAX));
        for (position, state) in SqlState::ALL.iter().enumerate() {
            assert_eq!((state.index(), SqlState::from_code(state.as_str())), (position, Some(*state)));
            assert_eq!(state.as_str().len(), 5);
            assert!(SqlState::from_code(&state.as_str()[..2]).is_some(), "{state:?} has a class");
        }
    }

    #[test]
    fn a_code_is_itself_or_its_class_or_nothing() {
        for (code, expected) in [
            ("23505", Some("23505")),
            ("42P01", Some("42P01")),
            ("42P20", Some("42000")),
            ("22P06", Some("22000")),
            ("P0003", Some("P0000")),
            ("08007", Some("08000")),
            // Nobody documents these, and anybody could invent more of them.
            ("ZZ001", None),
            ("zz", None),
            ("", None),
            ("4", None),
            ("ä2P01", None),
            ("23505 somebody@example.com", Some("23000")),
        ] {
            assert_eq!(SqlState::from_code(code).map(ClosedSet::as_str), expected, "{code}");
        }
    }
}
