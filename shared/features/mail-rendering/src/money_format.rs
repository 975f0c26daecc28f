//! An amount the way the reader's locale writes it: `£12.50`, `12,50 €`, `¥500`.

use fixed_decimal::Decimal;
use fulfilment::Money;
use icu_decimal::provider::{Baked as DecimalData, DecimalDigitsV1, DecimalSymbolsV1};
use icu_experimental::dimension::currency::formatter::CurrencyFormatter;
use icu_experimental::dimension::provider::currency::{
    essentials::CurrencyEssentialsV1,
    fractions::{CurrencyFractions, CurrencyFractionsV1, FractionInfo},
    no_currency::CurrencyPatternsNoCurrencyV1,
    symbols::{CurrencyDecimalSymbolsV1, CurrencySymbolsV1},
};
use icu_experimental::provider::Baked as CurrencyData;
use icu_locale_core::Locale;
use icu_provider::prelude::*;

/// The exact amount in the locale's own form, no digit rounded away.
pub fn money_text(money: Money, locale: &Locale) -> String {
    // Plain text in place of an error: a mail that says `GBP 12.50` is better than no mail.
    localised(money, locale)
        .unwrap_or_else(|_| format!("{} {}", money.currency().code(), money.decimal_text()))
}

fn localised(money: Money, locale: &Locale) -> Result<String, DataError> {
    let code = money.currency().code();
    let currency = code.parse().map_err(|_| DataErrorKind::InvalidRequest.into_error())?;
    let data = ExactDigits(money.shown_exponent());
    // The symbol of the locale, not the narrow one: "$" alone does not say whose dollars.
    let formatter =
        CurrencyFormatter::try_new_symbol_unstable(&data, locale.into(), currency, Default::default())?;
    let mut amount = Decimal::from(money.minor());
    amount.multiply_pow10(-i16::try_from(money.currency().exponent()).unwrap_or(0));
    Ok(formatter.format_fixed_decimal(&amount).to_string())
}

/// Unicode's currency data, but with as many decimals as the amount has.
///
/// Unicode rounds some currencies to whole units that Stripe charges in hundredths (`17.50 HUF` would read
/// `18 HUF`). A mail must show the charged amount, so the number of decimals is ours.
struct ExactDigits(u32);

impl DataProvider<CurrencyFractionsV1> for ExactDigits {
    fn load(&self, _: DataRequest<'_>) -> Result<DataResponse<CurrencyFractionsV1>, DataError> {
        let digits = u8::try_from(self.0).unwrap_or(u8::MAX);
        Ok(DataResponse {
            metadata: DataResponseMetadata::default(),
            payload: DataPayload::from_owned(CurrencyFractions {
                fractions: Default::default(),
                default: FractionInfo { digits, ..FractionInfo::default() },
            }),
        })
    }
}

macro_rules! unchanged {
    ($($source:ident has $($marker:ident),+;)+) => { $($(
        impl DataProvider<$marker> for ExactDigits {
            fn load(&self, mut request: DataRequest<'_>) -> Result<DataResponse<$marker>, DataError> {
                // A currency without a symbol is written as its code: usual, and nothing for the log.
                request.metadata.silent = true;
                $source.load(request)
            }
        }
    )+)+ };
}

unchanged! {
    CurrencyData has CurrencyEssentialsV1, CurrencySymbolsV1, CurrencyPatternsNoCurrencyV1, CurrencyDecimalSymbolsV1;
    DecimalData has DecimalSymbolsV1, DecimalDigitsV1;
}

#[cfg(test)]
mod tests {
    use fulfilment::Currency;
    use proptest::prelude::*;

    use super::*;

    /// Every currency Stripe can charge. <https://docs.stripe.com/currencies#presentment-currencies>
    const STRIPE_CURRENCIES: &str = "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd \
        bnd bob brl bsd bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp \
        gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd \
        kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd \
        omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb \
        tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw";

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::try_from(code).unwrap())
    }

    fn formatted(minor: i64, code: &str, tag: &str) -> String {
        let locale: Locale = tag.parse().unwrap();
        localised(money(minor, code), &locale).unwrap()
    }

    /// The digits of a text; whatever a locale puts between them is its own business.
    fn digits(text: &str) -> String {
        text.chars().filter(char::is_ascii_digit).collect()
    }

    #[test]
    fn writes_amounts_the_way_the_locale_does() {
        let check = |minor, code, expected: [&str; 6]| {
            let tags = ["en", "en-GB", "en-US", "de", "de-CH", "fr"];
            let texts =
                tags.map(|tag| formatted(minor, code, tag).replace('\u{202f}', "~").replace('\u{a0}', "_"));
            assert_eq!(texts, expected, "{minor} {code}");
        };
        // `_` is a no-break space, `~` a narrow one.
        check(1250, "gbp", ["£12.50", "£12.50", "£12.50", "12,50_£", "£_12.50", "12,50_£GB"]);
        check(1250, "eur", ["€12.50", "€12.50", "€12.50", "12,50_€", "€_12.50", "12,50_€"]);
        check(1250, "usd", ["$12.50", "US$12.50", "$12.50", "12,50_$", "$_12.50", "12,50_$US"]);
        check(1250, "chf", ["CHF_12.50", "CHF_12.50", "CHF_12.50", "12,50_CHF", "CHF_12.50", "12,50_CHF"]);
        check(
            123_456_789,
            "eur",
            [
                "€1,234,567.89",
                "€1,234,567.89",
                "€1,234,567.89",
                "1.234.567,89_€",
                "€_1'234'567.89",
                "1~234~567,89_€",
            ],
        );
        // No decimals.
        check(500, "jpy", ["¥500", "JP¥500", "¥500", "500_¥", "¥_500", "500_JP¥"]);
        check(5000, "krw", ["₩5,000", "₩5,000", "₩5,000", "5.000_₩", "₩_5'000", "5~000_₩"]);
        // Three decimals.
        check(1500, "kwd", ["KWD_1.500", "KWD_1.500", "KWD_1.500", "1,500_KWD", "KWD_1.500", "1,500_KWD"]);
        check(
            12_340,
            "bhd",
            ["BHD_12.340", "BHD_12.340", "BHD_12.340", "12,340_BHD", "BHD_12.340", "12,340_BHD"],
        );
        // Two on the wire, none to the reader, unless there is something to see.
        check(50_000, "isk", ["ISK_500", "ISK_500", "ISK_500", "500_ISK", "ISK_500", "500_ISK"]);
        check(50_000, "ugx", ["UGX_500", "UGX_500", "UGX_500", "500_UGX", "UGX_500", "500_UGX"]);
        check(
            50_050,
            "isk",
            ["ISK_500.50", "ISK_500.50", "ISK_500.50", "500,50_ISK", "ISK_500.50", "500,50_ISK"],
        );
        // Unicode would round these to whole units.
        check(1750, "huf", ["HUF_17.50", "HUF_17.50", "HUF_17.50", "17,50_HUF", "HUF_17.50", "17,50_HUF"]);
        check(
            1_234_550,
            "idr",
            [
                "IDR_12,345.50",
                "IDR_12,345.50",
                "IDR_12,345.50",
                "12.345,50_IDR",
                "IDR_12'345.50",
                "12~345,50_IDR",
            ],
        );
        check(99, "rsd", ["RSD_0.99", "RSD_0.99", "RSD_0.99", "0,99_RSD", "RSD_0.99", "0,99_RSD"]);
        // Small, nothing, negative, unheard of.
        check(5, "eur", ["€0.05", "€0.05", "€0.05", "0,05_€", "€_0.05", "0,05_€"]);
        check(0, "gbp", ["£0.00", "£0.00", "£0.00", "0,00_£", "£_0.00", "0,00_£GB"]);
        check(-1250, "eur", ["-€12.50", "-€12.50", "-€12.50", "-12,50_€", "€-12.50", "-12,50_€"]);
        check(1250, "xyz", ["XYZ_12.50", "XYZ_12.50", "XYZ_12.50", "12,50_XYZ", "XYZ_12.50", "12,50_XYZ"]);
    }

    #[test]
    fn writes_amounts_as_spanish_italian_and_dutch_do() {
        let check = |minor, code, expected: [&str; 5]| {
            let tags = ["es", "es-MX", "it", "nl", "nl-BE"];
            let texts = tags.map(|tag| formatted(minor, code, tag).replace('\u{a0}', "_"));
            assert_eq!(texts, expected, "{minor} {code}");
        };
        check(1250, "gbp", ["12,50_£", "£12.50", "12,50_£", "£_12,50", "£_12,50"]);
        check(123_456, "eur", ["1234,56_€", "€1,234.56", "1234,56_€", "€_1.234,56", "€_1.234,56"]);
        check(1_234_567, "eur", ["12.345,67_€", "€12,345.67", "12.345,67_€", "€_12.345,67", "€_12.345,67"]);
        check(500, "jpy", ["500_JP¥", "JP¥500", "500_JP¥", "JP¥_500", "JP¥_500"]);
        check(-1250, "eur", ["-12,50_€", "-€12.50", "-12,50_€", "€_-12,50", "€_-12,50"]);
    }

    #[test]
    fn loses_no_digit_of_any_currency() {
        for code in STRIPE_CURRENCIES.split_whitespace() {
            for tag in [
                "en", "en-001", "en-GB", "en-US", "de", "de-AT", "de-CH", "fr", "fr-CA", "fr-CH", "es",
                "es-MX", "it", "nl", "nl-BE",
            ] {
                let exact = money(12_345_671, code);
                let text = formatted(12_345_671, code, tag);
                assert_eq!(digits(&text), digits(&exact.decimal_text()), "{code} in {tag}: {text}");
            }
        }
    }

    proptest! {
        #[test]
        fn loses_no_digit_of_any_amount(minor: i64, code in "gbp|jpy|kwd|isk|ugx|huf|rsd|[a-z]{3}", tag in "en|en-GB|de|de-CH|fr|fr-CA|es|it|nl") {
            let exact = money(minor, &code);
            let mut expected = exact.decimal_text();
            if exact.shown_exponent() < exact.currency().exponent() {
                prop_assert!(expected.ends_with(".00"));
                expected.truncate(expected.len() - 3);
            }
            let text = formatted(minor, &code, &tag);
            prop_assert_eq!(digits(&text), digits(&expected));
            prop_assert_eq!(text.contains('-'), minor < 0);
        }
    }
}
