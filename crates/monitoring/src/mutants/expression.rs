//! Mutations of PromQL expressions, each of which could be an editing mistake.
//!
//! Works on tokens, so everything else stays exactly as rendered.

use std::ops::Range;

use crate::query::duration_text;

/// An expression with one mutation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// Short description of the mutation.
    pub(super) change: String,
    /// The mutated expression.
    pub(super) text: String,
}

/// Every mutation of numbers, windows, matchers and clauses.
pub(super) fn changes(expression: &str) -> Vec<Changed> {
    let tokens = tokens(expression);
    let mut changes = Changes { expression, all: Vec::new() };
    for (position, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Number => changes.number(token),
            Kind::Duration => changes.duration(token, position.checked_sub(1).map(|before| &tokens[before])),
            Kind::Matchers => changes.matchers(token),
            Kind::Word if SET_OPERATORS.contains(&token.text) => changes.clause(&tokens, position),
            Kind::Comparison => changes.comparison(&tokens, position),
            _ => {}
        }
    }
    numbered(changes.all)
}

const SET_OPERATORS: &[&str] = &["and", "or", "unless"];

/// Numbers mutations with equal descriptions by their position.
fn numbered(mut all: Vec<Changed>) -> Vec<Changed> {
    for position in (0..all.len()).rev() {
        let before = all[..position].iter().filter(|other| other.change == all[position].change).count();
        if before > 0 {
            all[position].change = format!("{} ({})", all[position].change, before + 1);
        }
    }
    all
}

struct Changes<'a> {
    expression: &'a str,
    all: Vec<Changed>,
}

impl Changes<'_> {
    fn replace(&mut self, range: Range<usize>, replacement: &str, change: String) {
        let text =
            format!("{}{replacement}{}", &self.expression[..range.start], &self.expression[range.end..]);
        if text != self.expression {
            self.all.push(Changed { change, text });
        }
    }

    fn number(&mut self, token: &Token<'_>) {
        let Ok(number) = token.text.parse::<f64>() else { return };
        for other in if number == 0.0 { vec![1.0] } else { vec![number * 2.0, number / 2.0, 0.0] } {
            self.replace(token.range(), &other.to_string(), format!("{} becomes {other}", token.text));
        }
    }

    fn duration(&mut self, token: &Token<'_>, before: Option<&Token<'_>>) {
        let Some(seconds) = seconds(token.text) else { return };
        for other in [seconds * 2, seconds / 2] {
            let other = duration_text(std::time::Duration::from_secs(other.max(1)));
            self.replace(token.range(), &other, format!("{} becomes {other}", token.text));
        }
        if let Some(offset) = before.filter(|before| before.text == "offset") {
            self.replace(offset.start..token.end, "", format!("no offset {}", token.text));
        }
    }

    fn matchers(&mut self, token: &Token<'_>) {
        let inside = &token.text[1..token.text.len() - 1];
        let matchers = split(inside, ',');
        for (position, matcher) in matchers.iter().enumerate() {
            let others = without(&matchers, position).join(",");
            self.replace(token.range(), &format!("{{{others}}}"), format!("no {matcher}"));
            let Some((label, values)) = matcher.split_once("~\"") else { continue };
            let values = split(values.trim_end_matches('"'), '|');
            if values.len() < 2 {
                continue;
            }
            for (dropped, value) in values.iter().enumerate() {
                let mut changed = matchers.clone();
                let fewer = format!("{label}~\"{}\"", without(&values, dropped).join("|"));
                changed[position] = &fewer;
                self.replace(
                    token.range(),
                    &format!("{{{}}}", changed.join(",")),
                    format!("no {value} in {label}~"),
                );
            }
        }
    }

    /// Removes one operand of `and`, `or` or `unless`.
    fn clause(&mut self, tokens: &[Token<'_>], position: usize) {
        let operator = tokens[position].text;
        let group = group(tokens, position);
        let is_set_operator = |at: &usize| {
            tokens[*at].depth == tokens[position].depth && SET_OPERATORS.contains(&tokens[*at].text)
        };
        let first = (group.start..position).rev().find(is_set_operator).map_or(group.start, |at| at + 1);
        let end = (position + 1..group.end).find(is_set_operator).unwrap_or(group.end);
        let right = after_modifiers(tokens, position + 1);
        let text =
            |range: Range<usize>| &self.expression[tokens[range.start].start..tokens[range.end - 1].end];
        let without_right = format!("no `{operator}` {}", shortened(text(right..end)));
        let without_left = format!("only what follows `{operator}`: {}", shortened(text(right..end)));
        self.replace(tokens[position].start..tokens[end - 1].end, "", without_right);
        if operator != "unless" {
            self.replace(tokens[first].start..tokens[right].start, "", without_left);
        }
    }

    /// Removes a comparison.
    fn comparison(&mut self, tokens: &[Token<'_>], position: usize) {
        let group = group(tokens, position);
        let ends = |at: &usize| {
            tokens[*at].depth == tokens[position].depth
                && (SET_OPERATORS.contains(&tokens[*at].text) || tokens[*at].kind == Kind::Comparison)
        };
        let end = (position + 1..group.end).find(ends).unwrap_or(group.end);
        let range = tokens[position].start..tokens[end - 1].end;
        let change = format!("no {}", shortened(&self.expression[range.clone()]));
        self.replace(range, "", change);
    }
}

fn without<'a>(all: &[&'a str], position: usize) -> Vec<&'a str> {
    let mut others = all.to_vec();
    others.remove(position);
    others
}

/// Returns the beginning of a long text.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Duration,
    Matchers,
    Comparison,
    Word,
    Other,
}

#[derive(Clone, Debug)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    start: usize,
    end: usize,
    /// Number of parentheses open around the token; a parenthesis is outside itself.
    depth: usize,
}

impl Token<'_> {
    fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    while let Some(first) = text[start..].chars().next() {
        let rest = &text[start..];
        let while_all = |is: fn(char) -> bool| rest.find(|c: char| !is(c)).unwrap_or(rest.len());
        let (kind, length) = match first {
            '0'..='9' => {
                let length = while_all(|c| c.is_ascii_alphanumeric() || c == '.');
                let is_number = rest[..length].parse::<f64>().is_ok();
                (if is_number { Kind::Number } else { Kind::Duration }, length)
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                (Kind::Word, while_all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            }
            '{' => (Kind::Matchers, closing(rest, '}')),
            '"' => (Kind::Other, 1 + closing(&rest[1..], '"')),
            '<' | '>' | '=' | '!' => (Kind::Comparison, while_all(|c| "<>=!".contains(c))),
            ' ' => {
                start += 1;
                continue;
            }
            _ => (Kind::Other, first.len_utf8()),
        };
        depth -= usize::from(first == ')');
        tokens.push(Token { kind, text: &rest[..length], start, end: start + length, depth });
        depth += usize::from(first == '(');
        start += length;
    }
    tokens
}

/// Length up to and including the closing character, ignoring quoted text.
fn closing(text: &str, closing: char) -> usize {
    let mut quoted = false;
    for (position, c) in text.char_indices() {
        if c == closing && !quoted {
            return position + c.len_utf8();
        }
        quoted ^= c == '"';
    }
    text.len()
}

/// Splits at separators outside quoted text.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let parts = text.split(|c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// Range of the tokens between the parentheses or commas around a token.
fn group(tokens: &[Token<'_>], position: usize) -> Range<usize> {
    let depth = tokens[position].depth;
    let is_outside = |at: &usize| {
        let token = &tokens[*at];
        token.depth < depth || (token.depth == depth && token.text == ",")
    };
    let start = (0..position).rev().find(is_outside).map_or(0, |at| at + 1);
    let end = (position..tokens.len()).find(is_outside).unwrap_or(tokens.len());
    start..end
}

/// Position of the operand after `on (…)`.
fn after_modifiers(tokens: &[Token<'_>], position: usize) -> usize {
    if !["on", "ignoring"].contains(&tokens[position].text) {
        return position;
    }
    let depth = tokens[position].depth;
    let is_end = |at: &usize| tokens[*at].depth == depth && tokens[*at].text == ")";
    (position..tokens.len()).find(is_end).map_or(position, |at| at + 1)
}

/// Parses a duration that [`duration_text`] formatted.
fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return None,
    };
    Some(number.parse::<u64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Scale;
    use crate::rules::{groups, recordings};

    fn texts(expression: &str) -> Vec<String> {
        changes(expression).into_iter().map(|changed| changed.text).collect()
    }

    #[test]
    fn numbers_windows_and_comparisons_change() {
        assert_eq!(
            texts("sum(increase(a[5m])) >= 3"),
            [
                "sum(increase(a[10m])) >= 3",
                "sum(increase(a[150s])) >= 3",
                "sum(increase(a[5m])) ",
                "sum(increase(a[5m])) >= 6",
                "sum(increase(a[5m])) >= 1.5",
                "sum(increase(a[5m])) >= 0",
            ]
        );
        assert_eq!(texts("a > 0"), ["a ", "a > 1"]);
        assert_eq!(texts("a offset 1w"), ["a offset 2w", "a offset 84h", "a "]);
    }

    #[test]
    fn matchers_and_alternatives_are_dropped() {
        assert_eq!(
            texts(r#"a{b="x,y",c=~"d|e"}"#),
            [r#"a{c=~"d|e"}"#, r#"a{b="x,y"}"#, r#"a{b="x,y",c=~"e"}"#, r#"a{b="x,y",c=~"d"}"#]
        );
    }

    #[test]
    fn either_side_of_a_clause_is_dropped() {
        assert_eq!(texts("(a) and on (b, c) (d)"), ["(a) ", "(d)"]);
        assert_eq!(texts("sum(a or b) > d"), ["sum(a ) > d", "sum(b) > d", "sum(a or b) "]);
        assert_eq!(texts("a unless on () (b)"), ["a "]);
        assert_eq!(texts("a or b or c"), ["a  or c", "b or c", "a or b ", "a or c"]);
    }

    #[test]
    fn changes_that_read_alike_are_numbered() {
        let names: Vec<String> = changes("a[5m] / b[5m]").into_iter().map(|changed| changed.change).collect();
        let expected = ["5m becomes 10m", "5m becomes 150s", "5m becomes 10m (2)", "5m becomes 150s (2)"];
        assert_eq!(names, expected);
    }

    /// promtool rejects invalid expressions, which would count as caught.
    #[test]
    fn every_change_of_every_rule_can_be_read() {
        let alerts = groups(Scale::REAL).into_iter().flat_map(|group| group.alerts);
        let recorded = recordings(Scale::REAL).rules.into_iter().map(|rule| rule.expression);
        let mut all = 0;
        for expression in alerts.map(|alert| alert.condition).chain(recorded) {
            for changed in changes(&expression.to_string()) {
                all += 1;
                promql_parser::parser::parse(&changed.text)
                    .unwrap_or_else(|error| panic!("{}: {error}: {}", changed.change, changed.text));
            }
        }
        assert!(all > 200, "{all} changes are too few");
    }
}
