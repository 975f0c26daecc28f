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
        // Three-decimal currencies are rounded to two, and some are sent with decimals they do not have.
        let step = match (currency.exponent(), currency.display_exponent()) {
            (3, _) => 10,
            (wire, shown) => 10_i64.pow(wire - shown),
        };
        if amount % step != 0 {
            return Err(format!("in {} Stripe takes multiples of {step} only", currency.code()));
        }
        let price = Money::new(amount, currency);
        let least = least(currency);
        if amount < least {
            let least = Money::new(least, currency).decimal_text();
            return Err(format!(
                "{} {} is too little: Stripe takes {least} at least. `amount` counts the smallest unit: 1250 is 12.50",
                price.decimal_text(),
                currency.code()
            ));
        }
        Ok(Self(price))
    }
}

/// The least that Stripe takes, where its table says so. Where it does not, Stripe decides by what it is worth.
///
/// <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>
fn least(currency: Currency) -> i64 {
    match currency.as_str() {
        "gbp" => 30,
        "usd" | "eur" | "cad" | "aud" | "nzd" | "chf" | "jpy" | "krw" => 50,
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

/// What customers can be charged in. A typing error is told here; one that Stripe adds is added here.
///
/// <https://docs.stripe.com/currencies#presentment-currencies>
const CURRENCIES: &str = "
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp
    cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr
    isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn
    myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle
    sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw";
