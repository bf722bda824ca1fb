//! Filter of a search for traces, from the parameters of an address.

use catalogue::labels::JobKind;
use monitoring::query::{MatchOperator, SpanCondition as Wanted, Spans};
use signal::ClosedSet;

use crate::pages::identifiers::Identifier;
use crate::pages::problem::Problem;
use crate::pages::view::View;
use crate::store::ValueTest;
use crate::store::spans::{SpanCondition, SpanKind};

/// A filter of traces. Empty parts match every trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TraceFilter {
    /// Routes of requests.
    pub routes: Vec<String>,
    /// Kind of the job.
    pub job: String,
    /// Role: requests, jobs or calls to others.
    pub kind: Option<SpanKind>,
    /// Minimum duration as entered.
    pub least_text: String,
    /// Minimum duration in nanoseconds.
    pub least: Option<u64>,
    /// If true, only traces with a failed span.
    pub failed_only: bool,
    /// Id of a trace, user, organization or other object.
    pub id: Option<Identifier>,
    /// If true, the slowest traces come first.
    pub slowest_first: bool,
}

/// Roles, by their names in the address.
pub(crate) const KINDS: [(&str, &str, SpanKind); 3] = [
    ("request", "requests", SpanKind::Server),
    ("job", "jobs", SpanKind::Consumer),
    ("call", "calls to others and to the database", SpanKind::Client),
];

impl TraceFilter {
    /// Reads the filter from the parameters of an address.
    ///
    /// # Errors
    /// Returns a page that names the wrong parameter and its valid values.
    pub(crate) fn read(view: &View) -> Result<Self, Problem> {
        let least_text = view.parameter("least").unwrap_or_default().trim().to_owned();
        Ok(Self {
            routes: view.parameters_named("route").map(str::to_owned).collect(),
            job: view.parameter("job").map(job).transpose()?.unwrap_or_default().to_owned(),
            kind: view.parameter("kind").map(kind).transpose()?,
            least: if least_text.is_empty() { None } else { Some(duration(&least_text)?) },
            least_text,
            failed_only: view
                .parameter("failed")
                .map(|text| one_of("failed", text, &["1"]))
                .transpose()?
                .is_some(),
            id: view.parameter("id").map(Identifier::parse).transpose()?,
            slowest_first: view
                .parameter("sort")
                .map(|text| one_of("sort", text, &["slowest", "newest"]))
                .transpose()?
                == Some("slowest"),
        })
    }

    /// Returns the conditions on one span of the trace.
    pub(crate) fn conditions(&self) -> Vec<SpanCondition> {
        let mut conditions = Vec::new();
        let attribute = |name: &str, test| SpanCondition::Attribute(name.to_owned(), test);
        conditions.extend(self.id.as_ref().map(|id| match id {
            Identifier::Trace(trace) => SpanCondition::Trace(*trace),
            Identifier::Thing(text) => SpanCondition::AnyAttribute(text.clone()),
        }));
        conditions.extend(self.kind.map(SpanCondition::Kind));
        if !self.routes.is_empty() {
            conditions.push(attribute("http.route", ValueTest::OneOf(self.routes.clone())));
        }
        if !self.job.is_empty() {
            conditions.push(attribute("job.kind", ValueTest::Is(self.job.clone())));
        }
        conditions.extend(self.least.map(SpanCondition::AtLeastNs));
        if self.failed_only {
            conditions.push(SpanCondition::Failed);
        }
        conditions
    }

    /// Describes the filter in words, for a search without result.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(self.routes.iter().map(|route| format!("route {route}")));
        if !self.job.is_empty() {
            words.push(format!("job {}", self.job));
        }
        let kind = KINDS.iter().find(|(_, _, kind)| self.kind == Some(*kind));
        words.extend(kind.map(|(_, text, _)| format!("only {text}")));
        if self.least.is_some() {
            words.push(format!("at least {}", self.least_text));
        }
        if self.failed_only {
            words.push("a failed span".to_owned());
        }
        words.extend(self.id.as_ref().map(|id| format!("id {id}")));
        words
    }
}

fn job(text: &str) -> Result<&'static str, Problem> {
    let names: Vec<&'static str> = JobKind::ALL.iter().map(|kind| kind.as_str()).collect();
    one_of("job", text, &names)
}

fn kind(text: &str) -> Result<SpanKind, Problem> {
    let name = one_of("kind", text, &KINDS.map(|(name, ..)| name))?;
    Ok(KINDS.iter().find(|(known, ..)| *known == name).map_or(SpanKind::Internal, |(_, _, kind)| *kind))
}

fn one_of(name: &str, text: &str, values: &[&'static str]) -> Result<&'static str, Problem> {
    values.iter().copied().find(|value| *value == text).ok_or_else(|| {
        Problem::bad_request(format!("{name}={text} is not offered."))
            .hint(format!("Possible values: {}.", values.join(", ")))
    })
}

/// Reads a duration such as `250ms`, `1.5 s` or `2min`. A number without a unit is in milliseconds.
fn duration(text: &str) -> Result<u64, Problem> {
    const UNITS: [(&str, f64); 6] =
        [("ns", 1.0), ("µs", 1e3), ("us", 1e3), ("ms", 1e6), ("min", 6e10), ("s", 1e9)];
    let lower = text.to_lowercase();
    let (number, size) = UNITS
        .iter()
        .find_map(|(unit, size)| lower.strip_suffix(unit).map(|number| (number, *size)))
        .unwrap_or((&lower, 1e6));
    let number: Option<f64> = number.trim().parse().ok().filter(|number: &f64| (0.0..1e9).contains(number));
    number.map(|number| (number * size) as u64).ok_or_else(|| {
        Problem::bad_request(format!("least={text} is no duration.")).hint(
            "Write a number and a unit, such as 250ms, 1.5s or 2min. Without a unit it means milliseconds.",
        )
    })
}

/// Returns the parameters of the search for the traces of a query. `resolve` replaces the variables of a
/// dashboard. Conditions with values that it does not know, or on other attributes, are omitted.
pub(crate) fn parameters(
    query: &Spans,
    resolve: &dyn Fn(&str) -> Option<String>,
) -> Vec<(&'static str, String)> {
    let parameter = |wanted: &Wanted| match wanted {
        Wanted::IsRequest => Some(("kind", "request".to_owned())),
        Wanted::IsJob => Some(("kind", "job".to_owned())),
        Wanted::Failed => Some(("failed", "1".to_owned())),
        Wanted::LongerThan(milliseconds) => Some(("least", format!("{milliseconds}ms"))),
        Wanted::Trace(id) => Some(("id", resolve(id)?)),
        Wanted::Attribute { name, operator: MatchOperator::Equal, value } => match *name {
            "http.route" => Some(("route", resolve(value)?)),
            "job.kind" => Some(("job", resolve(value)?)),
            _ => None,
        },
        Wanted::Attribute { .. } => None,
    };
    query.conditions().iter().filter_map(parameter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(pairs: &[(&str, &str)]) -> View {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        View::read("/traces", pairs.collect(), 1_796_047_509_000).unwrap()
    }

    #[test]
    fn durations_have_units() {
        let cases = [
            ("250ms", 250_000_000),
            ("1.5 s", 1_500_000_000),
            ("2min", 120_000_000_000),
            ("40", 40_000_000),
            ("10µs", 10_000),
            ("0", 0),
        ];
        for (text, nanoseconds) in cases {
            assert_eq!(duration(text).map_err(|_| "problem"), Ok(nanoseconds), "{text}");
        }
        for text in ["", "fast", "-1s", "1h", "NaN", "inf", "1e300s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_parameter_is_a_condition() {
        let view = view(&[
            ("route", "/a"),
            ("kind", "request"),
            ("least", "1s"),
            ("failed", "1"),
            ("sort", "slowest"),
        ]);
        let filter = TraceFilter::read(&view).map_err(|_| "problem").unwrap();
        let expected = [
            SpanCondition::Kind(SpanKind::Server),
            SpanCondition::Attribute("http.route".to_owned(), ValueTest::OneOf(vec!["/a".to_owned()])),
            SpanCondition::AtLeastNs(1_000_000_000),
            SpanCondition::Failed,
        ];
        assert_eq!(filter.conditions(), expected);
        assert_eq!(filter.words().join(", "), "route /a, only requests, at least 1s, a failed span");
        assert!(filter.slowest_first);
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let cases = [
            ("job", "dance"),
            ("kind", "x"),
            ("least", "long"),
            ("failed", "yes"),
            ("sort", "up"),
            ("id", "7"),
        ];
        for (name, value) in cases {
            assert!(TraceFilter::read(&view(&[(name, value)])).is_err(), "{name}={value}");
        }
    }
}
