use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An amount of money as Stripe writes it: a whole number of the currency's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// `minor` counts the units of [`Currency::exponent`]: 1250 GBP is £12.50, 500 JPY is ¥500.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// The amount in minor units.
    pub const fn minor(&self) -> i64 {
        self.minor
    }

    /// The currency.
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// Nothing: what a fully discounted session costs.
    pub const fn is_zero(&self) -> bool {
        self.minor == 0
    }

    /// How many decimals a reader needs to see the exact amount.
    ///
    /// Usually what the currency is written with. A fraction that should not exist (half an Icelandic króna) is
    /// shown all the same: a mail may look odd, but it never says a wrong amount.
    pub fn shown_exponent(&self) -> u32 {
        let wire = self.currency.exponent();
        let shown = self.currency.display_exponent();
        let hidden_unit = 10_i64.pow(wire - shown);
        if self.minor % hidden_unit == 0 { shown } else { wire }
    }

    /// The amount as a plain decimal number with every digit Stripe sends: `12.50`, `-0.05`, `500`, `1.500`.
    pub fn decimal_text(&self) -> String {
        let exponent = self.currency.exponent();
        let unit = 10_u64.pow(exponent);
        let magnitude = self.minor.unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        if exponent == 0 {
            return format!("{sign}{magnitude}");
        }
        let whole = magnitude / unit;
        let fraction = magnitude % unit;
        format!("{sign}{whole}.{fraction:0width$}", width = exponent as usize)
    }

    /// The sum of two amounts.
    ///
    /// # Errors
    ///
    /// When the currencies differ or the sum does not fit.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.combined(other, i64::checked_add)
    }

    /// The difference of two amounts, which may be negative.
    ///
    /// # Errors
    ///
    /// When the currencies differ or the difference does not fit.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.combined(other, i64::checked_sub)
    }

    fn combined(self, other: Self, op: fn(i64, i64) -> Option<i64>) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies(self.currency, other.currency));
        }
        let minor = op(self.minor, other.minor).ok_or(MoneyError::TooLarge)?;
        Ok(Self { minor, ..self })
    }
}

/// A currency code, kept in lower case as Stripe writes it.
///
/// Any three letters are accepted: a currency Stripe adds tomorrow must not stop a payment's record or mail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Euros.
    pub const EUR: Self = Self(*b"eur");

    /// The code in lower case, as Stripe writes it: `gbp`.
    pub fn as_str(&self) -> &str {
        // Only ASCII letters get in, so the text is always there.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The code as people write it: `GBP`.
    pub fn code(&self) -> String {
        self.as_str().to_ascii_uppercase()
    }

    /// The number of decimals in Stripe's minor unit.
    ///
    /// Stripe's own table, not ISO 4217: ISK and UGX have no decimals but are sent as if they had two.
    /// An unknown currency has two, as every currency that Stripe does not list apart.
    /// <https://docs.stripe.com/currencies#zero-decimal>
    pub const fn exponent(&self) -> u32 {
        match &self.0 {
            b"bif" | b"clp" | b"djf" | b"gnf" | b"jpy" | b"kmf" | b"krw" | b"mga" | b"pyg" | b"rwf"
            | b"vnd" | b"vuv" | b"xaf" | b"xof" | b"xpf" => 0,
            b"bhd" | b"jod" | b"kwd" | b"omr" | b"tnd" => 3,
            _ => 2,
        }
    }

    /// The number of decimals the currency is written with: none for ISK and UGX, else [`Self::exponent`].
    /// <https://docs.stripe.com/currencies#special-cases>
    pub const fn display_exponent(&self) -> u32 {
        match &self.0 {
            b"isk" | b"ugx" => 0,
            _ => self.exponent(),
        }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<&str> for Currency {
    type Error = MoneyError;

    fn try_from(code: &str) -> Result<Self, MoneyError> {
        let letters: [u8; 3] = code.as_bytes().try_into().map_err(|_| MoneyError::NotACurrency)?;
        if !letters.iter().all(u8::is_ascii_alphabetic) {
            return Err(MoneyError::NotACurrency);
        }
        Ok(Self(letters.map(|letter| letter.to_ascii_lowercase())))
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(code: String) -> Result<Self, MoneyError> {
        Self::try_from(code.as_str())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, MoneyError> {
        Self::try_from(code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

/// Why amounts or currencies were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not a currency code.
    #[error("a currency code is three letters")]
    NotACurrency,
    /// Pounds and euros do not add up.
    #[error("{0} and {1} cannot be combined")]
    MixedCurrencies(Currency, Currency),
    /// The result does not fit.
    #[error("the amount is too large")]
    TooLarge,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::try_from(code).unwrap())
    }

    #[test]
    fn writes_amounts_as_plain_decimals() {
        let check = |minor, code, expected: &str| assert_eq!(money(minor, code).decimal_text(), expected);
        check(1250, "gbp", "12.50");
        check(-5, "gbp", "-0.05");
        check(0, "eur", "0.00");
        check(500, "jpy", "500");
        check(-500, "jpy", "-500");
        check(1500, "kwd", "1.500");
        check(5, "bhd", "0.005");
        check(50_000, "isk", "500.00");
        check(50_000, "ugx", "500.00");
        check(17_500, "huf", "175.00");
        check(1, "xyz", "0.01");
        check(i64::MAX, "usd", "92233720368547758.07");
        check(i64::MIN, "usd", "-92233720368547758.08");
        check(i64::MIN, "jpy", "-9223372036854775808");
    }

    #[test]
    fn has_the_exponents_of_stripe() {
        let check = |codes: &str, wire: u32, shown: u32| {
            for code in codes.split(' ') {
                let currency = Currency::try_from(code).unwrap();
                assert_eq!((currency.exponent(), currency.display_exponent()), (wire, shown), "{code}");
            }
        };
        check("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF", 0, 0);
        check("ISK UGX", 2, 0);
        check("BHD JOD KWD OMR TND", 3, 3);
        // HUF and TWD are special for payouts only; RSD and IDR have no decimals in some other tables.
        check("GBP EUR USD HUF TWD RSD IDR XYZ", 2, 2);
    }

    #[test]
    fn shows_a_fraction_that_should_not_exist() {
        let check = |minor, code, expected| assert_eq!(money(minor, code).shown_exponent(), expected);
        check(50_000, "isk", 0);
        check(50_050, "isk", 2);
        check(-1, "ugx", 2);
        check(0, "isk", 0);
        check(1250, "gbp", 2);
        check(1200, "gbp", 2);
        check(500, "jpy", 0);
        check(1500, "kwd", 3);
    }

    #[test]
    fn a_currency_is_three_letters_in_lower_case() {
        assert_eq!(Currency::try_from("GBP").unwrap().as_str(), "gbp");
        assert_eq!(Currency::try_from("gbp").unwrap().code(), "GBP");
        for wrong in ["", "gb", "gbpp", "g1p", "€", " gbp", "£££"] {
            assert_eq!(Currency::try_from(wrong), Err(MoneyError::NotACurrency), "{wrong:?}");
        }
    }

    #[test]
    fn adds_and_subtracts_within_a_currency() {
        assert_eq!(money(1, "gbp").checked_add(money(2, "gbp")), Ok(money(3, "gbp")));
        assert_eq!(money(1, "gbp").checked_sub(money(2, "gbp")), Ok(money(-1, "gbp")));
        let mixed = money(1, "gbp").checked_add(money(2, "eur")).unwrap_err();
        assert_eq!(mixed.to_string(), "gbp and eur cannot be combined");
        assert_eq!(money(i64::MAX, "gbp").checked_add(money(1, "gbp")), Err(MoneyError::TooLarge));
    }

    #[test]
    fn is_stored_as_minor_units_and_a_code() {
        let stored = serde_json::to_string(&money(1250, "gbp")).unwrap();
        assert_eq!(stored, r#"{"minor":1250,"currency":"gbp"}"#);
        assert_eq!(serde_json::from_str::<Money>(&stored).unwrap(), money(1250, "gbp"));
        assert!(serde_json::from_str::<Money>(r#"{"minor":1,"currency":"pounds"}"#).is_err());
    }

    /// Reads a plain decimal back, knowing nothing but the currency.
    fn parsed(text: &str, currency: Currency) -> Money {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        assert_eq!(fraction.len(), currency.exponent() as usize, "{text}");
        Money::new(format!("{whole}{fraction}").parse().unwrap(), currency)
    }

    proptest! {
        #[test]
        fn every_amount_can_be_read_back(minor: i64, code in "[a-z]{3}|jpy|kwd|isk|ugx") {
            let money = money(minor, &code);
            prop_assert_eq!(parsed(&money.decimal_text(), money.currency()), money);
        }

        #[test]
        fn what_is_added_can_be_taken_away(a in -1_i64 << 62..1 << 62, b in -1_i64 << 62..1 << 62) {
            let a = money(a, "eur");
            let b = money(b, "eur");
            prop_assert_eq!(a.checked_add(b).unwrap().checked_sub(b), Ok(a));
        }

        #[test]
        fn any_text_is_refused_or_kept(code in "\\PC{0,5}") {
            if let Ok(currency) = Currency::try_from(code.as_str()) {
                prop_assert_eq!(currency.as_str(), code.to_ascii_lowercase());
            }
        }
    }
}
