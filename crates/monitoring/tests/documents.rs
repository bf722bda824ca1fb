//! Queries in hand-written documents equal those of the typed layer.

use std::collections::BTreeSet;

use catalogue::database_operation::DatabaseOperation;
use catalogue::events::JOB_RUN;
use catalogue::keys;
use monitoring::files;
use monitoring::query::{Field, all_lines, lines, spans};
use signal::events::SERVER_REQUEST;
use signal::{JobOutcome, Level};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const USER: &str = "0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6a";

/// Fenced code blocks of a language.
fn blocks(text: &str, language: &str) -> BTreeSet<String> {
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1);
    blocks.filter_map(|block| block.split_once("\n```")).map(|(query, _)| query.to_owned()).collect()
}

#[test]
fn the_examples_of_logging_ask_for_what_exists() {
    let text = std::fs::read_to_string(files::repository().join("docs/LOGGING.md")).expect("the document");
    let failed = || lines(SERVER_REQUEST).at_least(Level::Error);
    let logql = [
        failed().text(),
        all_lines().of_trace(TRACE).text(),
        all_lines().caused_by_trace(TRACE).text(),
        failed().most_affected(Field::key(&keys::ORGANIZATION_ID), 10).text(),
        all_lines().of_users().is_variable(Field::key(&keys::USER_ID), USER).text(),
        lines(JOB_RUN).is(JobOutcome::Dead).text(),
    ];
    assert_eq!(blocks(&text, "logql"), logql.into());
    let traceql = [
        spans().of_requests().failed().longer_than(1000).text(),
        spans().is(DatabaseOperation::InsertSession).longer_than(100).text(),
    ];
    assert_eq!(blocks(&text, "traceql"), traceql.into());
}
