//! The test files of promtool, as `monitoring` renders them.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct TestFile {
    /// Name of the loaded group.
    pub(super) group: String,
    /// Evaluation interval in milliseconds.
    pub(super) every: i64,
    pub(super) cases: Vec<Case>,
}

#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) name: String,
    /// Interval between samples in milliseconds.
    pub(super) interval: i64,
    /// Names of series with their values.
    pub(super) series: Vec<(String, String)>,
    pub(super) moments: Vec<Moment>,
    pub(super) queries: Vec<Query>,
}

/// A time, with the alerts that fire then.
#[derive(Debug, Default)]
pub(super) struct Moment {
    pub(super) at: i64,
    pub(super) alert: String,
    pub(super) expected: Vec<Firing>,
}

/// Labels and annotations of a firing alert, without its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Firing {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// The expected value of an expression.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) expression: String,
    pub(super) at: i64,
    pub(super) value: Option<f64>,
}

/// Reads a file. Fails on keys that `monitoring` does not render.
pub(super) fn read(text: &str) -> TestFile {
    let mut file = TestFile::default();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let item = line.trim_start();
        let (key, value) = item.trim_start_matches("- ").split_once(':').unwrap_or((item, ""));
        let value = value.trim();
        // A literal block has one line, like all texts here.
        let value = if value == "|-" { lines.next().expect("a block").trim() } else { value };
        match (indent, key) {
            (0, key) if key.starts_with('#') => {}
            (0, "rule_files" | "tests")
            | (4, "input_series" | "alert_rule_test" | "promql_expr_test")
            | (12, "exp_annotations") => {}
            (2, key) if key.starts_with("- ../rules/") => {
                file.group = key.trim_start_matches("- ../rules/").trim_end_matches(".yml").to_owned();
            }
            (0, "evaluation_interval") => file.every = milliseconds(value),
            (2, "name") => {
                file.cases.push(Case { name: value.trim_matches('"').to_owned(), ..Case::default() });
            }
            (4, "interval") => case(&mut file).interval = milliseconds(value),
            (6, "values") => {
                case(&mut file).series.push((String::new(), value.trim_matches('\'').to_owned()))
            }
            (8, "series") => case(&mut file).series.last_mut().expect("a series").0 = value.to_owned(),
            (6, "eval_time") => {
                let at = milliseconds(value);
                case(&mut file).moments.push(Moment { at, ..Moment::default() });
            }
            (8, "alertname") => moment(&mut file).alert = value.to_owned(),
            (8, "exp_alerts") => assert!(value.is_empty() || value == "[]", "{line}"),
            (10, "exp_labels") => moment(&mut file).expected.push(Firing::default()),
            (14, key) => {
                let firing = moment(&mut file).expected.last_mut().expect("an alert");
                let is_text = ["summary", "description", "runbook_url", "dashboard_url"].contains(&key);
                let to = if is_text { &mut firing.annotations } else { &mut firing.labels };
                to.insert(key.to_owned(), value.to_owned());
            }
            (6, "expr") => {
                let expression = item.trim_start_matches("- expr: ").to_owned();
                case(&mut file).queries.push(Query { expression, ..Query::default() });
            }
            (8, "eval_time") => query(&mut file).at = milliseconds(value),
            (8, "exp_samples") | (10, "labels") => assert!(["", "[]", "'{}'"].contains(&value), "{line}"),
            (12, "value") => query(&mut file).value = Some(value.parse().expect("a value")),
            _ => panic!("unknown line: {line}"),
        }
    }
    file
}

fn case(file: &mut TestFile) -> &mut Case {
    file.cases.last_mut().expect("a case")
}

fn moment(file: &mut TestFile) -> &mut Moment {
    case(file).moments.last_mut().expect("a moment")
}

fn query(file: &mut TestFile) -> &mut Query {
    case(file).queries.last_mut().expect("a query")
}

/// Reads a duration such as `90s` or `1w`.
fn milliseconds(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => panic!("unknown unit: {text}"),
    };
    number.parse::<i64>().expect("a number") * unit * 1000
}
