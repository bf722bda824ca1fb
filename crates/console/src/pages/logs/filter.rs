//! Filter of a search for lines, from the parameters of an address.

use std::collections::BTreeSet;

use catalogue::labels::{BlobOutcome, EmailOutcome, PublishingOutcome};
use monitoring::query::{LineCondition as Wanted, MatchOperator};
use signal::metric::Carrier;
use signal::{ClosedSet, JobOutcome, Level};

use crate::pages::identifiers::Identifier;
use crate::pages::problem::Problem;
use crate::pages::view::{View, address};
use crate::store::ValueTest;
use crate::store::lines::{LINK_TRACE_ID, LineCondition};

/// Maximum number of conditions on fields.
const MOST_CONDITIONS: usize = 12;

/// A filter of lines. Empty parts match every line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LogFilter {
    /// Text that the event or a field contains.
    pub text: String,
    /// Least level.
    pub level: Option<Level>,
    /// Names of events. A line must match each of them.
    pub events: Vec<String>,
    /// Routes of requests.
    pub routes: Vec<String>,
    /// Processes.
    pub instances: Vec<String>,
    /// Outcome of jobs, deliveries and operations.
    pub outcome: String,
    /// Id of a trace, user, organization or other object.
    pub id: Option<Identifier>,
    /// Values that fields must have.
    pub fields: Vec<(String, String)>,
}

/// A part of a filter, with the address of the search without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActivePart {
    /// Name of the filtered field, such as `event`.
    pub name: String,
    /// The wanted value.
    pub value: String,
    /// Address of the search without this part.
    pub without: String,
}

impl LogFilter {
    /// Reads the filter from the parameters of an address.
    ///
    /// # Errors
    /// Returns a page that names the wrong parameter and its valid values.
    pub(crate) fn read(view: &View) -> Result<Self, Problem> {
        let text = |name: &str| view.parameter(name).map(str::trim).unwrap_or_default().to_owned();
        let several = |name: &'static str| view.parameters_named(name).map(str::to_owned).collect();
        let fields: Vec<_> = view.parameters_named("where").map(condition).collect::<Result<_, _>>()?;
        if fields.len() > MOST_CONDITIONS {
            let count = fields.len();
            return Err(Problem::bad_request(format!("The address has {count} conditions on fields."))
                .hint(format!("At most {MOST_CONDITIONS} are possible.")));
        }
        Ok(Self {
            text: text("text"),
            level: view.parameter("level").map(level).transpose()?,
            events: several("event"),
            routes: several("route"),
            instances: several("instance"),
            outcome: text("outcome"),
            id: view.parameter("id").map(Identifier::parse).transpose()?,
            fields,
        })
    }

    pub(crate) fn conditions(&self) -> Vec<LineCondition> {
        let mut conditions = Vec::new();
        conditions.extend(self.level.map(LineCondition::AtLeast));
        conditions.extend(self.id.as_ref().map(|id| match id {
            Identifier::Trace(trace) => LineCondition::Trace(trace.to_string()),
            Identifier::Thing(text) => LineCondition::AnyField(text.clone()),
        }));
        conditions.extend(self.events.iter().map(|event| LineCondition::Event(event_test(event))));
        let field = |name: &str, test| LineCondition::Field(name.to_owned(), test);
        if !self.routes.is_empty() {
            conditions.push(field("http.route", ValueTest::OneOf(self.routes.clone())));
        }
        if !self.instances.is_empty() {
            conditions
                .push(field(signal::names::SERVICE_INSTANCE_ID, ValueTest::OneOf(self.instances.clone())));
        }
        if !self.outcome.is_empty() {
            conditions.push(field("outcome", ValueTest::Is(self.outcome.clone())));
        }
        conditions.extend(self.fields.iter().map(|(name, value)| field(name, field_test(value))));
        if !self.text.is_empty() {
            conditions.push(LineCondition::Contains(self.text.to_lowercase()));
        }
        conditions
    }

    pub(crate) fn active(&self, view: &View) -> Vec<ActivePart> {
        let mut active = Vec::new();
        let mut add = |parameter: &str, raw: &str, name: &str, value: &str| {
            let kept = view.parameters().iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let kept = kept.filter(|(name, value)| *name != "before" && (*name, *value) != (parameter, raw));
            let without = address(&view.path, kept);
            active.push(ActivePart { name: name.to_owned(), value: value.to_owned(), without });
        };
        for (parameter, raw) in view.parameters().iter().filter(|(_, value)| !value.is_empty()) {
            match parameter.as_str() {
                "where" => {
                    let (name, value) = raw.split_once([':', '=']).unwrap_or((raw, ""));
                    add(parameter, raw, name, value);
                }
                "level" => add(parameter, raw, "level at least", raw),
                "text" => add(parameter, raw, "contains", raw),
                "event" | "route" | "instance" | "outcome" | "id" => add(parameter, raw, parameter, raw),
                _ => {}
            }
        }
        active
    }
}

/// Returns the parameters of the search for the lines of a query. `resolve` replaces the variables of a
/// dashboard; conditions with values that it does not know are omitted.
pub(crate) fn parameters(
    query: &monitoring::query::Lines,
    resolve: &dyn Fn(&str) -> Option<String>,
) -> Vec<(&'static str, String)> {
    let parameter = |wanted: &Wanted| match wanted {
        Wanted::Event(name) => Some(("event", (*name).to_owned())),
        Wanted::NotEvent(name) => Some(("event", format!("!{name}"))),
        Wanted::BusinessFact => Some(("event", "socialize.*".to_owned())),
        Wanted::EventBegins(beginnings) => Some(("event", format!("{}*", beginnings.join("*,")))),
        Wanted::AtLeast(level) => Some(("level", level.as_str().to_owned())),
        Wanted::Field { field, operator, value } => {
            let name = if field.name() == "link_trace_id" { LINK_TRACE_ID } else { field.name() };
            let value = resolve(value)?;
            match operator {
                MatchOperator::Equal if name == "http.route" => Some(("route", value)),
                MatchOperator::Equal => Some(("where", format!("{name}:{value}"))),
                MatchOperator::NotEqual if value.is_empty() => Some(("where", format!("{name}:*"))),
                MatchOperator::NotEqual => Some(("where", format!("{name}:!{value}"))),
                MatchOperator::Matches | MatchOperator::MatchesNot => None,
            }
        }
    };
    query.conditions().iter().filter_map(parameter).collect()
}

/// Reads names of events: `a`, `a,b`, `prefix*`, or `!a` to exclude one.
fn event_test(text: &str) -> ValueTest {
    if let Some(other) = text.strip_prefix('!') {
        return ValueTest::IsNot(other.to_owned());
    }
    let names = || text.split(',').map(str::trim).filter(|name| !name.is_empty());
    if names().all(|name| name.ends_with('*')) {
        return ValueTest::BeginsWithOneOf(
            names().map(|name| name.trim_end_matches('*').to_owned()).collect(),
        );
    }
    ValueTest::OneOf(names().map(str::to_owned).collect())
}

/// Reads a test of a value: `a`, `*` for any value, or `!a` to exclude one.
fn field_test(text: &str) -> ValueTest {
    match text.strip_prefix('!') {
        Some(other) => ValueTest::IsNot(other.to_owned()),
        None if text == "*" => ValueTest::Exists,
        None => ValueTest::Is(text.to_owned()),
    }
}

/// Reads a condition on a field, `name:value`. Accepts `name=value`, because people write it.
fn condition(text: &str) -> Result<(String, String), Problem> {
    let is_name = |name: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
        !name.is_empty() && name.chars().all(allowed)
    };
    match text.split_once([':', '=']) {
        Some((name, value)) if is_name(name) => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Problem::bad_request(format!("where={text} is no condition on a field."))
            .hint("A condition is the name of a field, a colon and its value: where=error.type:timeout.")),
    }
}

fn level(text: &str) -> Result<Level, Problem> {
    let found = Level::ALL.iter().copied().find(|level| level.as_str() == text);
    found.ok_or_else(|| {
        let levels: Vec<&str> = Level::ALL.iter().map(|level| level.as_str()).collect();
        Problem::bad_request(format!("level={text} is no level."))
            .hint(format!("Levels are {}.", levels.join(", ")))
    })
}

/// Returns the names of all declared events, for suggestions.
pub(crate) fn events() -> BTreeSet<&'static str> {
    use catalogue::events;
    let operations = [
        signal::events::SERVER_REQUEST,
        events::DATABASE_OPERATION,
        events::JOB_RUN,
        events::EMAIL_DELIVERY,
        events::BLOB_OPERATION,
        events::LOOP_FAILED,
        events::GAUGE_DRIFTED,
        "panic",
        "server.started",
        "server.stopped",
        "telemetry.export.failed",
        "dependency.down",
    ];
    let facts = catalogue::metrics::all().into_iter().filter(|metric| metric.carrier == Carrier::Lines);
    facts.map(|metric| metric.name).chain(operations).collect()
}

/// Returns all outcomes, for suggestions.
pub(crate) fn outcomes() -> BTreeSet<&'static str> {
    fn spellings<S: ClosedSet>() -> impl Iterator<Item = &'static str> {
        S::ALL.iter().map(|outcome| outcome.as_str())
    }
    spellings::<JobOutcome>()
        .chain(spellings::<EmailOutcome>())
        .chain(spellings::<BlobOutcome>())
        .chain(spellings::<PublishingOutcome>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn view(pairs: &[(&str, &str)]) -> View {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        View::read("/logs", pairs.collect(), 1_796_047_509_000).unwrap()
    }

    #[test]
    fn each_parameter_is_a_condition() {
        let view = view(&[
            ("level", "warn"),
            ("id", TRACE),
            ("event", " job.run "),
            ("route", "/a"),
            ("route", "/b"),
            ("outcome", ""),
            ("where", "error.type:a:b"),
            ("text", "Mail"),
        ]);
        let conditions = LogFilter::read(&view).map_err(|_| "problem").unwrap().conditions();
        let expected = [
            LineCondition::AtLeast(Level::Warn),
            LineCondition::Trace(TRACE.to_owned()),
            LineCondition::Event(ValueTest::OneOf(vec!["job.run".to_owned()])),
            LineCondition::Field(
                "http.route".to_owned(),
                ValueTest::OneOf(vec!["/a".to_owned(), "/b".to_owned()]),
            ),
            LineCondition::Field("error.type".to_owned(), ValueTest::Is("a:b".to_owned())),
            LineCondition::Contains("mail".to_owned()),
        ];
        assert_eq!(conditions, expected);
    }

    #[test]
    fn events_and_values_can_be_patterns() {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let events = [
            ("!db.client.operation", ValueTest::IsNot("db.client.operation".to_owned())),
            ("server*, log*", ValueTest::BeginsWithOneOf(owned(&["server", "log"]))),
            ("panic,job.run", ValueTest::OneOf(owned(&["panic", "job.run"]))),
        ];
        for (text, test) in events {
            assert_eq!(event_test(text), test, "{text}");
        }
        let values = [
            ("*", ValueTest::Exists),
            ("!ok", ValueTest::IsNot("ok".to_owned())),
            ("ok", ValueTest::Is("ok".to_owned())),
        ];
        for (text, test) in values {
            assert_eq!(field_test(text), test, "{text}");
        }
        assert_eq!(condition("a=b:c").map_err(|_| "problem"), Ok(("a".to_owned(), "b:c".to_owned())));
    }

    #[test]
    fn queries_of_dashboards_become_addresses() {
        use monitoring::query::{Field, all_lines, lines};
        let cases = [
            (all_lines().of_users(), "event=socialize.*"),
            (all_lines().about_processes(), "event=server*,telemetry*,log*,panic*"),
            (
                lines("job.run").is(JobOutcome::Dead).at_least(Level::Warn),
                "event=job.run where=outcome:dead level=warn",
            ),
            (all_lines().not("panic").with(Field::STATUS), "event=!panic where=http.response.status_code:*"),
            (all_lines().of_trace("$id"), "where=trace_id:*"),
        ];
        for (query, expected) in cases {
            let resolve = |value: &str| (!value.contains('$')).then(|| value.to_owned());
            let found: Vec<String> =
                parameters(&query, &resolve).iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(found.join(" "), expected);
        }
    }

    #[test]
    fn each_part_can_be_removed() {
        let view = view(&[("range", "6h"), ("where", "a:1"), ("where", "b:2"), ("before", "9-9")]);
        let active = LogFilter::read(&view).map_err(|_| "problem").unwrap().active(&view);
        let shown: Vec<_> = active.iter().map(|part| (part.name.as_str(), part.without.as_str())).collect();
        assert_eq!(shown, [("a", "/logs?range=6h&where=b:2"), ("b", "/logs?range=6h&where=a:1")]);
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let cases = [("level", "loud"), ("where", "x"), ("where", "a b:c"), ("id", "7")];
        for (name, value) in cases {
            assert!(LogFilter::read(&view(&[(name, value)])).is_err(), "{name}={value}");
        }
        let many: Vec<(&str, &str)> = (0..13).map(|_| ("where", "a:b")).collect();
        assert!(LogFilter::read(&view(&many)).is_err());
    }

    #[test]
    fn suggestions_are_those_of_the_application() {
        assert!(events().contains("http.server.request") && events().contains("socialize.comments.created"));
        assert!(outcomes().contains("dead"));
    }
}
