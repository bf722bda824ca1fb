//! Timestamps in requests.

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};

const SECONDS_OF_DAY: i64 = 24 * 60 * 60;

/// An RFC 3339 time with the precision of Postgres: whole microseconds, exactly one value per instant.
///
/// A leap second (`23:59:60`) becomes the first second of the next day, as in Unix time. `chrono` represents
/// it separately: it prints `:60`, sorts it before the next minute, and writes the next minute to Postgres.
/// An item would then have two different times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(DateTime<Utc>);

impl Moment {
    /// Parses a time; digits beyond microseconds are dropped. The error says what would be valid.
    ///
    /// # Errors
    /// Returns an error if it is not an RFC 3339 time, or is outside the years 0 to 9999.
    pub fn parse(text: &str) -> Result<Self, String> {
        // `chrono` also accepts a space instead of the T, and U+2212 as the sign.
        let is_strict = text.is_ascii() && !text.contains(' ');
        let parsed = DateTime::parse_from_rfc3339(text).ok().filter(|_| is_strict);
        let parsed = parsed.ok_or_else(|| problem(text))?;
        // In a leap second, `chrono` counts nanoseconds beyond one second.
        let nanoseconds = parsed.timestamp_subsec_nanos();
        let is_last_of_day = parsed.timestamp().rem_euclid(SECONDS_OF_DAY) == SECONDS_OF_DAY - 1;
        if nanoseconds >= 1_000_000_000 && !is_last_of_day {
            return Err("has a second 60, which only the last minute of a day of UTC can have".to_owned());
        }
        let microseconds = i64::from(nanoseconds / 1_000);
        let since_1970 =
            parsed.timestamp().checked_mul(1_000_000).and_then(|whole| whole.checked_add(microseconds));
        since_1970
            .and_then(DateTime::from_timestamp_micros)
            .filter(|time| (0..=9999).contains(&time.year()))
            .map(Self)
            .ok_or_else(|| "must be within the years 0 to 9999 of UTC".to_owned())
    }

    pub fn time(self) -> DateTime<Utc> {
        self.0
    }
}

/// Returns the most specific reason why a text is not a valid time.
fn problem(text: &str) -> String {
    let is_right = |text: &str| DateTime::parse_from_rfc3339(text).is_ok();
    let with_colon = text
        .split_at_checked(text.len().saturating_sub(2))
        .map(|(before, minutes)| format!("{before}:{minutes}"));
    let problem = if is_right(&format!("{text}Z")) {
        "must say its offset from UTC: end it with Z, or with an offset such as +01:00"
    } else if with_colon.is_some_and(|text| is_right(&text)) {
        "must have a colon in its offset from UTC, such as +01:00"
    } else if text.contains(' ') && is_right(&text.replacen(' ', "T", 1)) {
        "must have a T between date and time, such as 2026-12-01T09:00:00Z"
    } else {
        "must be a time of RFC 3339, such as 2026-12-01T09:00:00Z or 2026-12-01T10:00:00.5+01:00"
    };
    problem.to_owned()
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A time of RFC 3339 with its offset from UTC. It is kept to the microsecond; further \
                               digits are dropped. The leap second 23:59:60 of UTC is the first second of the next \
                               day."))
            .examples(["2026-12-01T09:00:00Z"])
            .into()
    }
}

impl utoipa::ToSchema for Moment {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_leap_second_belongs_to_the_next_day() {
        for (text, expected) in [
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("2016-12-31T23:59:60.999999999Z", "2017-01-01T00:00:00.999999Z"),
            ("2017-01-01T00:59:60+01:00", "2017-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ] {
            let time = Moment::parse(text).expect(text).time();
            assert_eq!(time, expected.parse::<DateTime<Utc>>().expect("a time"), "{text}");
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        for (text, reason) in [
            ("", "RFC 3339"),
            ("2026", "RFC 3339"),
            ("2026-12-01", "RFC 3339"),
            ("09:00:00Z", "RFC 3339"),
            ("2026-12-01T09:00:00", "offset"),
            ("2026-12-01T09:00:00.5", "offset"),
            ("2026-12-01T09:00:00+1:00", "RFC 3339"),
            ("2026-12-01T09:00:00+0100", "colon"),
            ("2026-12-01 09:00:00Z", "T between"),
            ("2026-12-01T09:00:60Z", "second 60"),
            ("2026-12-01T23:59:60+01:00", "second 60"),
            ("2026-12-01T09:00:00 Z", "RFC 3339"),
            (" 2026-12-01T09:00:00Z", "RFC 3339"),
            ("2026-12-01T09:00:00Z ", "RFC 3339"),
            ("2026-12-01T09:00:61Z", "RFC 3339"),
            ("2026-12-01T09:60:00Z", "RFC 3339"),
            ("2026-12-01T24:00:00Z", "RFC 3339"),
            ("2026-12-01T09:00:00.Z", "RFC 3339"),
            ("2026-12-01T09:00:00,5Z", "RFC 3339"),
            ("10000-01-01T00:00:00Z", "RFC 3339"),
            ("9999-12-31T23:59:60Z", "years"),
            ("9999-12-31T23:59:59-00:01", "years"),
            ("0000-01-01T00:00:00+00:01", "years"),
        ] {
            let refusal = Moment::parse(text).expect_err(text);
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
    }

    /// Days since 1970 of a date, by the rules of the calendar and without `chrono`.
    fn days(year: i64, month: i64, day: i64) -> i64 {
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let of_year = |year| if is_leap(year) { 366 } else { 365 };
        let of_month = |month| match month {
            2 => of_year(year) - 337,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let years: i64 = if year < 1970 {
            -(year..1970).map(of_year).sum::<i64>()
        } else {
            (1970..year).map(of_year).sum()
        };
        years + (1..month).map(of_month).sum::<i64>() + day - 1
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Every RFC 3339 notation denotes the computed instant, and the formatted text is parsed as the same
        /// instant.
        #[test]
        fn every_form_is_one_instant(
            (year, month, day) in (0_i64..=9999, 1_i64..=12, 1_i64..=31),
            (hour, minute, second) in prop_oneof![(0_i64..=23, 0_i64..=59, 0_i64..=60), Just((23, 59, 60))],
            fraction in proptest::option::of("[0-9]{1,20}"),
            separator in prop::sample::select(vec!["T", "t"]),
            offset in prop::sample::select(vec!["Z", "z", "+00:00", "-00:00", "+hh:mm", "-hh:mm"]),
            (offset_hour, offset_minute) in (0_i64..=23, 0_i64..=59),
        ) {
            let (hh, mm) = (format!("{offset_hour:02}"), format!("{offset_minute:02}"));
            let shift = match (offset.contains("hh"), offset.starts_with('-')) {
                (false, _) => 0,
                (true, false) => offset_hour * 60 + offset_minute,
                (true, true) => -(offset_hour * 60 + offset_minute),
            };
            let offset = offset.replace("hh", &hh).replace("mm", &mm);
            let dot = fraction.as_deref().map(|digits| format!(".{digits}")).unwrap_or_default();
            let time = format!("{hour:02}:{minute:02}:{second:02}{dot}{offset}");
            let text = format!("{year:04}-{month:02}-{day:02}{separator}{time}");

            let micros: String = fraction.unwrap_or_default().chars().chain("000000".chars()).take(6).collect();
            let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute - shift) * 60 + second;
            let expected = seconds * 1_000_000 + micros.parse::<i64>().expect("digits");
            let is_possible = second < 60 || (seconds.rem_euclid(SECONDS_OF_DAY) == 0);
            let is_date = day <= 28 || days(year, month, day) < days(year + month / 12, month % 12 + 1, 1);
            let bounds = days(0, 1, 1) * 86_400_000_000..days(10_000, 1, 1) * 86_400_000_000;

            match Moment::parse(&text) {
                Ok(moment) => {
                    prop_assert!(is_date && is_possible && bounds.contains(&expected), "{text} is accepted");
                    prop_assert_eq!(moment.time().timestamp_micros(), expected, "{}", text);
                    let written = serde_json::to_string(&moment.time()).expect("JSON");
                    prop_assert!(!written.contains(":60"), "{text} is written {written}");
                    let read = Moment::parse(written.trim_matches('"'));
                    prop_assert_eq!(read, Ok(moment), "{} is written {}", text, written);
                }
                Err(_) => prop_assert!(!is_date || !is_possible || !bounds.contains(&expected), "{text} is refused"),
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", likely in "[0-9TtZz:.+ -]{0,40}") {
            let _ = (Moment::parse(&text), Moment::parse(&likely));
        }
    }
}
