use serde::{Deserialize, Serialize};
use stripe_events::{Interval, InvoiceLine, Period, Recurring};

/// How often a product is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentFrequency {
    /// Once.
    OneOff,
    /// Every day.
    Daily,
    /// Every week.
    Weekly,
    /// Every month.
    Monthly,
    /// Every three months.
    Quarterly,
    /// Every six months.
    HalfYearly,
    /// Every year.
    Annually,
    /// A subscription with another interval, or one that Stripe did not say.
    Recurring,
}

impl PaymentFrequency {
    /// The word for a price's interval, which counts the same time in several ways: 12 months, 1 year.
    pub fn of_price(recurring: &Recurring) -> Self {
        let count = recurring.interval_count.unwrap_or(1);
        match (&recurring.interval, count) {
            (Some(Interval::Day), 1) => Self::Daily,
            (Some(Interval::Day), 7) | (Some(Interval::Week), 1) => Self::Weekly,
            (Some(Interval::Month), months) => Self::of_months(months),
            (Some(Interval::Year), years) => Self::of_months(years.saturating_mul(12)),
            (Some(Interval::Day | Interval::Week | Interval::Other(_)) | None, _) => Self::Recurring,
        }
    }

    /// The word for what an invoice's line says: by its price where it shows the interval (API versions before
    /// 2025-03-31), else by its period. `None` when neither says: the line settles a change within a period.
    pub fn of_line(line: &InvoiceLine) -> Option<Self> {
        if let Some(recurring) = line.price.as_ref().and_then(|price| price.recurring.as_ref()) {
            return Some(Self::of_price(recurring));
        }
        let word = Self::of_period(line.period.filter(|_| line.is_whole_period())?)?;
        (word != Self::Recurring).then_some(word)
    }

    /// Stripe counts periods by the calendar in UTC: from the 18th to the 18th, and from the 31st to the last of a
    /// shorter month. <https://docs.stripe.com/billing/subscriptions/billing-cycle>
    fn of_period(period: Period) -> Option<Self> {
        let start = period.start?;
        let end = period.end?;
        let seconds = end.checked_sub(start).filter(|seconds| *seconds > 0)?;
        if seconds == SECONDS_A_DAY {
            return Some(Self::Daily);
        }
        if seconds == 7 * SECONDS_A_DAY {
            return Some(Self::Weekly);
        }
        let start = Date::of(start);
        let end = Date::of(end);
        let same_day = start.day == end.day
            || (end.is_last_of_its_month() && start.day > end.day)
            || (start.is_last_of_its_month() && end.day > start.day);
        let months = end.month_number() - start.month_number();
        Some(if same_day { Self::of_months(months) } else { Self::Recurring })
    }

    const fn of_months(months: i64) -> Self {
        match months {
            1 => Self::Monthly,
            3 => Self::Quarterly,
            6 => Self::HalfYearly,
            12 => Self::Annually,
            _ => Self::Recurring,
        }
    }
}

const SECONDS_A_DAY: i64 = 86_400;

/// A day of the calendar, in UTC.
#[derive(Clone, Copy)]
struct Date {
    year: i64,
    /// 1 to 12.
    month: i64,
    /// 1 to 31.
    day: i64,
}

impl Date {
    /// Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is a year's last.
    fn of(unix_seconds: i64) -> Self {
        let days = unix_seconds.div_euclid(SECONDS_A_DAY).saturating_add(719_468);
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
    }

    const fn month_number(self) -> i64 {
        self.year * 12 + self.month
    }

    const fn is_last_of_its_month(self) -> bool {
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let last = match self.month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        self.day == last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_interval_has_one_word_however_it_is_counted() {
        use PaymentFrequency::{Annually, Daily, HalfYearly, Monthly, Quarterly, Weekly};
        let other = PaymentFrequency::Recurring;
        let check = |interval: &str, interval_count: Option<i64>, expected| {
            let recurring = Recurring { interval: Some(interval.to_owned().into()), interval_count };
            assert_eq!(PaymentFrequency::of_price(&recurring), expected, "{interval} {interval_count:?}");
        };
        check("day", Some(1), Daily);
        check("day", Some(7), Weekly);
        check("week", None, Weekly);
        check("week", Some(2), other);
        check("month", Some(1), Monthly);
        check("month", Some(3), Quarterly);
        check("month", Some(6), HalfYearly);
        check("month", Some(12), Annually);
        check("month", Some(5), other);
        check("year", Some(1), Annually);
        check("year", Some(2), other);
        check("fortnight", Some(1), other);
    }

    #[test]
    fn a_calendar_period_gives_the_interval() {
        use PaymentFrequency::{Annually, Daily, HalfYearly, Monthly, Quarterly, Weekly};
        let day = |year: i64, month: usize, day: i64| {
            let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
            let years = year - 1;
            let leap = i64::from(month > 2 && year % 4 == 0);
            let days = years * 365 + years / 4 - years / 100 + years / 400 + before[month - 1] + leap + day;
            (days - 719_163) * SECONDS_A_DAY + 40_000
        };
        let check = |start: i64, end: i64, expected| {
            let period = Period { start: Some(start), end: Some(end) };
            assert_eq!(PaymentFrequency::of_period(period), expected, "{start} {end}");
        };
        check(day(2026, 11, 18), day(2026, 12, 18), Some(Monthly));
        check(day(2026, 12, 18), day(2027, 1, 18), Some(Monthly));
        check(day(2027, 1, 31), day(2027, 2, 28), Some(Monthly));
        check(day(2027, 2, 28), day(2027, 3, 31), Some(Monthly));
        check(day(2028, 1, 30), day(2028, 2, 29), Some(Monthly));
        check(day(2026, 11, 30), day(2027, 2, 28), Some(Quarterly));
        check(day(2026, 11, 18), day(2027, 5, 18), Some(HalfYearly));
        check(day(2024, 2, 29), day(2025, 2, 28), Some(Annually));
        check(day(2026, 11, 18), day(2027, 11, 18), Some(Annually));
        check(day(2026, 11, 18), day(2026, 11, 25), Some(Weekly));
        check(day(2026, 11, 18), day(2026, 11, 19), Some(Daily));
        check(day(2026, 11, 18), day(2026, 12, 16), Some(PaymentFrequency::Recurring));
        check(day(2026, 11, 18), day(2026, 11, 18), None);
    }
}
