use std::collections::BTreeMap;

use fulfilment::file_keys;
use serde::{Deserialize, Serialize};
use stripe_events::Interval;

use crate::sold::{Period, PeriodUnit, Recurring, SoldItem};

/// A file that was bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoughtFile {
    /// Its key below [`FOLDER`](crate::FOLDER): `audio/guide.mp3`.
    pub key: String,
    /// How many were paid for.
    pub quantity: i64,
    /// The product's name as Stripe showed it; `None` when the Payment Link itself names the files.
    #[serde(default)]
    pub product: Option<String>,
}

impl BoughtFile {
    /// The files that a Payment Link names itself.
    pub fn of_link(keys: &[String]) -> Vec<Self> {
        keys.iter().map(|key| Self { key: key.clone(), quantity: 1, product: None }).collect()
    }

    /// The files that the products of a session's line items name, in the order of the items. A file that several
    /// items name is one file, bought as often as all of them together.
    pub(crate) fn of_line_items(items: &[LineItem]) -> Vec<Self> {
        let mut files: Vec<Self> = Vec::new();
        for item in items {
            let quantity = item.quantity.unwrap_or(1);
            let product = item.price.as_ref().and_then(|price| price.product.metadata());
            for key in product.map(file_keys).unwrap_or_default() {
                match files.iter_mut().find(|file| file.key == key) {
                    Some(known) => known.quantity = known.quantity.saturating_add(quantity),
                    None => files.push(Self { key, quantity, product: item.description.clone() }),
                }
            }
        }
        files
    }

    /// The name it is saved under: the last part of the key.
    pub fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or(&self.key)
    }
}

/// A line item of a session, with its product. <https://docs.stripe.com/api/checkout/sessions/line_items>
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LineItem {
    /// The product's name.
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    quantity: Option<i64>,
    /// With its discount and tax.
    #[serde(default)]
    amount_total: Option<i64>,
    #[serde(default)]
    price: Option<Price>,
}

#[derive(Debug, Clone, Deserialize)]
struct Price {
    #[serde(default)]
    product: Product,
    /// None where the price has tiers, or parts of a cent.
    #[serde(default)]
    unit_amount: Option<i64>,
    #[serde(default)]
    tax_behavior: Option<String>,
    #[serde(default)]
    recurring: Option<PricePeriod>,
}

/// <https://docs.stripe.com/api/prices/object#price_object-recurring>
#[derive(Debug, Clone, Deserialize)]
struct PricePeriod {
    #[serde(default)]
    interval: Option<Interval>,
    #[serde(default)]
    interval_count: Option<u32>,
}

impl PricePeriod {
    /// None for a unit that this version does not know.
    fn period(&self) -> Option<Period> {
        let unit = match self.interval.as_ref()? {
            Interval::Day => PeriodUnit::Day,
            Interval::Week => PeriodUnit::Week,
            Interval::Month => PeriodUnit::Month,
            Interval::Year => PeriodUnit::Year,
            Interval::Other(_) => return None,
        };
        Some(Period { unit, count: self.interval_count.unwrap_or(1).max(1) })
    }
}

/// What line items say of a sale; lines without a name are left out.
pub(crate) fn sold_items(items: &[LineItem]) -> Vec<SoldItem> {
    items.iter().filter_map(LineItem::sold).collect()
}

impl LineItem {
    /// What the line says of the sale; `None` without a name.
    fn sold(&self) -> Option<SoldItem> {
        let quantity = self.quantity.unwrap_or(1);
        let price = self.price.as_ref();
        let recurring = price.and_then(|price| {
            let period = price.recurring.as_ref()?.period()?;
            // Where tax comes on top, the price alone is not what a customer pays.
            let is_whole = price.tax_behavior.as_deref() != Some("exclusive");
            let amount = price.unit_amount.filter(|_| is_whole).and_then(|each| each.checked_mul(quantity));
            Some(Recurring { period, amount })
        });
        let name = self.description.clone().filter(|name| !name.trim().is_empty())?;
        Some(SoldItem { name, quantity, amount: self.amount_total, recurring })
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Product {
    Expanded {
        #[serde(default)]
        metadata: Option<BTreeMap<String, String>>,
    },
    #[expect(dead_code, reason = "an id where Stripe was not asked for more, or cannot give it")]
    Id(Option<String>),
}

impl Default for Product {
    fn default() -> Self {
        Self::Id(None)
    }
}

impl Product {
    const fn metadata(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Self::Expanded { metadata } => metadata.as_ref(),
            Self::Id(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn item(description: &str, quantity: i64, product: Value) -> Value {
        json!({ "id": "li_1", "object": "item", "description": description, "quantity": quantity,
            "price": { "id": "price_1", "product": product } })
    }

    fn check(items: &[Value], expected: &[(&str, i64)]) {
        let items: Vec<LineItem> =
            items.iter().map(|item| serde_json::from_value(item.clone()).unwrap()).collect();
        let files = BoughtFile::of_line_items(&items);
        let files: Vec<_> = files.iter().map(|file| (file.key.as_str(), file.quantity)).collect();
        assert_eq!(files, expected);
    }

    fn product(metadata: Value) -> Value {
        json!({ "id": "prod_1", "object": "product", "metadata": metadata })
    }

    #[test]
    fn every_item_brings_its_files_as_often_as_it_was_bought() {
        check(&[], &[]);
        check(&[item("Guide", 1, product(json!({ "file": "guide.pdf" })))], &[("guide.pdf", 1)]);
        check(
            &[
                item("Guide", 3, product(json!({ "files": "guide.pdf, guide.epub" }))),
                item("Mug", 2, product(json!({}))),
                item("Bundle", 1, product(json!({ "file": "map.png", "files": "guide.pdf" }))),
            ],
            &[("guide.pdf", 4), ("guide.epub", 3), ("map.png", 1)],
        );
        let many: Vec<_> =
            (0..20).map(|n| item("Part", n + 1, product(json!({ "file": format!("{n}.pdf") })))).collect();
        let keys: Vec<_> = (0..20).map(|n| format!("{n}.pdf")).collect();
        let expected: Vec<_> = keys.iter().zip(1..).map(|(key, n)| (key.as_str(), n)).collect();
        check(&many, &expected);
    }

    #[test]
    fn an_item_whose_product_says_nothing_brings_none() {
        for product in [json!("prod_1"), Value::Null, json!({ "id": "prod_1", "deleted": true })] {
            check(&[item("Gone", 1, product)], &[]);
        }
        check(&[json!({ "id": "li_1", "price": null })], &[]);
    }

    #[test]
    fn is_saved_under_the_last_part_of_its_key() {
        let name = |key: &str| BoughtFile::of_link(&[key.to_owned()])[0].name().to_owned();
        assert_eq!(name("guide.pdf"), "guide.pdf");
        assert_eq!(name("2026/audio/Guide one.mp3"), "Guide one.mp3");
    }

    fn sold(items: &[Value]) -> Vec<SoldItem> {
        let items: Vec<LineItem> =
            items.iter().map(|item| serde_json::from_value(item.clone()).unwrap()).collect();
        sold_items(&items)
    }

    fn line(quantity: i64, price: Value) -> Value {
        json!({ "id": "li_1", "description": "Friend", "quantity": quantity, "amount_total": 1000, "price": price })
    }

    #[test]
    fn a_line_says_its_name_its_number_and_what_it_cost() {
        let lines = sold(&[
            line(2, json!({ "unit_amount": 500 })),
            json!({ "id": "li_2", "description": " ", "quantity": 1 }),
            json!({ "id": "li_3", "description": "Map", "price": null }),
        ]);
        let lines: Vec<_> = lines.iter().map(|line| (&*line.name, line.quantity, line.amount)).collect();
        assert_eq!(lines, [("Friend", 2, Some(1000)), ("Map", 1, None)]);
    }

    #[test]
    fn a_sale_renews_at_one_pace_and_for_an_amount_that_is_sure() {
        let monthly = |more: Value| {
            let mut price =
                json!({ "unit_amount": 500, "recurring": { "interval": "month", "interval_count": 1 } });
            price.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            price
        };
        let once = || json!({ "unit_amount": 900, "recurring": null });
        let check = |items: &[Value], expected: Option<(PeriodUnit, u32, Option<i64>)>| {
            let renewal = SoldItem::renewal_of(&sold(items));
            assert_eq!(renewal.map(|r| (r.period.unit, r.period.count, r.amount)), expected, "{items:?}");
        };
        let month = |amount| Some((PeriodUnit::Month, 1, amount));
        check(&[], None);
        check(&[line(1, once())], None);
        check(&[line(2, monthly(json!({})))], month(Some(1000)));
        check(
            &[line(1, monthly(json!({}))), line(1, once()), line(3, monthly(json!({})))],
            month(Some(2000)),
        );
        // Tax on top, tiers and parts of a cent: the amount is not known.
        check(&[line(1, monthly(json!({ "tax_behavior": "exclusive" })))], month(None));
        check(&[line(1, monthly(json!({ "unit_amount": null }))), line(1, monthly(json!({})))], month(None));
        let every = |unit: &str, count: u32| json!({ "unit_amount": 1, "recurring": { "interval": unit, "interval_count": count } });
        check(&[line(1, every("year", 2))], Some((PeriodUnit::Year, 2, Some(1))));
        check(&[line(1, every("fortnight", 1))], None);
        check(&[line(1, every("week", 1)), line(1, every("month", 1))], None);
    }
}
