//! A date the way the reader's locale writes it: `21 November 2026`, `21. November 2026`, `21 novembre 2026`.

use fulfilment::TimeZone;
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

/// The date of a time in Unix seconds in the organisation's time zone; `None` for what cannot be the time of a payment.
///
/// UTC is named, because it is the zone of those who decided on none: its day is another one than the customer's for
/// some hours of each night.
pub(crate) fn date_text(unix_seconds: i64, zone: &TimeZone, locale: &Locale) -> Option<String> {
    let text = day_text(unix_seconds, zone, locale)?;
    Some(if zone.is_utc() { format!("{text} (UTC)") } else { text })
}

/// The same without the zone: for a day that is far away.
pub(crate) fn day_text(unix_seconds: i64, zone: &TimeZone, locale: &Locale) -> Option<String> {
    if !(0..=LAST_DAY).contains(&unix_seconds.div_euclid(SECONDS_A_DAY)) {
        return None;
    }
    let day = zone.local(unix_seconds).div_euclid(SECONDS_A_DAY);
    let date = Date::from_rata_die(RataDie::new(UNIX_EPOCH + day), Gregorian);
    let formatter =
        FixedCalendarDateTimeFormatter::<Gregorian, _>::try_new(locale.into(), YMD::long()).ok()?;
    Some(formatter.format(&date).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unix_seconds: i64, tag: &str, expected: Option<&str>) {
        let text = date_text(unix_seconds, &TimeZone::UTC, &tag.parse().unwrap());
        let expected = expected.map(|date| format!("{date} (UTC)"));
        assert_eq!(text, expected, "{unix_seconds} in {tag}");
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
        check(noon, "es", Some("21 de noviembre de 2026"));
        check(noon, "es-MX", Some("21 de noviembre de 2026"));
        check(noon, "it", Some("21 novembre 2026"));
        check(noon, "nl", Some("21 november 2026"));
        check(noon, "nl-BE", Some("21 november 2026"));
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
    fn a_day_is_what_the_organisation_calls_one() {
        let check = |offset: i64, expected: &str| {
            let zone = TimeZone::new("Somewhere", vec![(0, offset)]);
            // 2027-01-01T03:00:00Z: the last evening of the year in New York.
            let text = date_text(1_798_772_400, &zone, &"en-US".parse().unwrap());
            assert_eq!(text.as_deref(), Some(expected), "{offset}");
        };
        check(-18_000, "December 31, 2026");
        check(-10_800, "January 1, 2027");
        check(-10_801, "December 31, 2026");
        check(50_400, "January 1, 2027");
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
