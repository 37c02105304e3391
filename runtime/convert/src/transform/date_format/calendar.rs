//! Java's calendar: Gregorian from 15 October 1582 on, Julian before, weeks that begin on Sunday. In UTC.
//!
//! Well-kept date libraries count Gregorian years back to the beginning of time; what SimpleDateFormat prints for an old date differs
//! from that by days, and a date must come back as it went.

/// Days from the epoch to the first day of the Gregorian calendar.
const CUTOVER: i64 = -141_427;
const DAY_MS: i64 = 86_400_000;

/// A moment taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Year, 0 and below are before Christ.
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
    /// From 1.
    pub(super) day_of_year: i64,
    /// 0 is Sunday.
    pub(super) weekday: i64,
    /// Milliseconds since midnight.
    pub(super) time: i64,
}

impl Moment {
    /// The moment at so many milliseconds since the epoch.
    pub(crate) fn at(ms: i64) -> Self {
        let days = ms.div_euclid(DAY_MS);
        let (year, month, day) = date(days);
        Self {
            year,
            month,
            day,
            day_of_year: days - days_before(year, 1, 1) + 1,
            weekday: (days + 4).rem_euclid(7),
            time: ms.rem_euclid(DAY_MS),
        }
    }

    pub(super) fn hour(&self) -> i64 {
        self.time / 3_600_000
    }

    /// The week of the year, and the year that the week belongs to.
    pub(super) fn week(&self) -> (i64, i64) {
        let first = |year: i64| (days_before(year, 1, 1) + 4).rem_euclid(7);
        let length = days_before(self.year + 1, 1, 1) - days_before(self.year, 1, 1);
        // The week that holds the first of January is the first one.
        if self.day_of_year + first(self.year + 1) > length {
            return (1, self.year + 1);
        }
        ((self.day_of_year - 1 + first(self.year)) / 7 + 1, self.year)
    }

    /// The week of the month.
    pub(super) fn week_of_month(&self) -> i64 {
        let first = (self.weekday - (self.day - 1)).rem_euclid(7);
        (self.day - 1 + first) / 7 + 1
    }
}

/// Days from the epoch to a date, whose month and day may lie outside of year and month.
pub(crate) fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    let gregorian = gregorian_days(year, month) + day - 1;
    if gregorian >= CUTOVER { gregorian } else { julian_days(year, month) + day - 1 }
}

/// March is the first month here, so that the leap day is a year's last.
fn shifted(year: i64, month: i64) -> (i64, i64) {
    let year = if month <= 2 { year - 1 } else { year };
    (year, (153 * ((month + 9) % 12) + 2) / 5)
}

fn gregorian_days(year: i64, month: i64) -> i64 {
    let (year, days) = shifted(year, month);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + days - 719_468
}

fn julian_days(year: i64, month: i64) -> i64 {
    let (year, days) = shifted(year, month);
    let (era, of_era) = (year.div_euclid(4), year.rem_euclid(4));
    era * 1461 + of_era * 365 + days - 719_470
}

fn date(days: i64) -> (i64, i64, i64) {
    let (year, day_of_year) = if days >= CUTOVER {
        let from_era = days + 719_468;
        let (era, of_era) = (from_era.div_euclid(146_097), from_era.rem_euclid(146_097));
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        (era * 400 + year, of_era - (365 * year + year / 4 - year / 100))
    } else {
        let from_era = days + 719_470;
        let (era, of_era) = (from_era.div_euclid(1461), from_era.rem_euclid(1461));
        let year = (of_era - of_era / 1460) / 365;
        (era * 4 + year, of_era - 365 * year)
    };
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (if month <= 2 { year + 1 } else { year }, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_days_agree_over_all_years() {
        for days in (-800_000..800_000).step_by(7).chain(CUTOVER - 400..CUTOVER + 400) {
            let (year, month, day) = date(days);
            assert_eq!(days_before(year, month, day), days, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn the_calendar_changes_where_javas_does() {
        assert_eq!(date(CUTOVER), (1582, 10, 15));
        assert_eq!(date(CUTOVER - 1), (1582, 10, 4));
        // The first day of our era, counted back by Gregorian years, is the third by Java.
        assert_eq!(date(-719_162), (1, 1, 3));
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(Moment::at(-1).time, DAY_MS - 1);
    }

    #[test]
    fn weeks_begin_on_sunday() {
        // 30 December 2029 is a Sunday, whose week holds the first of January.
        let moment = Moment::at(days_before(2029, 12, 30) * DAY_MS);
        assert_eq!((moment.weekday, moment.week(), moment.week_of_month()), (0, (1, 2030), 6));
        let moment = Moment::at(days_before(2026, 11, 27) * DAY_MS);
        assert_eq!((moment.weekday, moment.week(), moment.week_of_month()), (5, (48, 2026), 4));
    }
}
