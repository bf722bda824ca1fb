//! Large numbers and horizontal bars.

use std::fmt::Write;

use monitoring::grafana::{Panel, Query, Stat};

use super::body::Body;
use super::display::Display;
use super::logs::line_counts;
use super::nothing;
use super::screen::{Density, Screen, with_labels};
use super::translate::address;
use crate::chart::{escape, spark_line};
use crate::evaluate::{Refusal, ResultValues};
use crate::store::metrics::Labels;

/// Maximum number of values in a panel.
const MOST: usize = 40;

/// A value with its name.
struct Number {
    name: String,
    labels: Labels,
    value: Option<f64>,
    history: Vec<Option<f64>>,
}

/// Shows large numbers.
pub(crate) fn stat(panel: &Panel, stat: Stat, screen: &Screen<'_>) -> Body {
    let numbers = match numbers(panel, screen) {
        Ok(numbers) => numbers,
        Err(refusal) => return Body::Nothing(refusal.to_string()),
    };
    if numbers.is_empty() {
        return Body::Nothing(nothing::reason(panel, screen));
    }
    let is_single = numbers.len() == 1;
    let mut html = format!("<div class=\"stats{}\">", if is_single { " single" } else { "" });
    let mut words = Vec::new();
    let mut background = "";
    for number in &numbers {
        let display = Display::of(panel, &number.name);
        let color = display.color(number.value).0;
        let text = if stat.names_only() { number.name.clone() } else { display.text(number.value) };
        let name =
            if stat.names_only() || (is_single && panel.targets().len() == 1) { "" } else { &number.name };
        words.push(if stat.names_only() { text.clone() } else { format!("{} {text}", number.name) });
        background = color;
        // A long text gets a smaller font than a number.
        let size = match text.chars().count() {
            0..=9 => "",
            10..=16 => " long",
            _ => " longer",
        };
        let shown = split_unit(&text);
        // Writing into a string cannot fail.
        let _ = write!(html, "<div class=\"stat {color}{size}\">");
        if stat.has_graph() {
            html.push_str(&spark_line(&number.history));
        }
        if !name.is_empty() {
            let _ = write!(html, "<span class=\"name\">{}</span>", escape(name));
        }
        let _ = write!(html, "<span class=\"value\">{shown}</span></div>");
    }
    html.push_str("</div>");
    if stat.paints_background() && is_single {
        html = format!("<div class=\"painted {background}\">{html}</div>");
    }
    Body::said(html, format!("{}.", words.join(", ")))
}

/// Returns the text with its unit in an element of its own.
fn split_unit(text: &str) -> String {
    let unit = text.rsplit_once(' ').filter(|(number, unit)| {
        number.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'-') && unit.len() < 8
    });
    match unit {
        Some((number, unit)) => format!("{}<small> {}</small>", escape(number), escape(unit)),
        None => escape(text),
    }
}

/// Shows horizontal bars.
pub(crate) fn bars(panel: &Panel, screen: &Screen<'_>) -> Body {
    let mut numbers = match numbers(panel, screen) {
        Ok(numbers) => numbers,
        Err(refusal) => return Body::Nothing(refusal.to_string()),
    };
    numbers.retain(|number| number.value.is_some_and(|value| value != 0.0) || panel.targets().len() > 1);
    if numbers.is_empty() {
        return Body::Nothing(nothing::reason(panel, screen));
    }
    numbers.sort_by(|a, b| b.value.unwrap_or(0.0).total_cmp(&a.value.unwrap_or(0.0)));
    let most = numbers.iter().filter_map(|number| number.value).fold(0.0, f64::max);
    let mut html = String::from("<table class=\"bars\"><tbody>");
    let mut rows = Vec::new();
    for number in numbers.iter().take(MOST) {
        let display = Display::of(panel, &number.name);
        let color = display.color(number.value).0;
        let text = display.text(number.value);
        let full = display.max.unwrap_or(most);
        let width =
            if full > 0.0 { (number.value.unwrap_or(0.0) / full * 100.0).clamp(0.0, 100.0) } else { 0.0 };
        let value = |name: &str| Some(number.labels.get(name).to_owned());
        let name = escape(&number.name);
        let name = match display.links.first() {
            Some(link) => {
                let (href, title) = (escape(&address(link, screen, &value)), escape(link.title()));
                format!("<a href=\"{href}\" title=\"{title}\">{name}</a>")
            }
            None => name,
        };
        // Writing into a string cannot fail.
        let _ = write!(
            html,
            "<tr class=\"{color}\"><th scope=\"row\">{name}</th><td class=\"num\">{}</td><td class=\"graph\">\
             <svg width=\"100%\" height=\"10\" aria-hidden=\"true\"><rect class=\"track\" width=\"100%\" \
             height=\"10\" rx=\"3\"/><rect class=\"fill\" width=\"{width:.1}%\" height=\"10\" \
             rx=\"3\"/></svg></td></tr>",
            escape(&text)
        );
        rows.push(format!("{} {text}", number.name));
    }
    html.push_str("</tbody></table>");
    let summary = rows.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    Body::said(html, format!("{summary}."))
}

fn numbers(panel: &Panel, screen: &Screen<'_>) -> Result<Vec<Number>, Refusal> {
    let mut numbers = Vec::new();
    for target in panel.targets() {
        match target.narrowed(screen.choices) {
            Query::Series { expression, legend, instant: true, .. } => {
                for (labels, value) in screen.at_end(panel, &expression)? {
                    let name = named(panel, &legend, &labels);
                    let value = (!value.is_nan()).then_some(value);
                    numbers.push(Number { name, labels, value, history: Vec::new() });
                }
            }
            Query::Series { expression, legend, instant: false, .. } => {
                let times = screen.times(panel, Density::Points, panel.columns());
                for series in screen.over_time(panel, &expression, times)? {
                    let ResultValues::Numbers(history) = series.values else { continue };
                    let value = history.iter().rev().find_map(|value| value.filter(|value| !value.is_nan()));
                    let name = named(panel, &legend, &series.labels);
                    numbers.push(Number { name, labels: series.labels, value, history });
                }
            }
            Query::LineCount { query, legend, .. } => {
                for (labels, value) in line_counts(&query, screen) {
                    let name = named(panel, &legend, &labels);
                    numbers.push(Number { name, labels, value: Some(value), history: Vec::new() });
                }
            }
            Query::Lines { .. } | Query::Traces { .. } => {}
        }
    }
    numbers.truncate(MOST);
    Ok(numbers)
}

fn named(panel: &Panel, legend: &str, labels: &Labels) -> String {
    let name = with_labels(legend, labels);
    if name.is_empty() { panel.title().to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_smaller_than_their_numbers() {
        assert_eq!(split_unit("12.3 ms"), "12.3<small> ms</small>");
        assert_eq!(split_unit("No requests"), "No requests");
        assert_eq!(split_unit("<b>"), "&lt;b&gt;");
    }
}
