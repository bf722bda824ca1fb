//! The vertical axis: its limits and its ticks.

use monitoring::grafana::Unit;

/// Limits that a panel sets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Lower end of the axis. Otherwise it is zero, or the smallest value if that is negative.
    pub min: Option<f64>,
    /// Upper end of the axis.
    pub max: Option<f64>,
    /// The axis reaches at least to this value.
    pub soft_max: Option<f64>,
}

/// A linear axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// Lower end.
    pub min: f64,
    /// Upper end.
    pub max: f64,
    /// Labelled values, in rising order.
    pub ticks: Vec<f64>,
}

impl Scale {
    /// Fits an axis to values, with about `count` ticks at round values of the unit. If `whole` is set, ticks
    /// are whole numbers.
    pub fn fit(
        values: impl Iterator<Item = f64>,
        limits: Limits,
        unit: Unit,
        whole: bool,
        count: u32,
    ) -> Self {
        let (mut low, mut high) = (0.0_f64, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        high = high.max(limits.soft_max.unwrap_or(f64::NEG_INFINITY));
        let low = limits.min.unwrap_or(low);
        let high = limits.max.unwrap_or(high);
        let high = if high > low { high } else { low + if unit == Unit::Share { 0.01 } else { 1.0 } };
        let mut step = round_step((high - low) / f64::from(count.max(1)), unit);
        if whole {
            step = step.max(1.0);
        }
        let first = (low / step).floor();
        let last =
            if limits.max.is_some() { (high / step + 1e-9).floor() } else { (high / step - 1e-9).ceil() };
        // The step is at least a fixed share of the range, so the number of ticks is bounded.
        let number = (last - first).clamp(0.0, 100.0) as u32;
        let ticks: Vec<f64> = (0..=number).map(|index| (first + f64::from(index)) * step).collect();
        let ticks = ticks.into_iter().filter(|tick| *tick >= low - step * 1e-9 || limits.min.is_none());
        let ticks: Vec<f64> = ticks.collect();
        // Of large values, the product is rounded by more than the step is precise.
        Self {
            min: limits.min.unwrap_or((first * step).min(low)),
            max: if limits.max.is_some() { high } else { (last * step).max(high) },
            ticks,
        }
    }

    /// Returns the position of a value between 0 at the lower and 1 at the upper end. Values outside are
    /// clamped.
    pub fn position(&self, value: f64) -> f64 {
        ((value - self.min) / (self.max - self.min)).clamp(0.0, 1.0)
    }
}

/// Usual steps of time, in seconds.
const SECONDS: [f64; 14] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0];

/// Returns the smallest round step that is not below a number.
fn round_step(least: f64, unit: Unit) -> f64 {
    match unit {
        Unit::Bytes | Unit::BytesPerSecond => 2_f64.powf(least.log2().ceil().max(0.0)),
        Unit::Seconds | Unit::Age if least > 0.5 => {
            let found = SECONDS.iter().find(|step| **step >= least);
            found.copied().unwrap_or_else(|| decimal(least / 3600.0) * 3600.0)
        }
        _ => decimal(least),
    }
}

/// Returns the smallest of 1, 2 or 5 times a power of ten that is not below a number.
fn decimal(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let found =
        [1.0, 2.0, 5.0].iter().map(|factor| factor * power).find(|step| *step >= least * (1.0 - 1e-9));
    found.unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fit(values: &[f64], limits: Limits, unit: Unit) -> Scale {
        Scale::fit(values.iter().copied(), limits, unit, false, 4)
    }

    #[test]
    fn axes_end_at_round_values() {
        let cases: [(&[f64], Unit, f64, f64, usize); 8] = [
            (&[3.0, 17.0], Unit::Plain, 0.0, 20.0, 5),
            (&[0.93], Unit::Plain, 0.0, 1.0, 3),
            (&[], Unit::Plain, 0.0, 1.0, 3),
            (&[0.0], Unit::Share, 0.0, 0.01, 3),
            (&[-5.0, 5.0], Unit::Plain, -5.0, 5.0, 3),
            (&[100.0], Unit::Seconds, 0.0, 120.0, 5),
            (&[300.0 * 1024.0], Unit::Bytes, 0.0, 384.0 * 1024.0, 4),
            (&[f64::NAN, f64::INFINITY, 4.0], Unit::Plain, 0.0, 4.0, 5),
        ];
        for (values, unit, min, max, ticks) in cases {
            let scale = fit(values, Limits::default(), unit);
            assert_eq!((scale.min, scale.max, scale.ticks.len()), (min, max, ticks), "{values:?} {scale:?}");
        }
    }

    #[test]
    fn large_values_lie_on_a_short_axis() {
        let value = -730_063_793_277.460_1;
        let scale = fit(&[value], Limits::default(), Unit::Share);
        assert!(scale.min <= value && value <= scale.max, "{scale:?}");
    }

    #[test]
    fn limits_of_the_panel_win() {
        let scale = fit(&[0.2], Limits { min: Some(0.0), max: Some(1.0), soft_max: None }, Unit::Share);
        assert_eq!((scale.min, scale.max), (0.0, 1.0));
        let scale = fit(&[0.2], Limits { soft_max: Some(10.0), ..Limits::default() }, Unit::Plain);
        assert_eq!(scale.max, 10.0);
        assert_eq!((scale.position(-1.0), scale.position(5.0), scale.position(99.0)), (0.0, 0.5, 1.0));
    }

    #[test]
    fn counts_have_whole_ticks() {
        let scale = Scale::fit([1.0].into_iter(), Limits::default(), Unit::Plain, true, 4);
        assert_eq!(scale.ticks, [0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn every_value_lies_on_the_axis(values in prop::collection::vec(-1e12..1e12_f64, 1..20)) {
            for unit in [Unit::Plain, Unit::Seconds, Unit::Bytes, Unit::Share] {
                let scale = fit(&values, Limits::default(), unit);
                prop_assert!(scale.ticks.len() <= 12, "{:?}", scale);
                for value in &values {
                    prop_assert!(scale.min <= *value && *value <= scale.max, "{} {:?}", value, scale);
                }
            }
        }
    }
}
