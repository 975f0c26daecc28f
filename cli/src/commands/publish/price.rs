//! What Stripe takes as a price: fixed or chosen by the customer, once or every so often.

use std::ops::Range;

use fulfilment::{Currency, Money};
use toml::de::DeValue;

use super::product::{Fields, number_in, text_in};

/// A price that Stripe takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Price {
    pub(crate) currency: Currency,
    pub(crate) amount: Amount,
    /// How often it is asked; `None` for once.
    pub(crate) every: Option<Every>,
    /// Days before the first payment of a subscription.
    pub(crate) trial_days: Option<i64>,
}

/// How much is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Amount {
    Fixed(Money),
    /// The customer decides. Stripe sells such a price once, in a quantity of one, alone on its link and without
    /// promotion codes. <https://docs.stripe.com/payments/checkout/pay-what-you-want>
    Chosen {
        preset: Option<Money>,
        minimum: Option<Money>,
        maximum: Option<Money>,
    },
}

/// How often a subscription is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Every {
    /// Stripe's word.
    pub(crate) interval: &'static str,
    pub(crate) count: i64,
}

/// Stripe's intervals, and how many of each make its longest one, three years.
/// <https://docs.stripe.com/api/prices/create#create_price-recurring-interval_count>
const INTERVALS: [(&str, i64); 4] = [("day", 1_095), ("week", 156), ("month", 36), ("year", 3)];

/// The longest trial of a Payment Link, in days.
/// <https://docs.stripe.com/api/payment-link/create#create_payment_link-subscription_data-trial_period_days>
const LONGEST_TRIAL: i64 = 730;

const FIELDS: [&str; 5] = ["amount", "currency", "customer_chooses", "every", "trial_days"];

/// The fields of `customer_chooses`.
const LIMITS: [&str; 3] = ["preset", "minimum", "maximum"];

impl Price {
    /// Reads the table `[price]`. What is wrong is in the findings.
    pub(crate) fn read(mut fields: Fields<'_, '_>) -> Option<Self> {
        let findings = fields.findings();
        let place = fields.place.clone();
        fields.needs("currency", "currency = \"gbp\"");
        let written = fields.take("currency");
        let currency = written.and_then(|(at, value)| findings.keep(&at, currency(&value)));
        let every = fields.take("every");
        let every = every.map(|(at, value)| (at.clone(), findings.keep(&at, every_of(&value))));
        let trial = fields.take("trial_days");
        let trial_days = trial.as_ref().map(|(at, value)| findings.keep(at, trial_of(value)));
        if let (Some((at, _)), None) = (&trial, &every) {
            findings
                .error(at, "only a subscription has a trial: write how often it is paid, every = \"month\"");
        }
        let fixed = fields.take("amount");
        let chosen = fields.take("customer_chooses");
        let amount = match (fixed, chosen) {
            (Some((at, _)), Some(_)) => {
                findings.error(
                    &at,
                    "either you say the amount or the customer does: take `amount` or `customer_chooses` out",
                );
                None
            }
            (Some((at, value)), None) => currency
                .and_then(|currency| findings.keep(&at, fixed_of("amount", &value, currency)))
                .map(Amount::Fixed),
            (None, Some((at, value))) => {
                if let Some((at, Some(_))) = &every {
                    findings.error(
                        at,
                        "Stripe has no subscriptions at a price that customers choose: take `every` out, or make a \
                         product file for each amount",
                    );
                }
                currency.and_then(|currency| chosen_of(&fields, &at, value, currency))
            }
            (None, None) => {
                findings.missing(
                    &place,
                    "[price] has no amount: write amount = 1250, or customer_chooses = true",
                );
                None
            }
        };
        fields.finish(&FIELDS, super::product::HOMES);
        // What was written and is wrong has been reported, and is no price.
        let every = match every {
            Some((_, None)) => return None,
            Some((_, every)) => every,
            None => None,
        };
        let trial_days = match trial_days {
            Some(None) => return None,
            Some(days) => days,
            None => None,
        };
        Some(Self { currency: currency?, amount: amount?, every, trial_days })
    }

    /// In words, as a step shows it: `12.50 GBP every 3 months`.
    pub(crate) fn words(&self) -> String {
        let code = self.currency.code();
        let amount = match &self.amount {
            Amount::Fixed(money) => format!("{} {code}", money.decimal_text()),
            Amount::Chosen { preset, minimum, maximum } => {
                let said = |what: &str, money: &Option<Money>| {
                    money.as_ref().map(|money| format!("{what} {} {code}", money.decimal_text()))
                };
                let limits = [said("at least", minimum), said("at most", maximum), said("suggested", preset)];
                let limits: Vec<_> = limits.into_iter().flatten().collect();
                let limits = if limits.is_empty() { code } else { limits.join(", ") };
                format!("that the customer chooses ({limits})")
            }
        };
        match self.every {
            None => amount,
            Some(Every { interval, count: 1 }) => format!("{amount} every {interval}"),
            Some(Every { interval, count }) => format!("{amount} every {count} {interval}s"),
        }
    }
}

fn currency(value: &DeValue<'_>) -> Result<Currency, String> {
    let written = text_in("currency", value)?.to_lowercase();
    let sign = [
        ("£", "gbp"),
        ("€", "eur"),
        ("$", "usd"),
        ("¥", "jpy"),
        ("pounds", "gbp"),
        ("euro", "eur"),
        ("dollar", "usd"),
    ];
    let code = sign.iter().find(|(sign, _)| written.trim_end_matches('s') == sign.trim_end_matches('s'));
    let currency = Currency::try_from(written.as_str()).map_err(|_| {
        let code = code.map_or("gbp", |(_, code)| code);
        format!("`currency` is three letters, such as currency = \"{code}\"")
    })?;
    if !CURRENCIES.split_ascii_whitespace().any(|known| known == currency.as_str()) {
        return Err(format!("{} is no currency that Stripe takes", currency.code()));
    }
    Ok(currency)
}

/// An amount in the smallest unit. One with a point is explained, and never taken: twelve or twelve hundred is not for
/// a program to guess.
fn minor(name: &str, value: &DeValue<'_>, currency: Currency) -> Result<i64, String> {
    let typed = match value {
        DeValue::Float(number) => number.as_str(),
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => "",
    };
    let Some(minor) = minor_of(typed, currency) else { return number_in(name, value, 1_250) };
    let meant = Money::new(minor, currency);
    let how = if typed.contains(['.', ',']) { "without a point" } else { "without quotes" };
    Err(format!("`{name}`: write it {how}: {minor} is {} {}", meant.decimal_text(), currency.code()))
}

/// `12.50` in the smallest unit of a currency: digits with at most as many decimals as it has.
fn minor_of(typed: &str, currency: Currency) -> Option<i64> {
    let number: String = typed.chars().filter(|c| c.is_ascii_digit() || matches!(c, '.' | ',')).collect();
    if !typed.contains(['.', ',']) {
        return number.parse().ok();
    }
    let (whole, decimals) = number.rsplit_once(['.', ','])?;
    let exponent = usize::try_from(currency.exponent()).ok()?;
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > exponent || whole.contains(['.', ',']) {
        return None;
    }
    format!("{whole}{decimals:0<exponent$}").parse().ok()
}

fn fixed_of(name: &str, value: &DeValue<'_>, currency: Currency) -> Result<Money, String> {
    let amount = minor(name, value, currency)?;
    let step = step(currency);
    if amount % step != 0 {
        return Err(format!(
            "in {} Stripe takes multiples of {step} only. {}",
            currency.code(),
            example(name, currency)
        ));
    }
    let price = Money::new(amount, currency);
    let refused = |limit: i64, what: &str, which: &str| {
        let asked = price.decimal_text();
        let limit = Money::new(limit, currency).decimal_text();
        let code = currency.code();
        let example = example(name, currency);
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
    Ok(price)
}

/// `customer_chooses`: true, or a table of limits.
fn chosen_of(
    outer: &Fields<'_, '_>,
    at: &Range<usize>,
    value: DeValue<'_>,
    currency: Currency,
) -> Option<Amount> {
    let findings = outer.findings();
    if matches!(value, DeValue::Boolean(true)) {
        return Some(Amount::Chosen { preset: None, minimum: None, maximum: None });
    }
    let DeValue::Table(table) = value else {
        findings.error(
            at,
            "`customer_chooses` is true, or says what is suggested and allowed: \
             { preset = 1500, minimum = 500, maximum = 100000 }",
        );
        return None;
    };
    let mut limits: [Option<Money>; 3] = [None, None, None];
    let mut is_sound = true;
    for (key, value) in table {
        let place = key.span();
        let Some(nth) = LIMITS.iter().position(|name| *name == key.get_ref().as_ref()) else {
            let names = "`preset`, `minimum`, `maximum`";
            findings.error(
                &place,
                format!("`customer_chooses` has no field `{}`: there are {names}", key.get_ref()),
            );
            is_sound = false;
            continue;
        };
        limits[nth] = findings.keep(&place, fixed_of(LIMITS[nth], value.get_ref(), currency));
        is_sound &= limits[nth].is_some();
    }
    let [preset, minimum, maximum] = limits;
    let exceeds = |low: Option<Money>, high: Option<Money>| {
        low.zip(high).is_some_and(|(low, high)| low.minor() > high.minor())
    };
    for (low, high, names) in [
        (minimum, maximum, "`minimum` is above `maximum`"),
        (minimum, preset, "`minimum` is above `preset`"),
        (preset, maximum, "`preset` is above `maximum`"),
    ] {
        if exceeds(low, high) {
            findings.error(at, names);
            is_sound = false;
        }
    }
    is_sound.then_some(Amount::Chosen { preset, minimum, maximum })
}

/// `month`, `3 months`, `every 3 months`, `yearly`.
fn every_of(value: &DeValue<'_>) -> Result<Every, String> {
    const HOW: &str = "write how often it is paid, such as every = \"month\", \"3 months\" or \"year\"";
    let written = text_in("every", value)?.to_lowercase();
    let words: Vec<_> = written.split_whitespace().filter(|word| *word != "every").collect();
    let (count, unit) = match words[..] {
        ["daily"] => (1, "day"),
        ["weekly"] => (1, "week"),
        ["monthly"] => (1, "month"),
        ["quarterly" | "quarter"] => (3, "month"),
        ["yearly" | "annually"] => (1, "year"),
        [unit] => (1, unit),
        [count, unit] => (count.parse().map_err(|_| HOW.to_owned())?, unit),
        _ => return Err(HOW.to_owned()),
    };
    let known = INTERVALS.into_iter().find(|(interval, _)| *interval == unit.trim_end_matches('s'));
    let (interval, most) = known.ok_or_else(|| HOW.to_owned())?;
    if !(1..=most).contains(&count) {
        return Err(format!("Stripe takes 1 to {most} {interval}s between payments, three years at most"));
    }
    Ok(Every { interval, count })
}

fn trial_of(value: &DeValue<'_>) -> Result<i64, String> {
    let days = number_in("trial_days", value, 14)?;
    if !(1..=LONGEST_TRIAL).contains(&days) {
        return Err(format!("a trial has 1 to {LONGEST_TRIAL} days; without one, leave `trial_days` out"));
    }
    Ok(days)
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
fn example(name: &str, currency: Currency) -> String {
    let minor = if 1_250 % step(currency) == 0 { 1_250 } else { 125_000 };
    format!("`{name}` counts the smallest unit: {minor} is {}", shown(Money::new(minor, currency)))
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
