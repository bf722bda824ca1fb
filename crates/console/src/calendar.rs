//! Dates and times in UTC from and to Unix times in milliseconds.

const DAY: i64 = 86_400_000;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A date and time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Year of the common era.
    pub year: i64,
    /// Month, from 1.
    pub month: i64,
    /// Day of the month, from 1.
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
}

impl Moment {
    /// Converts a Unix time in milliseconds.
    pub fn at(ms: i64) -> Self {
        let (days, rest) = (ms.div_euclid(DAY), ms.rem_euclid(DAY) / 1000);
        // Counts from March of year 0, so that the leap day is the last day of a year.
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }

    /// Returns the Unix time in milliseconds.
    pub fn unix_ms(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        days * DAY + ((self.hour * 60 + self.minute) * 60 + self.second) * 1000
    }
}

/// Returns `2026-11-30 14:05:09`.
pub fn date_and_time(ms: i64) -> String {
    let Moment { year, month, day, hour, minute, second } = Moment::at(ms);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Returns `2026-11-30T14:05`, the format of form fields.
pub fn for_field(ms: i64) -> String {
    let Moment { year, month, day, hour, minute, .. } = Moment::at(ms);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}")
}

/// Returns `2026-11-30T14:05:09Z`, for machines.
pub fn for_machines(ms: i64) -> String {
    let Moment { year, month, day, hour, minute, second } = Moment::at(ms);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns `14:05`.
pub fn clock(ms: i64) -> String {
    let Moment { hour, minute, .. } = Moment::at(ms);
    format!("{hour:02}:{minute:02}")
}

/// Returns `14:05:09`.
pub fn clock_with_seconds(ms: i64) -> String {
    let Moment { hour, minute, second, .. } = Moment::at(ms);
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// Returns `30 Nov`.
pub fn day(ms: i64) -> String {
    let Moment { month, day, .. } = Moment::at(ms);
    let name = usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).unwrap_or(&"");
    format!("{day} {name}")
}

/// Reads `2026-11-30T14:05`, with or without seconds, `Z` or a space instead of `T`; or a Unix time in
/// milliseconds.
pub fn parse(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse::<i64>() {
        return (0..=32_503_680_000_000).contains(&ms).then_some(ms);
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let mut time = time.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let moment = Moment {
        year: date.next()??,
        month: date.next()??,
        day: date.next()??,
        hour: time.next()??,
        minute: time.next()??,
        second: time.next().unwrap_or(Some(0))?,
    };
    if !(1970..3000).contains(&moment.year) {
        return None;
    }
    // A day that does not exist, such as 31 April, is converted back to another date.
    let ms = moment.unix_ms();
    (Moment::at(ms) == moment).then_some(ms)
}

/// Returns a duration in its largest unit: `12 s`, `5 min`, `3 h`, `2 d`.
pub fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_and_read() {
        let at = 1_796_047_509_000;
        assert_eq!(date_and_time(at), "2026-11-30 14:05:09");
        assert_eq!(for_field(at), "2026-11-30T14:05");
        assert_eq!((clock(at), day(at)), ("14:05".to_owned(), "30 Nov".to_owned()));
        assert_eq!(parse("2026-11-30T14:05:09"), Some(at));
        assert_eq!(parse("2026-11-30 14:05:09Z"), Some(at));
        assert_eq!(parse("2026-11-30T14:05"), Some(at - 9000));
        assert_eq!(parse("1796047509000"), Some(at));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "now", "2026-02-30T00:00", "2026-11-30", "2026-11-30T24:00", "-5", "99999999999999999"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_have_one_unit() {
        let cases =
            [(-5, "0 s"), (90_000, "90 s"), (300_000, "5 min"), (10_800_000, "3 h"), (259_200_000, "3 d")];
        for (ms, text) in cases {
            assert_eq!(duration(ms), text);
        }
    }

    proptest! {
        #[test]
        fn every_second_comes_back(seconds in 0_i64..32_503_680_000) {
            let ms = seconds * 1000;
            prop_assert_eq!(Moment::at(ms).unix_ms(), ms);
            prop_assert_eq!(parse(&for_machines(ms)), Some(ms));
        }
    }
}
