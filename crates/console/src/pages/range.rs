//! Time ranges of pages.

use crate::calendar;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Offered ranges: the name in the address, the label and the length in milliseconds.
pub(super) const RANGES: [(&str, &str, i64); 7] = [
    ("15m", "15 min", 15 * MINUTE),
    ("1h", "1 h", HOUR),
    ("6h", "6 h", 6 * HOUR),
    ("24h", "24 h", DAY),
    ("2d", "2 d", 2 * DAY),
    ("7d", "7 d", 7 * DAY),
    ("30d", "30 d", 30 * DAY),
];

/// Longest range.
const LONGEST: i64 = 31 * DAY;
/// Shortest range.
const SHORTEST: i64 = MINUTE;

/// A time range in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// Its beginning.
    pub from: i64,
    /// Its end.
    pub until: i64,
    /// Name of the range if it ends now.
    pub name: Option<&'static str>,
}

impl TimeRange {
    /// Returns the range of this name that ends now.
    pub fn last(name: &str, now: i64) -> Option<Self> {
        let (name, _, length) = RANGES.iter().find(|(known, ..)| *known == name)?;
        Some(Self { from: now - length, until: now, name: Some(name) })
    }

    /// Returns the shortest offered range of at least this length.
    pub fn at_least(length: i64, now: i64) -> Self {
        let found = RANGES.iter().find(|(_, _, known)| *known >= length).unwrap_or(&RANGES[RANGES.len() - 1]);
        Self { from: now - found.2, until: now, name: Some(found.0) }
    }

    /// Returns the last hour.
    pub fn hour(now: i64) -> Self {
        Self { from: now - HOUR, until: now, name: Some("1h") }
    }

    /// Returns its length in milliseconds.
    pub fn length(&self) -> i64 {
        self.until - self.from
    }

    /// Returns the range in words.
    pub fn text(&self) -> String {
        let label = |name| RANGES.iter().find(|(known, ..)| *known == name).map_or("", |(_, label, _)| label);
        match self.name {
            Some(name) => format!("the last {}", label(name)),
            None => {
                let (from, until) = (calendar::date_and_time(self.from), calendar::date_and_time(self.until));
                format!("{from} to {until} UTC")
            }
        }
    }

    /// Reads a range from the parameters of an address.
    ///
    /// # Errors
    /// Returns a sentence that says what is wrong.
    pub fn read(
        name: Option<&str>,
        from: Option<&str>,
        until: Option<&str>,
        now: i64,
    ) -> Result<Option<Self>, String> {
        let time = |parameter: &str, text: &str| {
            calendar::parse(text).ok_or_else(|| format!("{parameter}={text} is no time."))
        };
        match (name, from, until) {
            (None, None, None) => Ok(None),
            (Some(name), None, None) => {
                Self::last(name, now).map(Some).ok_or_else(|| format!("range={name} is not offered."))
            }
            (None, Some(from), until) => {
                let from = time("from", from)?;
                let until = until.map(|text| time("until", text)).transpose()?.unwrap_or(now);
                if until - from > LONGEST {
                    return Err("The range is longer than 31 days.".to_owned());
                }
                if until - from < SHORTEST {
                    return Err("The range must end at least a minute after its beginning.".to_owned());
                }
                Ok(Some(Self { from, until, name: None }))
            }
            (Some(_), ..) => Err("The address has both range= and from= or until=.".to_owned()),
            (None, None, Some(_)) => Err("The address has until= but no from=.".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let now = 10 * DAY;
        let read = |name, from, until| TimeRange::read(name, from, until, now);
        assert_eq!(read(None, None, None), Ok(None));
        assert_eq!(
            read(Some("6h"), None, None).map(|range| range.map(|range| range.length())),
            Ok(Some(6 * HOUR))
        );
        let day = read(None, Some("1970-01-02T00:00"), Some("1970-01-03T00:00"));
        assert_eq!(day.map(|range| range.map(|range| (range.from, range.until))), Ok(Some((DAY, 2 * DAY))));
        for (name, from, until) in [
            (Some("5h"), None, None),
            (Some("6h"), Some("0"), None),
            (None, None, Some("0")),
            (None, Some("1970-01-02T00:00"), Some("1970-01-02T00:00")),
            (None, Some("1970-01-02T00:00"), Some("1970-03-02T00:00")),
        ] {
            assert!(read(name, from, until).is_err(), "{name:?} {from:?} {until:?}");
        }
    }
}
