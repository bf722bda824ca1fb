//! Tables: one row for each group of labels, one column for each label and query.

use std::collections::BTreeMap;
use std::fmt::Write;

use monitoring::grafana::{Cell, Panel, Query, Table, Transformation};

use super::body::Body;
use super::display::Display;
use super::nothing;
use super::screen::Screen;
use super::translate::address;
use crate::chart::escape;
use crate::evaluate::Refusal;

/// Maximum number of rows in a table.
const ROWS: usize = 200;

/// A cell before formatting.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    Text(String),
    Number(f64),
}

/// A column: its original name and its title.
struct Column {
    name: String,
    title: String,
}

/// Shows a table of metrics.
pub(crate) fn table(panel: &Panel, table: &Table, screen: &Screen<'_>) -> Body {
    let rows = match rows(panel, screen) {
        Ok(rows) => rows,
        Err(refusal) => return Body::Nothing(refusal.to_string()),
    };
    if rows.is_empty() {
        return Body::Nothing(nothing::reason(panel, screen));
    }
    let columns = columns(panel, &rows);
    let mut rows: Vec<Vec<Option<Content>>> = rows
        .into_iter()
        .map(|row| columns.iter().map(|column| row.get(&column.name).cloned()).collect())
        .collect();
    let sorted = table.sorted_by().and_then(|title| columns.iter().position(|column| column.title == title));
    if let Some(index) = sorted {
        let rank = |row: &Vec<Option<Content>>| match &row[index] {
            Some(Content::Number(number)) if !number.is_nan() => *number,
            _ => f64::NEG_INFINITY,
        };
        rows.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    }
    let count = rows.len();
    let html = draw(panel, screen, &columns, &rows, sorted);
    let more = if count > ROWS { format!(" The first {ROWS} are shown.") } else { String::new() };
    Body::said(html, format!("A table of {count} rows.{more}"))
}

fn rows(panel: &Panel, screen: &Screen<'_>) -> Result<Vec<BTreeMap<String, Content>>, Refusal> {
    let mut rows: BTreeMap<Vec<(String, String)>, BTreeMap<String, Content>> = BTreeMap::new();
    let is_single = panel.targets().len() == 1;
    for (letter, target) in ('A'..='Z').zip(panel.targets()) {
        let Query::Series { expression, .. } = target.narrowed(screen.choices) else { continue };
        let column = if is_single { "Value".to_owned() } else { format!("Value #{letter}") };
        for (labels, value) in screen.at_end(panel, &expression)? {
            let key: Vec<(String, String)> =
                labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let row = rows.entry(key.clone()).or_default();
            row.extend(key.into_iter().map(|(name, value)| (name, Content::Text(value))));
            row.insert(column.clone(), Content::Number(value));
        }
    }
    Ok(rows.into_values().collect())
}

fn columns(panel: &Panel, rows: &[BTreeMap<String, Content>]) -> Vec<Column> {
    let mut names: Vec<String> = Vec::new();
    for name in rows.iter().flat_map(BTreeMap::keys) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    // Labels come before values.
    names.sort_by_key(|name| (name.starts_with("Value"), name.clone()));
    let mut columns: Vec<Column> =
        names.into_iter().map(|name| Column { title: name.clone(), name }).collect();
    for transformation in panel.transformations() {
        let Transformation::Organize { exclude_by_name, index_by_name, rename_by_name } = transformation
        else {
            continue;
        };
        columns.retain(|column| !exclude_by_name.get(&column.name).copied().unwrap_or(false));
        columns.sort_by_key(|column| index_by_name.get(&column.name).copied().unwrap_or(u8::MAX));
        for column in &mut columns {
            if let Some(title) = rename_by_name.get(&column.name) {
                column.title.clone_from(title);
            }
        }
    }
    columns
}

fn draw(
    panel: &Panel,
    screen: &Screen<'_>,
    columns: &[Column],
    rows: &[Vec<Option<Content>>],
    sorted: Option<usize>,
) -> String {
    let mut displays: Vec<Display> = columns.iter().map(|column| Display::of(panel, &column.title)).collect();
    for (index, display) in displays.iter_mut().enumerate() {
        let numbers = rows.iter().filter_map(|row| match row[index] {
            Some(Content::Number(number)) if number.is_finite() => Some(number),
            _ => None,
        });
        // Without a limit, the largest value has a full bar.
        display.max = display.max.or_else(|| numbers.reduce(f64::max));
    }
    let is_number = |index: usize| rows.iter().any(|row| matches!(row[index], Some(Content::Number(_))));
    let label = escape(panel.title());
    // Writing into a string cannot fail.
    let mut html = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><table class=\"list\"><thead><tr>"
    );
    for (index, column) in columns.iter().enumerate() {
        let class = if is_number(index) { " class=\"num\"" } else { "" };
        let sort = if sorted == Some(index) { " aria-sort=\"descending\"" } else { "" };
        let _ = write!(html, "<th scope=\"col\"{class}{sort}>{}</th>", escape(&column.title));
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows.iter().take(ROWS) {
        html.push_str("<tr>");
        let by_name = |name: &str| {
            let index = columns.iter().position(|column| column.title == name || column.name == name)?;
            row[index].as_ref().map(|content| match content {
                Content::Text(text) => text.clone(),
                Content::Number(number) => number.to_string(),
            })
        };
        for (index, content) in row.iter().enumerate() {
            html.push_str(&cell(content.as_ref(), &displays[index], screen, &by_name, is_number(index)));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

fn cell(
    content: Option<&Content>,
    display: &Display,
    screen: &Screen<'_>,
    by_name: &dyn Fn(&str) -> Option<String>,
    is_number: bool,
) -> String {
    let (text, value) = match content {
        Some(Content::Text(text)) => (text.clone(), None),
        Some(Content::Number(number)) => (display.text(Some(*number)), Some(*number)),
        None => (display.text(None), None),
    };
    let text = escape(&text);
    let colored = match (display.cell, value) {
        (Some(Cell::Colored), Some(value)) => {
            let class = crate::chart::ColorClass::from(display.threshold(value)).0;
            format!("<span class=\"{class} tinted\">{text}</span>")
        }
        (Some(Cell::Bar), Some(value)) => {
            let full = display.max.unwrap_or(1.0);
            let width = if full > 0.0 { (value / full * 100.0).clamp(0.0, 100.0) } else { 0.0 };
            let class = crate::chart::ColorClass::from(display.threshold(value)).0;
            format!(
                "<span class=\"{class} gauge\">{text}<svg width=\"100%\" height=\"4\" aria-hidden=\"true\"><rect \
                 class=\"track\" width=\"100%\" height=\"4\" rx=\"2\"/><rect class=\"fill\" width=\"{width:.1}%\" \
                 height=\"4\" rx=\"2\"/></svg></span>"
            )
        }
        _ => text,
    };
    let html = match display.links.as_slice() {
        [] => colored,
        links => {
            // The first link is the value itself; the others follow it.
            let mut html = String::new();
            for (index, link) in links.iter().enumerate() {
                let (href, title) = (escape(&address(link, screen, by_name)), escape(link.title()));
                let _ = match index {
                    0 => write!(
                        html,
                        "<a href=\"{href}\" title=\"{title}\">{colored}</a><span class=\"links\">"
                    ),
                    _ => write!(html, "<a href=\"{href}\">{title}</a>"),
                };
            }
            html.push_str("</span>");
            html
        }
    };
    if is_number { format!("<td class=\"num\">{html}</td>") } else { format!("<td>{html}</td>") }
}
