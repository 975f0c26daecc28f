//! Sizes of files, as customers read them and as they wait for them.

use std::time::Duration;

use customer_locale::BuiltInLanguage;

/// A size in the units of a language: `950 KB`, `1,2 MB`, `14 Mo`, `51 ko`.
pub(crate) fn size_text(bytes: i64, language: &BuiltInLanguage) -> String {
    const THOUSAND: i64 = 1000;
    let mut tenths = bytes.clamp(0, i64::MAX / 100) * 10;
    let mut unit = 0;
    while tenths >= THOUSAND * 10 && unit < 4 {
        tenths = (tenths + THOUSAND / 2) / THOUSAND;
        unit += 1;
    }
    // A tenth matters below ten only, and bytes have none.
    let number = if unit == 0 || tenths >= 100 || tenths % 10 == 0 {
        ((tenths + if unit == 0 { 0 } else { 5 }) / 10).to_string()
    } else {
        format!("{}{}{}", tenths / 10, language.decimal_mark, tenths % 10)
    };
    let prefix = [None, Some(language.kilo), Some('M'), Some('G'), Some('T')][unit];
    let unit: String = prefix.into_iter().chain([language.byte]).collect();
    format!("{number}\u{a0}{unit}")
}

const SHORTEST: Duration = Duration::from_mins(5);
const LONGEST: Duration = Duration::from_mins(30);

/// Bytes a second on a slow line: 2 Mbit/s.
const SLOW_LINE: u64 = 250_000;

/// How long an address for a file lives: as long as the file takes on a slow line, and five minutes, up to half an hour.
///
/// S3 looks at the time when a transfer begins and lets one that runs come to its end, so the time is for taking up a
/// transfer that broke. It is short because one counted address can be fetched from many places at once: a customer
/// who comes back later is one click from a new one.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html>
pub(crate) fn lifetime(bytes: i64) -> Duration {
    let transfer = u64::try_from(bytes).unwrap_or_default() / SLOW_LINE;
    SHORTEST.saturating_add(Duration::from_secs(transfer)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn language(tag: &str) -> &'static BuiltInLanguage {
        BuiltInLanguage::from_tag(tag).unwrap()
    }

    #[test]
    fn sizes_read_well_in_every_language() {
        for (bytes, en, de, fr) in [
            (0, "0 B", "0 B", "0 o"),
            (999, "999 B", "999 B", "999 o"),
            (1000, "1 KB", "1 KB", "1 ko"),
            (1250, "1.3 KB", "1,3 KB", "1,3 ko"),
            (949_999, "950 KB", "950 KB", "950 ko"),
            (999_999, "1 MB", "1 MB", "1 Mo"),
            (1_234_567, "1.2 MB", "1,2 MB", "1,2 Mo"),
            (14_400_000, "14 MB", "14 MB", "14 Mo"),
            (4_700_000_000, "4.7 GB", "4,7 GB", "4,7 Go"),
            (-1, "0 B", "0 B", "0 o"),
        ] {
            let shown = ["en", "de", "fr"].map(|tag| size_text(bytes, language(tag)).replace('\u{a0}', " "));
            assert_eq!(shown, [en, de, fr], "{bytes}");
        }
        assert_eq!(size_text(i64::MAX, language("en")), "92234\u{a0}TB");
    }

    #[test]
    fn a_large_file_has_longer() {
        for (bytes, minutes) in
            [(1, 5), (15_000_000, 6), (225_000_000, 20), (375_000_000, 30), (20_000_000_000, 30)]
        {
            assert_eq!(lifetime(bytes), Duration::from_mins(minutes), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn never_less_than_five_minutes_nor_more_than_half_an_hour(bytes in any::<i64>()) {
            prop_assert!((SHORTEST..=LONGEST).contains(&lifetime(bytes)));
        }
    }
}
