//! Downsampling of many points to few columns that keeps spikes.

/// A point: its index among all points, and its value.
pub(super) type Indexed = (usize, Option<f64>);

/// Reduces values to at most `columns` columns. Each keeps its smallest and its largest value, in their
/// order. Values that already fit are kept as they are. A column whose values are all unknown stays a gap.
pub(super) fn reduce(values: &[Option<f64>], columns: usize) -> Vec<Indexed> {
    let known = |value: Option<f64>| value.filter(|value| value.is_finite());
    if columns == 0 || values.len() <= columns * 2 {
        return values.iter().copied().map(known).enumerate().collect();
    }
    let mut reduced = Vec::with_capacity(columns * 2);
    for column in 0..columns {
        let range = column * values.len() / columns..(column + 1) * values.len() / columns;
        let inside = || range.clone().filter_map(|index| Some((index, known(values[index])?)));
        let low = inside().min_by(|a, b| a.1.total_cmp(&b.1));
        let high = inside().max_by(|a, b| a.1.total_cmp(&b.1));
        match (low, high) {
            (Some(low), Some(high)) => {
                let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
                reduced.push((first.0, Some(first.1)));
                if second.0 != first.0 {
                    reduced.push((second.0, Some(second.1)));
                }
            }
            _ => reduced.push((range.start, None)),
        }
    }
    reduced
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_values_stay_and_unknown_ones_are_gaps() {
        let values = [Some(1.0), None, Some(f64::NAN), Some(2.0)];
        assert_eq!(reduce(&values, 10), [(0, Some(1.0)), (1, None), (2, None), (3, Some(2.0))]);
        let mut long = vec![None; 100];
        long[99] = Some(1.0);
        assert_eq!(reduce(&long, 2), [(0, None), (99, Some(1.0))]);
    }

    proptest! {
        #[test]
        fn no_spike_is_lost(values in prop::collection::vec(-1e6..1e6_f64, 50..500), columns in 1_usize..40) {
            let values: Vec<Option<f64>> = values.into_iter().map(Some).collect();
            let reduced = reduce(&values, columns);
            let extremes = |values: &mut dyn Iterator<Item = f64>| {
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
            };
            let all = extremes(&mut values.iter().flatten().copied());
            let kept = extremes(&mut reduced.iter().filter_map(|(_, value)| *value));
            prop_assert_eq!(all, kept);
            prop_assert!(reduced.len() <= (columns * 2).max(values.len().min(columns * 2)));
            prop_assert!(reduced.is_sorted_by_key(|(index, _)| *index));
        }
    }
}
