//! Single observations in charts of durations: the exemplars that processes send with their histograms.

use monitoring::grafana::{Panel, PanelKind, Query, Unit};
use monitoring::query::{Expression, HistogramFunction, Selection};

use super::screen::Screen;
use crate::calendar;
use crate::chart::{Dot, Times, value_text};
use crate::store::metrics::Exemplar;
use crate::store::spans::TraceId;

/// Most dots of a chart among others, and of one alone. Each is a stop of the keyboard.
const AMONG_OTHERS: usize = 12;
const ALONE: usize = 40;

/// Returns observations for the chart of a panel: in each part of its range the largest one, which is the most
/// telling.
pub(crate) fn dots(panel: &Panel, screen: &Screen<'_>, times: Times, unit: Unit, is_alone: bool) -> Vec<Dot> {
    let mut found: Vec<Exemplar> = Vec::new();
    let is_heatmap = matches!(panel.kind(), PanelKind::Heatmap);
    for target in panel.targets() {
        let Query::Series { expression, .. } = target.narrowed(screen.choices) else { continue };
        for selection in observed(&expression, is_heatmap) {
            found.extend(screen.exemplars(selection, times));
        }
    }
    let dot = |exemplar: Exemplar| {
        let id = TraceId::from_bytes(&exemplar.trace_id)?;
        let (value, time) =
            (value_text(exemplar.value, unit, None), calendar::clock_with_seconds(exemplar.at));
        Some(Dot {
            at: exemplar.at,
            value: exemplar.value,
            text: format!("{value} at {time}: open its trace"),
            address: screen.view.link(&format!("/traces/{id}"), &[]),
        })
    };
    let most = if is_alone { ALONE } else { AMONG_OTHERS };
    largest_of_parts(found, times, most).into_iter().filter_map(dot).collect()
}

/// Returns the histograms whose observations have the unit of the chart: those of quantiles, and all of a heat map.
fn observed(expression: &Expression, is_heatmap: bool) -> Vec<&Selection> {
    let mut selections: Vec<&Selection> = Vec::new();
    let mut add = |selection| {
        if !selections.contains(&selection) {
            selections.push(selection);
        }
    };
    if is_heatmap {
        expression.for_each_selection(&mut add);
    } else {
        expression.for_each(&mut |part| {
            if let Expression::Histogram { function: HistogramFunction::Quantile(_), of } = part {
                of.for_each_selection(&mut add);
            }
        });
    }
    // The past is drawn at another time than that of its observations.
    selections.retain(|selection| selection.offset.is_none());
    selections
}

/// Returns the largest observation of each of `most` parts of the range.
fn largest_of_parts(found: Vec<Exemplar>, times: Times, most: usize) -> Vec<Exemplar> {
    let mut parts: Vec<Option<Exemplar>> = vec![None; most];
    for exemplar in found.into_iter().filter(|exemplar| (times.start..=times.end).contains(&exemplar.at)) {
        let part = (times.share(exemplar.at) * most as f64) as usize;
        let largest = &mut parts[part.min(most - 1)];
        if exemplar.value.is_finite() && largest.is_none_or(|largest| exemplar.value > largest.value) {
            *largest = Some(exemplar);
        }
    }
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitoring::query::{Window, select};
    use signal::builtin::HTTP_SERVER_REQUEST_DURATION;
    use std::time::Duration;

    #[test]
    fn the_largest_observation_of_each_part_is_drawn() {
        let times = Times { start: 0, end: 100, step: 1 };
        let seen = |at, value| Exemplar { at, value, trace_id: [1; 16], span_id: [1; 8] };
        let found =
            vec![seen(-1, 9.0), seen(1, 1.0), seen(2, 3.0), seen(60, 2.0), seen(100, 1.0), seen(101, 9.0)];
        assert_eq!(largest_of_parts(found, times, 2), [seen(2, 3.0), seen(60, 2.0)]);
        assert_eq!(largest_of_parts(vec![seen(5, f64::NAN)], times, 2), []);
    }

    #[test]
    fn only_quantiles_and_distributions_have_observations() {
        let requests = || select(&HTTP_SERVER_REQUEST_DURATION);
        let window = Duration::from_secs(300);
        let quantile = requests().quantile(0.95, window);
        assert_eq!(observed(quantile.expression(), false).len(), 1);
        let rate = requests().count().rate(Window::RateInterval).sum();
        assert_eq!(observed(rate.expression(), false).len(), 0);
        assert_eq!(observed(rate.expression(), true).len(), 1);
    }
}
