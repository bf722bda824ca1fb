//! Native histograms in promtool's notation, made of plain counts of observations.

use signal::exponential;

/// Observations that took no longer than some seconds, as counts over time.
#[derive(Clone, Debug)]
pub struct Within {
    /// The longest of them. Those that the shorter bounds of the same series leave out take this long.
    pub seconds: f64,
    /// Their number in promtool's notation: `0+1x10` rises by one ten times, `_x5` is missing five times.
    pub counts: String,
}

/// A moment of a histogram: for each bound the number of observations between it and the one before.
type Moment = Vec<f64>;

/// Returns a histogram for each minute, or for every few minutes, until the end. The bounds have to rise.
pub(crate) fn samples(observed: &[Within], minutes: u64, every: usize) -> String {
    let most = minutes as usize + 1;
    let counts: Vec<Vec<Option<f64>>> =
        observed.iter().map(|within| expanded(&within.counts, most)).collect();
    let length = counts.iter().map(Vec::len).max().unwrap_or_default();
    let at = |minute: usize| -> Option<Moment> {
        let mut below = 0.0;
        counts
            .iter()
            .map(|counts| {
                // A counter that has ended keeps its last value.
                let count = *counts.get(minute).or_else(|| counts.last())?;
                let between = count? - below;
                assert!(between > -1e-9, "fewer observations within a longer time, in minute {minute}");
                below = count?;
                Some(rounded(between.max(0.0)))
            })
            .collect()
    };
    let moments: Vec<Option<Moment>> = (0..length).step_by(every).map(at).collect();
    let bounds: Vec<f64> = observed.iter().map(|within| within.seconds).collect();
    runs(&moments, &bounds).join(" ")
}

/// Returns the first `most` numbers of promtool's notation.
fn expanded(notation: &str, most: usize) -> Vec<Option<f64>> {
    let mut numbers = Vec::new();
    for run in notation.split(' ') {
        let (number, times) = run.split_once('x').unwrap_or((run, "0"));
        let times: usize = times.parse().expect("how often a sample repeats");
        if number == "_" {
            numbers.extend(std::iter::repeat_n(None, times.max(1)));
            continue;
        }
        let (start, step) = number.split_once('+').unwrap_or((number, "0"));
        let [start, step]: [f64; 2] = [start, step].map(|text| text.parse().expect("a number"));
        // A notation may describe weeks, most of which are not needed.
        let left = most.saturating_sub(numbers.len());
        numbers.extend((0..=times).take(left).map(|time| Some(rounded(step.mul_add(time as f64, start)))));
    }
    numbers.truncate(most);
    numbers
}

/// Joins samples with a constant increase.
fn runs(moments: &[Option<Moment>], bounds: &[f64]) -> Vec<String> {
    let mut runs = Vec::new();
    let mut rest = moments;
    while let Some(first) = rest.first() {
        let Some(start) = first else {
            let missing = rest.iter().take_while(|moment| moment.is_none()).count();
            runs.push(format!("_x{missing}"));
            rest = &rest[missing..];
            continue;
        };
        let step = rest.get(1).and_then(|next| rise(start, next.as_ref()?));
        let length = step.as_ref().map_or(1, |step| {
            let goes_on = |pair: &&[Option<Moment>]| match (&pair[0], &pair[1]) {
                (Some(one), Some(next)) => rise(one, next).as_ref() == Some(step),
                _ => false,
            };
            1 + rest.windows(2).take_while(goes_on).count()
        });
        let text = histogram(start, bounds);
        match step.filter(|_| length > 2) {
            Some(step) if step.iter().all(|rise| *rise == 0.0) => {
                runs.push(format!("{text}x{}", length - 1));
                rest = &rest[length..];
            }
            Some(step) => {
                runs.push(format!("{text}+{}x{}", histogram(&step, bounds), length - 1));
                rest = &rest[length..];
            }
            None => {
                runs.push(text);
                rest = &rest[1..];
            }
        }
    }
    runs
}

/// Returns the increase of each count; `None` if one falls.
fn rise(one: &Moment, next: &Moment) -> Option<Moment> {
    let rises: Moment = one.iter().zip(next).map(|(one, next)| rounded(next - one)).collect();
    rises.iter().all(|rise| *rise >= 0.0).then_some(rises)
}

/// One histogram. promtool numbers buckets by their upper bound, OTLP by the lower one.
fn histogram(counts: &Moment, bounds: &[f64]) -> String {
    let filled: Vec<(i32, f64, f64)> = counts
        .iter()
        .zip(bounds)
        .filter(|(count, _)| **count > 0.0)
        .map(|(count, bound)| (exponential::index(*bound).expect("a duration") + 1, *count, *bound))
        .collect();
    let Some((offset, _, _)) = filled.first() else {
        return format!("{{{{schema:{}}}}}", exponential::SCALE);
    };
    let last = filled.last().map_or(*offset, |(index, _, _)| *index);
    let in_bucket = |bucket: i32| {
        let here = filled.iter().filter(|(index, _, _)| *index == bucket);
        rounded(here.fold(0.0, |sum, (_, count, _)| sum + count)).to_string()
    };
    let buckets: Vec<String> = (*offset..=last).map(in_bucket).collect();
    let count = rounded(filled.iter().map(|(_, count, _)| count).sum());
    let sum = rounded(filled.iter().map(|(_, count, seconds)| count * seconds).sum());
    format!(
        "{{{{schema:{} count:{count} sum:{sum} offset:{offset} buckets:[{}]}}}}",
        exponential::SCALE,
        buckets.join(" ")
    )
}

/// Without the noise of binary fractions.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(seconds: f64, counts: &str) -> Within {
        Within { seconds, counts: counts.to_owned() }
    }

    #[test]
    fn observations_become_histograms() {
        let cases = [
            (vec![within(1.0, "0x2")], "{{schema:3}}x2"),
            (vec![within(1.0, "0+2x3")], "{{schema:3}}+{{schema:3 count:2 sum:2 offset:0 buckets:[2]}}x3"),
            (
                vec![within(1.0, "0+1x3"), within(2.0, "0+3x3")],
                "{{schema:3}}+{{schema:3 count:3 sum:5 offset:0 buckets:[1 0 0 0 0 0 0 0 2]}}x3",
            ),
            // A restart, and a process that is gone.
            (
                vec![within(0.5, "5 0x1 _x2 1")],
                "{{schema:3 count:5 sum:2.5 offset:-8 buckets:[5]}} {{schema:3}} {{schema:3}} _x2 \
                 {{schema:3 count:1 sum:0.5 offset:-8 buckets:[1]}}",
            ),
            // One of both is known for a shorter time, and fewer minutes are looked at than are known.
            (
                vec![within(1.0, "1x2"), within(2.0, "1+1x30")],
                "{{schema:3 count:1 sum:1 offset:0 buckets:[1]}}+{{schema:3 count:1 sum:2 offset:8 buckets:[1]}}x4",
            ),
        ];
        for (observed, expected) in cases {
            assert_eq!(samples(&observed, 4 + u64::from(observed.len() == 1), 1), expected);
        }
        let seldom = samples(&[within(1.0, "0x4 3x6")], 11, 5);
        assert_eq!(
            seldom,
            "{{schema:3}} {{schema:3 count:3 sum:3 offset:0 buckets:[3]}} {{schema:3 count:3 sum:3 offset:0 \
             buckets:[3]}}"
        );
    }

    #[test]
    #[should_panic(expected = "fewer observations")]
    fn counts_within_a_longer_time_are_not_smaller() {
        samples(&[within(1.0, "2x2"), within(2.0, "1x2")], 2, 1);
    }
}
