//! Queries of the runbook as addresses of the console's pages.

use monitoring::query::{Lines, Spans};

use crate::pages::{View, logs, traces};

/// Returns the address of the page that shows the lines of a query. Conditions that an address cannot express
/// are omitted, so the page may show more lines.
pub(super) fn lines(query: &Lines, path: &str, view: &View) -> String {
    view.link_to_query(path, &logs::parameters(query, &fixed))
}

/// Returns the address of the page that shows the traces of a query, as [`lines`] does.
pub(super) fn traces(query: &Spans, view: &View) -> String {
    view.link_to_query("/traces", &traces::parameters(query, &fixed))
}

/// Returns a value unless it is a variable of a dashboard.
pub(super) fn fixed(value: &str) -> Option<String> {
    (!value.contains('$')).then(|| value.to_owned())
}
