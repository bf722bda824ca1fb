//! Values on top of each other.

use monitoring::grafana::ChartStyle;

use super::series::Series;

/// The lower and the upper end of a value at each point.
pub(super) type Ends = Vec<Option<(f64, f64)>>;

/// Stacks the values of several series: each begins where the one before ends. Unknown values have no
/// height.
pub(super) fn stack(series: &[&[Option<f64>]]) -> Vec<Ends> {
    let mut bases: Vec<f64> = Vec::new();
    let mut tops = Vec::with_capacity(series.len());
    for values in series {
        bases.resize(bases.len().max(values.len()), 0.0);
        let ends = values.iter().zip(&mut bases).map(|(value, base)| {
            let value = value.filter(|value| value.is_finite())?;
            let bottom = *base;
            *base += value.max(0.0);
            Some((bottom, *base))
        });
        tops.push(ends.collect());
    }
    tops
}

/// Returns the ends of all series of a chart. Lines begin at zero.
pub(super) fn tops(series: &[Series], style: ChartStyle) -> Vec<Ends> {
    let is_stacked = |series: &&Series| style != ChartStyle::Lines && !series.is_line;
    let stacked: Vec<&[Option<f64>]> =
        series.iter().filter(is_stacked).map(|series| series.values.as_slice()).collect();
    let mut stacked = stack(&stacked).into_iter();
    let line = |series: &Series| -> Ends {
        series
            .values
            .iter()
            .map(|value| value.filter(|value| value.is_finite()).map(|value| (0.0, value)))
            .collect()
    };
    series
        .iter()
        .map(|series| if is_stacked(&series) { stacked.next().unwrap_or_default() } else { line(series) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacked_values_count_from_what_is_below() {
        let tops = stack(&[&[Some(1.0), None], &[Some(2.0), Some(3.0)]]);
        assert_eq!(tops, [[Some((0.0, 1.0)), None], [Some((1.0, 3.0)), Some((0.0, 3.0))]]);
    }
}
