//! Series that match the conditions of a selection.

use monitoring::query::{MatchOperator, Matcher, Selection};
use regex::{Regex, RegexBuilder};

use super::{Context, Refusal};
use crate::store::metrics::{Labels, MetricSource, SeriesId};

/// Regular expressions come from URLs, so their size is limited.
const LARGEST_PATTERN: usize = 1 << 18;

/// Replaces a variable without a value.
const ANYTHING: &str = ".*";

/// Returns the series of a selection.
pub(crate) fn select(
    source: &impl MetricSource,
    selection: &Selection,
    context: &Context<'_>,
) -> Result<Vec<SeriesId>, Refusal> {
    let conditions: Vec<Condition> = selection
        .matchers
        .iter()
        .map(|matcher| Condition::new(matcher, context))
        .collect::<Result<_, _>>()?;
    let mut series = source.series(&selection.name);
    series.retain(|series| {
        let labels = source.labels(*series);
        conditions.iter().all(|condition| condition.holds(labels))
    });
    Ok(series)
}

/// Returns the labels of the series that `absent_over_time` returns: those of the equality conditions. A
/// further condition on the same label removes it, as in Prometheus.
pub(super) fn labels_of_absent(selection: &Selection) -> Labels {
    let mut labels = Labels::default();
    let mut seen = Vec::new();
    for matcher in &selection.matchers {
        if matcher.operator == MatchOperator::Equal && !seen.contains(&&matcher.label) {
            labels = labels.with(&matcher.label, &matcher.value);
            seen.push(&matcher.label);
        } else {
            labels = labels.with(&matcher.label, "");
        }
    }
    labels
}

struct Condition {
    label: String,
    pattern: Pattern,
    /// Set if the pattern must match, clear if it must not.
    expected: bool,
}

enum Pattern {
    Text(String),
    /// Texts, each of which may be followed by more. Most patterns are such, and building a regular expression
    /// takes as long as reading a series.
    Alternatives(Vec<(String, More)>),
    Regex(Box<Regex>),
}

/// Text that may follow an alternative.
#[derive(Clone, Copy)]
enum More {
    Nothing,
    Anything,
    /// At least one character.
    Something,
}

impl Condition {
    fn new(matcher: &Matcher, context: &Context<'_>) -> Result<Self, Refusal> {
        let value = with_variables(&matcher.value, context);
        let (regex, expected) = match matcher.operator {
            MatchOperator::Equal => (false, true),
            MatchOperator::NotEqual => (false, false),
            MatchOperator::Matches => (true, true),
            MatchOperator::MatchesNot => (true, false),
        };
        let pattern = if !regex {
            Pattern::Text(value)
        } else if let Some(alternatives) = alternatives(&value) {
            Pattern::Alternatives(alternatives)
        } else {
            let regex = RegexBuilder::new(&format!("^(?s:{value})$")).size_limit(LARGEST_PATTERN).build();
            Pattern::Regex(Box::new(regex.map_err(|_| Refusal::Pattern { label: matcher.label.clone() })?))
        };
        Ok(Self { label: matcher.label.clone(), pattern, expected })
    }

    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.label);
        let matches = match &self.pattern {
            Pattern::Text(text) => text == value,
            Pattern::Alternatives(alternatives) => alternatives.iter().any(|(text, more)| {
                let rest = value.strip_prefix(text.as_str());
                rest.is_some_and(|rest| match more {
                    More::Nothing => rest.is_empty(),
                    More::Anything => true,
                    More::Something => !rest.is_empty(),
                })
            }),
            Pattern::Regex(regex) => regex.is_match(value),
        };
        matches == self.expected
    }
}

/// Returns the alternatives of a regular expression if it consists of texts, each possibly with `.*` or `.+` at
/// its end.
fn alternatives(pattern: &str) -> Option<Vec<(String, More)>> {
    let alternative = |pattern: &str| {
        let ends = [(".*", More::Anything), (".+", More::Something)];
        let ended = ends.iter().find_map(|(end, more)| Some((pattern.strip_suffix(end)?, *more)));
        let (text, more) = ended.unwrap_or((pattern, More::Nothing));
        let is_plain = !text.contains(['\\', '.', '+', '*', '?', '(', ')', '[', ']', '{', '}', '^', '$']);
        is_plain.then(|| (text.to_owned(), more))
    };
    pattern.split('|').map(alternative).collect()
}

/// Replaces Grafana's variables, `$name` and `${name}`, by their values.
fn with_variables(text: &str, context: &Context<'_>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(position) = rest.find('$') {
        result.push_str(&rest[..position]);
        rest = &rest[position + 1..];
        let braced = rest.starts_with('{');
        let name_start = usize::from(braced);
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let name_end = rest[name_start..]
            .find(|character| !is_part(character))
            .map_or(rest.len(), |end| name_start + end);
        let name = &rest[name_start..name_end];
        let closed = !braced || rest[name_end..].starts_with('}');
        if name.is_empty() || !closed {
            result.push('$');
            continue;
        }
        result.push_str(&(context.variables)(name).unwrap_or_else(|| ANYTHING.to_owned()));
        rest = &rest[name_end + usize::from(braced)..];
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn alternatives_match_as_the_regular_expression(
            pattern in r"([ab/]{0,2}(\.[*+])?\|){0,2}[ab/]{0,2}(\.[*+])?",
            value in "[ab/\n]{0,3}",
        ) {
            let alternatives = alternatives(&pattern).expect("a pattern of texts");
            let condition =
                Condition { label: "a".to_owned(), pattern: Pattern::Alternatives(alternatives), expected: true };
            let regex = Regex::new(&format!("^(?s:{pattern})$")).unwrap();
            let labels = Labels::new([("a".into(), value.as_str().into())]);
            prop_assert_eq!(condition.holds(&labels), regex.is_match(&value), "{} {:?}", pattern, value);
        }
    }

    #[test]
    fn variables_are_replaced_in_matchers() {
        let values = |name: &str| (name == "route").then(|| "/v1/(a|b)".to_owned());
        let context = Context { variables: &values, ..Context::rule(0) };
        for (text, expected) in [
            ("$route", "/v1/(a|b)"),
            ("${route}x", "/v1/(a|b)x"),
            ("a$routes", "a.*"),
            ("$instance|$route", ".*|/v1/(a|b)"),
            ("4..$", "4..$"),
            ("${route", "${route"),
            ("", ""),
        ] {
            assert_eq!(with_variables(text, &context), expected, "{text}");
        }
    }

    #[test]
    fn patterns_match_whole_values() {
        let holds = |operator, pattern: &str, value: &str| {
            let matcher = Matcher { label: "a".to_owned(), operator, value: pattern.to_owned() };
            let labels = Labels::new([("a".into(), value.into())]);
            Condition::new(&matcher, &Context::rule(0)).unwrap().holds(&labels)
        };
        use MatchOperator::{Equal, Matches, MatchesNot, NotEqual};
        assert!(holds(Equal, "x", "x") && !holds(Equal, "x", "xy") && holds(Equal, "", ""));
        assert!(!holds(NotEqual, "", "") && holds(NotEqual, "", "x"));
        assert!(holds(Matches, "a|bc", "bc") && !holds(Matches, "a|bc", "abc"));
        assert!(holds(MatchesNot, "4..", "500") && !holds(MatchesNot, "4..", "404"));
        assert!(holds(Matches, ".*", "") && !holds(Matches, ".+", "") && holds(Matches, "a.b", "a\nb"));
        assert!(holds(Matches, "a/.+|b", "a/x") && holds(Matches, "a/.+|b", "b") && holds(Matches, "|b", ""));
        assert!(
            !holds(Matches, "a/.+|b", "a/") && !holds(Matches, "a/.+|b", "bx") && holds(Matches, "a.*", "a")
        );
        assert!(holds(Matches, r"a\.b", "a.b") && !holds(Matches, r"a\.b", "a\\.b"));
        let broken = Matcher { label: "a".to_owned(), operator: Matches, value: "(".to_owned() };
        let refused = Condition::new(&broken, &Context::rule(0)).err();
        assert_eq!(refused, Some(Refusal::Pattern { label: "a".to_owned() }));
    }
}
