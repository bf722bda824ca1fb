//! Lines from JSON text.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use signal::{ClosedSet, Level};

use super::line::Line;
use super::usage::LineRefusal;
use crate::store::FieldValue;

/// Maximum number of stored fields of a line.
const MOST_FIELDS: usize = 64;
/// Maximum length of a value in bytes. Longer ones are cut.
const LONGEST_VALUE: usize = 4096;
/// Maximum number of interned names and short values.
const MOST_SHARED: usize = 4096;
/// Maximum length of an interned value. Ids are longer.
const LONGEST_SHARED: usize = 28;

/// Parses lines. It interns the names of fields and short values.
#[derive(Debug, Default)]
pub struct LineParser {
    shared: HashSet<Arc<str>>,
}

impl LineParser {
    /// Parses the JSON text of a line.
    pub fn parse(&mut self, text: &[u8]) -> Result<Line, LineRefusal> {
        let mut raw =
            Raw { shared: &mut self.shared, timestamp: None, level: None, event: None, fields: Vec::new() };
        let mut json = serde_json::Deserializer::from_slice(text);
        json.deserialize_map(RawVisitor(&mut raw)).map_err(|_| LineRefusal::NotJson)?;
        json.end().map_err(|_| LineRefusal::NotJson)?;
        Ok(Line {
            at: raw.timestamp.ok_or(LineRefusal::NoTimestamp)?,
            level: raw.level.ok_or(LineRefusal::NoLevel)?,
            event: raw.event.ok_or(LineRefusal::NoEvent)?,
            fields: raw.fields,
        })
    }
}

struct Raw<'a> {
    shared: &'a mut HashSet<Arc<str>>,
    timestamp: Option<i64>,
    level: Option<Level>,
    event: Option<Arc<str>>,
    fields: Vec<(Arc<str>, FieldValue)>,
}

impl Raw<'_> {
    fn share(&mut self, text: &str) -> Arc<str> {
        let text = cut(text);
        if text.len() > LONGEST_SHARED {
            return text.into();
        }
        if let Some(shared) = self.shared.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        if self.shared.len() < MOST_SHARED {
            self.shared.insert(shared.clone());
        }
        shared
    }

    fn add(&mut self, name: &str, value: Json<'_>) {
        match (name, &value) {
            ("timestamp", Json::Text(text)) => self.timestamp = microseconds(text),
            ("level", Json::Text(text)) => {
                self.level = Level::ALL.iter().copied().find(|level| level.as_str() == text);
            }
            ("event", Json::Text(text)) if !text.is_empty() => self.event = Some(self.share(text)),
            _ => {
                let value = match value {
                    Json::Text(text) => FieldValue::Text(self.share(&text)),
                    Json::Integer(number) => FieldValue::Integer(number),
                    Json::Number(number) => FieldValue::Number(number),
                    Json::Flag(flag) => FieldValue::Flag(flag),
                    Json::Other => return,
                };
                if self.fields.len() < MOST_FIELDS {
                    let name = self.share(name);
                    self.fields.push((name, value));
                }
            }
        }
    }
}

struct RawVisitor<'a, 'b>(&'a mut Raw<'b>);

impl<'de> Visitor<'de> for RawVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let value = map.next_value::<Json<'de>>()?;
            self.0.add(&name.0, value);
        }
        Ok(())
    }
}

/// Text, borrowed unless it contains escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

/// A value of a field. The application writes no nested values.
enum Json<'a> {
    Text(std::borrow::Cow<'a, str>),
    Integer(i64),
    Number(f64),
    Flag(bool),
    Other,
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(text.to_owned().into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Json::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Json::Number(number as f64), Json::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Json::Number(number))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Json::Flag(flag))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Json::Other)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Json::Other)
    }
}

/// Returns the longest prefix of a text that may be stored.
fn cut(text: &str) -> &str {
    match text.len() <= LONGEST_VALUE {
        true => text,
        false => &text[..text.floor_char_boundary(LONGEST_VALUE)],
    }
}

/// Returns Unix microseconds of a time such as `2026-01-31T23:59:59.123456Z`.
pub(crate) fn microseconds(text: &str) -> Option<i64> {
    let text = text.as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
        })
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let is_shaped = separators.iter().all(|(place, separator)| text.get(*place) == Some(separator));
    let (rest, b"Z") = text.split_at_checked(text.len().checked_sub(1)?)? else { return None };
    if !is_shaped {
        return None;
    }
    let fraction = match rest.get(19..)? {
        [] => 0,
        [b'.', digits @ ..] if matches!(digits.len(), 1..=9) => {
            let kept = digits.len().min(6);
            number(20 + kept..20 + digits.len())?;
            number(20..20 + kept)? * 10_i64.pow(6 - kept as u32)
        }
        _ => return None,
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000 + fraction)
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar. Years start in March here, so that
/// the leap day is the last day.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_application_keeps_all_its_fields() {
        let text = concat!(
            r#"{"timestamp":"2026-11-30T15:16:17.123456Z","level":"warn","event":"http.server.request","#,
            r#""http.route":"/v1/items/{id}","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","#,
            r#""http.response.status_code":404,"duration_ms":1.250000,"cached":true,"nothing":null,"deep":{"a":[1]},"#,
            r#""service.instance.id":"a\u0041"}"#
        );
        let line = LineParser::default().parse(text.as_bytes()).unwrap();
        assert_eq!(
            (line.at, line.level, &*line.event),
            (1_796_051_777_123_456, Level::Warn, "http.server.request")
        );
        let fields: Vec<String> = line.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            fields,
            [
                "http.route=/v1/items/{id}",
                "trace_id=4bf92f3577b34da6a3ce929d0e0e4736",
                "http.response.status_code=404",
                "duration_ms=1.25",
                "cached=true",
                "service.instance.id=aA",
            ]
        );
    }

    #[test]
    fn lines_are_refused_with_a_reason() {
        let cases = [
            ("", LineRefusal::NotJson),
            ("plain text", LineRefusal::NotJson),
            ("[]", LineRefusal::NotJson),
            ("{} {}", LineRefusal::NotJson),
            (r#"{"timestamp":"2026-11-30T15:16:17.12"#, LineRefusal::NotJson),
            (r#"{"level":"info","event":"a"}"#, LineRefusal::NoTimestamp),
            (r#"{"timestamp":"yesterday","level":"info","event":"a"}"#, LineRefusal::NoTimestamp),
            (r#"{"timestamp":"2026-11-30T15:16:17Z","level":"loud","event":"a"}"#, LineRefusal::NoLevel),
            (r#"{"timestamp":"2026-11-30T15:16:17Z","level":"info","event":7}"#, LineRefusal::NoEvent),
        ];
        for (text, expected) in cases {
            assert_eq!(LineParser::default().parse(text.as_bytes()), Err(expected), "{text}");
        }
    }

    #[test]
    fn times_are_read_to_the_microsecond() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:00.5Z", Some(500_000)),
            ("2000-02-29T12:00:00.000001Z", Some(951_825_600_000_001)),
            ("2026-11-30T15:16:17.123456789Z", Some(1_796_051_777_123_456)),
            ("2026-11-30T15:16:17.1234567x9Z", None),
            ("2026-11-30T15:16:17.Z", None),
            ("2026-11-30T15:16:17", None),
            ("2026-11-30T15:16:17+01:00", None),
            ("2026-13-30T15:16:17Z", None),
            ("2026-11-30 15:16:17Z", None),
            ("é026-11-30T15:16:17Z", None),
            ("Z", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(microseconds(text), expected, "{text}");
        }
    }
}
