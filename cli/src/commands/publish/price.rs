//! What Stripe takes as a price.

use fulfilment::{Currency, Money};
use serde::Deserialize;

/// A price that Stripe takes.
#[derive(Debug, Deserialize)]
#[serde(try_from = "WrittenPrice")]
pub(crate) struct Price(pub(crate) Money);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrice {
    amount: i64,
    currency: Currency,
}

impl TryFrom<WrittenPrice> for Price {
    type Error = String;

    fn try_from(written: WrittenPrice) -> Result<Self, String> {
        let WrittenPrice { amount, currency } = written;
        if !CURRENCIES.split_ascii_whitespace().any(|known| known == currency.as_str()) {
            return Err(format!("{} is no currency that Stripe takes", currency.code()));
        }
        let step = step(currency);
        if amount % step != 0 {
            return Err(format!(
                "in {} Stripe takes multiples of {step} only. {}",
                currency.code(),
                example(currency)
            ));
        }
        let price = Money::new(amount, currency);
        let refused = |limit: i64, what: &str, which: &str| {
            let asked = price.decimal_text();
            let limit = Money::new(limit, currency).decimal_text();
            let code = currency.code();
            let example = example(currency);
            Err(format!("{asked} {code} is too {what}: Stripe takes {limit} at {which}. {example}"))
        };
        let least = least(currency).max(step);
        let most = most(currency);
        if amount < least {
            return refused(least, "little", "least");
        }
        if amount > most {
            return refused(most, "much", "most");
        }
        Ok(Self(price))
    }
}

/// Three-decimal currencies end in a zero, and some are sent with decimals they do not have.
///
/// <https://docs.stripe.com/currencies#special-cases>
const fn step(currency: Currency) -> i64 {
    match (currency.exponent(), currency.display_exponent()) {
        (3, _) => 10,
        (wire, shown) => 10_i64.pow(wire - shown),
    }
}

/// How an amount is written, in the file's own currency: "1250 is ¥1250".
fn example(currency: Currency) -> String {
    let minor = if 1_250 % step(currency) == 0 { 1_250 } else { 125_000 };
    format!("`amount` counts the smallest unit: {minor} is {}", shown(Money::new(minor, currency)))
}

/// An amount as a marketer writes it.
fn shown(money: Money) -> String {
    let decimal = money.decimal_text();
    let (whole, _) = decimal.split_once('.').unwrap_or((&decimal, ""));
    let number = if money.shown_exponent() == 0 { whole } else { &decimal };
    match money.currency().as_str() {
        "gbp" => format!("£{number}"),
        "usd" => format!("${number}"),
        "eur" => format!("€{number}"),
        "jpy" => format!("¥{number}"),
        _ => format!("{number} {}", money.currency().code()),
    }
}

/// The least that Stripe takes, where its table says so. Where it does not, Stripe decides by what it is worth.
///
/// <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>
fn least(currency: Currency) -> i64 {
    match currency.as_str() {
        "gbp" => 30,
        "usd" | "eur" | "cad" | "aud" | "nzd" | "chf" | "jpy" | "krw" | "brl" | "inr" | "sgd" => 50,
        "bgn" => 100,
        "pln" | "ron" | "aed" | "myr" => 200,
        "dkk" => 250,
        "nok" | "sek" => 300,
        "hkd" => 400,
        "mxn" | "thb" => 1_000,
        "czk" => 1_500,
        "huf" => 17_500,
        _ => 1,
    }
}

/// The most that Stripe takes: eight digits, and more of a few currencies whose unit is worth little.
///
/// <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>
fn most(currency: Currency) -> i64 {
    let digits = match currency.as_str() {
        "idr" => 12,
        "cop" | "huf" | "jpy" | "lbp" | "twd" => 10,
        "inr" => 9,
        _ => 8,
    };
    let most = 10_i64.pow(digits) - 1;
    most - most % step(currency)
}

/// What customers can be charged in. A typing error is reported here; one that Stripe adds is added here.
///
/// <https://docs.stripe.com/currencies#presentment-currencies>
const CURRENCIES: &str = "
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp
    cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr
    isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn
    myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle
    sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw";
