//! A date the way the reader's locale writes it: `21 November 2026`, `21. November 2026`, `21 novembre 2026`.

use icu_calendar::types::RataDie;
use icu_calendar::{Date, Gregorian};
use icu_datetime::FixedCalendarDateTimeFormatter;
use icu_datetime::fieldsets::YMD;
use icu_locale_core::Locale;

const SECONDS_A_DAY: i64 = 24 * 60 * 60;
/// 1 January 1970, counted in days from 1 January of the year 1, which is day 1.
const UNIX_EPOCH: i64 = 719_163;
/// 31 December 9999, in days since 1970: past it, the number was not a time in seconds.
const LAST_DAY: i64 = 2_932_896;

/// The date in UTC of a time in Unix seconds; `None` for what cannot be the time of a payment.
pub(crate) fn date_text(unix_seconds: i64, locale: &Locale) -> Option<String> {
    let day = unix_seconds.div_euclid(SECONDS_A_DAY);
    if !(0..=LAST_DAY).contains(&day) {
        return None;
    }
    let date = Date::from_rata_die(RataDie::new(UNIX_EPOCH + day), Gregorian);
    let formatter =
        FixedCalendarDateTimeFormatter::<Gregorian, _>::try_new(locale.into(), YMD::long()).ok()?;
    Some(formatter.format(&date).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unix_seconds: i64, tag: &str, expected: Option<&str>) {
        let text = date_text(unix_seconds, &tag.parse().unwrap());
        assert_eq!(text.as_deref(), expected, "{unix_seconds} in {tag}");
    }

    #[test]
    fn writes_dates_the_way_the_locale_does() {
        let noon = 1_795_262_400; // 2026-11-21T12:00:00Z
        check(noon, "en-GB", Some("21 November 2026"));
        check(noon, "en-001", Some("21 November 2026"));
        check(noon, "en-US", Some("November 21, 2026"));
        check(noon, "de", Some("21. November 2026"));
        check(noon, "de-CH", Some("21. November 2026"));
        check(noon, "fr", Some("21 novembre 2026"));
        check(noon, "fr-CA", Some("21 novembre 2026"));
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        check(1_795_219_199, "en-GB", Some("20 November 2026"));
        check(1_795_219_200, "en-GB", Some("21 November 2026"));
        check(1_795_305_599, "en-GB", Some("21 November 2026"));
        check(0, "en-GB", Some("1 January 1970"));
        check(951_782_400, "en-GB", Some("29 February 2000"));
    }

    #[test]
    fn refuses_what_cannot_be_the_time_of_a_payment() {
        check(253_402_300_799, "en-GB", Some("31 December 9999"));
        check(253_402_300_800, "en-GB", None);
        check(-1, "en-GB", None);
        check(i64::MAX, "en-GB", None);
        check(i64::MIN, "en-GB", None);
    }
}
