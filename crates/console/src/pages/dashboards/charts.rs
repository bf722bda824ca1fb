//! Charts over time: lines, areas, bars, states and heat maps.

use std::sync::Arc;

use monitoring::grafana::{Chart, ChartStyle, Color, ColorMode, Legend, LegendNumber, Panel, Query, Unit};

use super::body::{Body, SeriesRow};
use super::display::Display;
use super::exemplars::dots;
use super::logs::line_rates;
use super::nothing;
use super::points::Points;
use super::screen::{Density, Screen, with_labels};
use crate::chart::{
    ColorClass, Heatmap, Limits, Palette, Series, State, TimeChart, Timeline, Times, UNKNOWN, optional_text,
    value_text,
};
use crate::evaluate::{Refusal, ResultValues};
use crate::store::metrics::Histogram;

/// Maximum number of series in a chart. Others are omitted, and the chart says so.
const SERIES: usize = 40;
/// Maximum number of series with which a stack also shows those that are zero.
const FEW: usize = 4;
/// Maximum number of series in the text summary.
const SUMMARIZED: usize = 6;

/// Size of a panel on the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Width, of 24 columns.
    pub columns: u8,
    /// Height of the content in pixels.
    pub height: u32,
    /// If true, the points that are drawn are also listed.
    pub lists_points: bool,
}

impl Size {
    fn ticks(self) -> u32 {
        (u32::from(self.columns) / 2).clamp(3, 12)
    }
}

/// Series with their names.
type Named = Vec<(String, Vec<Option<f64>>)>;

/// Draws lines, areas or bars.
pub(crate) fn time_series(panel: &Panel, chart: &Chart, screen: &Screen<'_>, size: Size) -> Body {
    let density = if chart.style() == ChartStyle::StackedBars { Density::Bars } else { Density::Points };
    let times = screen.times(panel, density, size.columns);
    let mut named = match named_series(panel, screen, times) {
        Ok(named) => named,
        Err(refusal) => return Body::Nothing(refusal.to_string()),
    };
    named.retain(|(_, values)| values.iter().any(|value| value.is_some_and(f64::is_finite)));
    if named.is_empty() {
        return Body::Nothing(nothing::reason(panel, screen));
    }
    // In a stack, a series that is always zero would only fill the legend.
    let is_zero = |values: &[Option<f64>]| values.iter().flatten().all(|value| *value == 0.0);
    if chart.style() != ChartStyle::Lines
        && named.len() > FEW
        && !named.iter().all(|(_, values)| is_zero(values))
    {
        named.retain(|(_, values)| !is_zero(values));
    }
    let surplus = named.len().saturating_sub(SERIES);
    named.truncate(SERIES);
    let mut palette = Palette::default();
    let mut shade = 0;
    let mut rows = Vec::new();
    let mut series = Vec::new();
    for (name, values) in named {
        let display = Display::of(panel, &name);
        let color = match display.series_color() {
            Some(ColorMode::Shades(color)) => {
                shade += 1;
                shade_of(color, shade - 1)
            }
            Some(ColorMode::Fixed(color)) => color.into(),
            _ => palette.color(&name),
        };
        rows.push(row(&name, color, &values, &display, chart.legend()));
        let right = display.is_right.then_some(display.unit);
        series.push(Series { name, color, values, is_line: display.is_line, right });
    }
    let display = Display::of(panel, "");
    let values = panel.values();
    let steps = values.thresholds.steps().iter().filter(|_| chart.shows_thresholds());
    let thresholds = steps.filter_map(|step| Some((step.value()?, ColorClass::from(step.color()))));
    let marks = screen.marks.iter().filter(|mark| (times.start..=times.end).contains(&mark.at));
    let drawn = TimeChart {
        label: format!("{}. Chart of {} over time.", panel.title(), names(&rows)),
        times,
        style: chart.style(),
        unit: display.unit,
        decimals: display.decimals,
        limits: Limits { min: values.min, max: values.max, soft_max: chart.soft_max() },
        thresholds: thresholds.collect(),
        marks: marks.cloned().collect(),
        dots: dots(panel, screen, times, display.unit, size.lists_points),
        height: size.height,
        ticks: size.ticks(),
        series,
    };
    let mut summary = summary(&rows, screen);
    if surplus > 0 {
        summary.push_str(&format!(" {surplus} more series are not shown."));
    }
    let html = drawn.svg();
    let points = size.lists_points.then(|| {
        let names = drawn.series.iter().map(|series| series.name.clone()).collect();
        let displays: Vec<Display> =
            drawn.series.iter().map(|series| Display::of(panel, &series.name)).collect();
        Points::new(times, names, UNKNOWN, |column, point| {
            let value = drawn.series[column].values.get(point).copied().flatten();
            value.map(|value| displays[column].text(Some(value)))
        })
    });
    if matches!(chart.legend(), Legend::Table(_)) {
        rows.sort_by(|a, b| b.rank.total_cmp(&a.rank));
    }
    Body::Shown { html, summary, rows, points }
}

/// Evaluates all queries of a panel at each point.
fn named_series(panel: &Panel, screen: &Screen<'_>, times: Times) -> Result<Named, Refusal> {
    let mut named = Vec::new();
    for target in panel.targets() {
        match target.narrowed(screen.choices) {
            Query::Series { expression, legend, .. } => {
                for series in screen.over_time(panel, &expression, times)? {
                    let name = with_labels(&legend, &series.labels);
                    let name = if name.is_empty() { panel.title().to_owned() } else { name };
                    if let ResultValues::Numbers(values) = series.values {
                        named.push((name, values));
                    }
                }
            }
            Query::LineCount { query, .. } => named.extend(line_rates(&query, screen, times)),
            Query::Lines { .. } | Query::Traces { .. } => {}
        }
    }
    Ok(named)
}

fn row(
    name: &str,
    color: ColorClass,
    values: &[Option<f64>],
    display: &Display,
    legend: Legend,
) -> SeriesRow {
    let known = || values.iter().flatten().copied().filter(|value| value.is_finite());
    let (mut least, mut most, mut sum, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0);
    for value in known() {
        least = least.min(value);
        most = most.max(value);
        sum += value;
        count += 1.0;
    }
    let last = known().next_back();
    let text = |value: f64| display.text(Some(value));
    let rank = match legend {
        Legend::Table(LegendNumber::Total) => Some(sum),
        Legend::Table(LegendNumber::Max) => Some(most),
        Legend::Table(LegendNumber::Last) => last,
        Legend::Names => None,
    };
    SeriesRow {
        name: name.to_owned(),
        color: color.0,
        least: text(least),
        mean: value_text(sum / count, display.unit, None),
        most: text(most),
        last: last.map_or_else(|| UNKNOWN.to_owned(), text),
        number: rank.map(text).unwrap_or_default(),
        rank: rank.unwrap_or(0.0),
    }
}

fn names(rows: &[SeriesRow]) -> String {
    let some: Vec<&str> = rows.iter().take(SUMMARIZED).map(|row| row.name.as_str()).collect();
    let more = rows.len().saturating_sub(SUMMARIZED);
    if more > 0 { format!("{} and {more} more", some.join(", ")) } else { some.join(", ") }
}

fn summary(rows: &[SeriesRow], screen: &Screen<'_>) -> String {
    let parts = rows
        .iter()
        .take(SUMMARIZED)
        .map(|row| format!("{}: last {}, between {} and {}.", row.name, row.last, row.least, row.most));
    let parts: Vec<String> = parts.collect();
    format!("In {}: {}", screen.range.text(), parts.join(" "))
}

/// Returns one of four shades of a color.
fn shade_of(color: Color, index: usize) -> ColorClass {
    let classes = match color {
        Color::Red => ["k-red", "k-red k-light", "k-red k-lighter", "k-red k-lightest"],
        Color::Orange => ["k-orange", "k-orange k-light", "k-orange k-lighter", "k-orange k-lightest"],
        Color::Yellow => ["k-yellow", "k-yellow k-light", "k-yellow k-lighter", "k-yellow k-lightest"],
        Color::Green => ["k-green", "k-green k-light", "k-green k-lighter", "k-green k-lightest"],
        Color::Purple => ["k-purple", "k-purple k-light", "k-purple k-lighter", "k-purple k-lightest"],
        Color::Blue | Color::Neutral => ["k-blue", "k-blue k-light", "k-blue k-lighter", "k-blue k-lightest"],
    };
    ColorClass(classes[index % classes.len()])
}

/// Draws states over time.
pub(crate) fn state_timeline(panel: &Panel, screen: &Screen<'_>, size: Size) -> Body {
    let times = screen.times(panel, Density::Points, size.columns);
    let named = match named_series(panel, screen, times) {
        Ok(named) => named,
        Err(refusal) => return Body::Nothing(refusal.to_string()),
    };
    let mut rows = Vec::new();
    let mut table = Vec::new();
    for (name, values) in named.into_iter().take(SERIES) {
        let display = Display::of(panel, &name);
        let state = |value: &Option<f64>| -> State {
            value.map(|value| (display.text(Some(value)), display.color(Some(value))))
        };
        let last = values.iter().rev().find_map(|value| *value);
        table.push(SeriesRow {
            name: name.clone(),
            color: display.color(last).0,
            least: String::new(),
            mean: String::new(),
            most: String::new(),
            last: last.map_or_else(|| UNKNOWN.to_owned(), |value| display.text(Some(value))),
            number: String::new(),
            rank: 0.0,
        });
        rows.push((name, values.iter().map(state).collect::<Vec<_>>()));
    }
    if rows.is_empty() {
        return Body::Nothing(nothing::reason(panel, screen));
    }
    let label = format!("{}. States over time of {}.", panel.title(), names(&table));
    let parts: Vec<String> = table.iter().map(|row| format!("{} is {}", row.name, row.last)).collect();
    let points = size.lists_points.then(|| {
        let names = rows.iter().map(|(name, _)| name.clone()).collect();
        Points::new(times, names, UNKNOWN, |column, point| {
            let state = rows[column].1.get(point).cloned().flatten();
            state.map(|(text, _)| text)
        })
    });
    let html = Timeline { label, times, rows, ticks: size.ticks() }.svg();
    let summary = format!("At the end: {}.", parts.join(", "));
    Body::Shown { html, summary, rows: Vec::new(), points }
}

/// Lists the observations of a heat map.
fn distribution_points(map: &Heatmap) -> Points {
    let columns = vec!["Observations".to_owned(), "Mean".to_owned()];
    Points::new(map.times, columns, UNKNOWN, |column, point| {
        let here = map.series.iter().filter_map(|series| series.get(point)?.as_ref());
        let (count, sum) = here.fold((0.0, 0.0), |(count, sum), one| (count + one.count, sum + one.sum));
        match column {
            _ if count <= 0.0 => None,
            0 => Some(value_text(count, Unit::Plain, None)),
            _ => Some(value_text(sum / count, map.unit, None)),
        }
    })
}

/// Draws a heat map.
pub(crate) fn heatmap(panel: &Panel, screen: &Screen<'_>, size: Size) -> Body {
    let times = screen.times(panel, Density::Points, size.columns);
    let mut series: Vec<Vec<Option<Arc<Histogram>>>> = Vec::new();
    for target in panel.targets() {
        let Query::Series { expression, .. } = target.narrowed(screen.choices) else { continue };
        match screen.over_time(panel, &expression, times) {
            Ok(results) => series.extend(results.into_iter().filter_map(|result| match result.values {
                ResultValues::Histograms(histograms) => Some(histograms),
                ResultValues::Numbers(_) => None,
            })),
            Err(refusal) => return Body::Nothing(refusal.to_string()),
        }
    }
    let label = format!("{}. Heat map of the distribution over time.", panel.title());
    let unit = panel.values().unit.unwrap_or(Unit::Seconds);
    let counts = series.iter().flatten().flatten();
    let (count, sum) = counts.fold((0.0, 0.0), |(count, sum), one| (count + one.count, sum + one.sum));
    let dots = dots(panel, screen, times, unit, size.lists_points);
    let map = Heatmap { label, times, series, unit, dots, height: size.height, ticks: size.ticks() };
    match map.svg() {
        Some(html) => {
            let mean = optional_text((count > 0.0).then_some(sum / count), unit, None);
            let summary = format!("In {}: the mean is {mean}. Darker cells hold more.", screen.range.text());
            let points = size.lists_points.then(|| distribution_points(&map));
            Body::Shown { html, summary, rows: Vec::new(), points }
        }
        None => Body::Nothing(nothing::reason(panel, screen)),
    }
}
