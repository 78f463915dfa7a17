use std::time::Duration;

const DAY: u64 = 86_400;

/// The day and the month of UTC that a moment is in, each as a number that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Seconds since 1970-01-01 UTC.
    seconds: u64,
    day: u64,
    month: u64,
}

/// A span of time of which the requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// Days since 1970-01-01.
    Day(u64),
    /// Months since the year 0.
    Month(u64),
}

impl Calendar {
    /// `since_1970`: by the clock of the machine.
    pub const fn at(since_1970: Duration) -> Self {
        let seconds = since_1970.as_secs();
        let day = seconds / DAY;
        Self { seconds, day, month: month_of(day) }
    }

    pub const fn day(&self) -> Window {
        Window::Day(self.day)
    }

    pub const fn month(&self) -> Window {
        Window::Month(self.month)
    }

    /// From now to the end of a window that isn't over, in seconds, at least 1.
    pub fn left(&self, window: Window) -> u64 {
        let end = match window {
            Window::Day(day) => day + 1,
            Window::Month(month) => first_day(month + 1),
        };
        (end * DAY).saturating_sub(self.seconds).max(1)
    }
}

impl Window {
    pub const fn number(self) -> u64 {
        match self {
            Self::Day(number) | Self::Month(number) => number,
        }
    }
}

impl std::fmt::Display for Window {
    /// As in `2026-11-30` and `2026-11`.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (month, day) = match *self {
            Self::Month(month) => (month, None),
            Self::Day(day) => (month_of(day), Some(day - first_day(month_of(day)) + 1)),
        };
        write!(out, "{:04}-{:02}", month / 12, month % 12 + 1)?;
        day.map_or(Ok(()), |day| write!(out, "-{day:02}"))
    }
}

/// The month of a day. Counted in years that begin in March, so that the leap day is the last one of its year.
const fn month_of(day: u64) -> u64 {
    // Days from 0000-03-01 to 1970-01-01.
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    (era * 400 + year) * 12 + from_march + 2
}

/// The first day of a month that isn't before 1970.
const fn first_day(month: u64) -> u64 {
    let from_march = month - 2;
    let (year, of_year) = (from_march / 12, from_march % 12);
    let (era, of_era) = (year / 400, year % 400);
    let days = (153 * of_year + 2) / 5 + of_era * 365 + of_era / 4 - of_era / 100;
    era * 146_097 + days - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Calendar {
        Calendar::at(Duration::from_secs(seconds))
    }

    #[test]
    fn days_and_months_have_the_names_of_the_calendar() {
        for (seconds, day, month) in [
            (0, "1970-01-01", "1970-01"),
            (951_782_400, "2000-02-29", "2000-02"),
            (951_868_799, "2000-02-29", "2000-02"),
            (951_868_800, "2000-03-01", "2000-03"),
            (1_796_083_199, "2026-11-30", "2026-11"),
            (1_796_083_200, "2026-12-01", "2026-12"),
            (1_798_761_600, "2027-01-01", "2027-01"),
            (4_107_542_400, "2100-03-01", "2100-03"),
        ] {
            assert_eq!(
                (at(seconds).day().to_string(), at(seconds).month().to_string()),
                (day.into(), month.into())
            );
        }
    }

    #[test]
    fn each_day_is_in_the_month_that_begins_before_it() {
        for day in 0..80_000 {
            let month = month_of(day);
            assert!(first_day(month) <= day && day < first_day(month + 1), "{day}");
        }
    }

    #[test]
    fn windows_end_where_the_next_one_begins() {
        let last = at(1_796_083_199);
        assert_eq!((last.left(last.day()), last.left(last.month())), (1, 1));
        let first = at(1_796_083_200);
        assert_eq!((first.left(first.day()), first.left(first.month())), (DAY, 31 * DAY));
        assert_eq!(first.left(last.day()), 1, "one that is over has no time left");
    }
}
