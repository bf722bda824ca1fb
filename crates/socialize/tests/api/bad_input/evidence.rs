//! Traces of a request in the database, the log and the spans.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use test_support::{Answer, TestApp};

use super::case::CANARY;

/// Maximum length of a message that people read.
const LONGEST_MESSAGE: usize = 500;

/// State before a request that must not change anything.
pub(crate) struct Evidence<'a> {
    test: &'a TestApp,
    tables: BTreeMap<String, String>,
}

impl<'a> Evidence<'a> {
    pub(crate) async fn before_a_request(test: &'a TestApp) -> Self {
        recorded(test);
        Self { test, tables: tables(test).await }
    }

    /// Returns changes and leaks of a request that got this error.
    pub(crate) async fn traces(&self, answer: &Answer) -> Vec<String> {
        let mut traces = Vec::new();
        for (table, rows) in tables(self.test).await {
            if self.tables.get(&table) != Some(&rows) {
                traces.push(format!("{table} has changed"));
            }
        }
        let recorded = recorded(self.test);
        if recorded.contains(CANARY) {
            traces.push(format!("text of the request was recorded: {recorded}"));
        }
        let request_id = answer.body["request_id"].as_str().unwrap_or("nothing");
        if request_id != answer.header("x-request-id").unwrap_or_default() || !recorded.contains(request_id) {
            traces.push(format!("the request {request_id} has no record"));
        }
        let message = answer.body["message"].as_str().unwrap_or_default();
        if message.is_empty() || message.len() > LONGEST_MESSAGE {
            traces.push(format!("the message has {} bytes", message.len()));
        }
        traces
    }
}

/// Lines and spans since the last call.
fn recorded(test: &TestApp) -> String {
    let mut bytes = Vec::new();
    test.app.telemetry.take_lines(&mut Vec::new(), |piece| bytes.append(piece));
    bytes.extend(test.app.telemetry.take_spans(usize::MAX, Vec::new()).request);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A hash of every table's rows, except the one that counts attempts, which must change.
async fn tables(test: &TestApp) -> BTreeMap<String, String> {
    let names: Vec<String> = sqlx::query_scalar(
        "select tablename::text from pg_tables where schemaname = 'public' and tablename <> 'rate_limits'",
    )
    .fetch_all(test.pool())
    .await
    .expect("the tables");
    let hashes = names.iter().map(|name| {
        format!("select '{name}', md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from {name} t")
    });
    let statement = hashes.collect::<Vec<_>>().join(" union all ");
    let rows: Vec<(String, String)> =
        sqlx::query_as(AssertSqlSafe(statement)).fetch_all(test.pool()).await.expect("the rows");
    rows.into_iter().collect()
}
