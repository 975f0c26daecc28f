//! Our Payment Links as a table, to load beside the analysts' events: they have a link's id, and not its name.

use anyhow::{Context as _, Result};
use clap::Args;
use fulfilment::{Attribution, Currency, FulfilmentKind, LinkContract, Money};
use serde::Serialize;
use stripe_client::{LinkPrice, PaymentLink, Request};

use crate::deployment::Deployment;
use crate::page::{BAD, Cell, DIM, Page, Report, Verdict, count};
use crate::stripe;

const BUDGET: u32 = 500;

/// Lists our Payment Links: what each sells, for how much, and for which campaign.
///
/// With --json it is a table for a warehouse: `id` is the events' `payment_link_id`.
#[derive(Debug, Args)]
#[command(after_help = "Example: afterlink --stage live links --json | jq -c '.links[]' > links.ndjson")]
pub(crate) struct Arguments {}

#[derive(Debug, Serialize)]
pub(crate) struct Links {
    links: Vec<Link>,
}

/// A Payment Link with our marker.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Link {
    id: String,
    url: Option<String>,
    active: bool,
    kind: Option<FulfilmentKind>,
    item: Option<String>,
    shown_as: Option<String>,
    campaign_codes: Vec<String>,
    source: Option<String>,
    prices: Vec<Price>,
    /// Why its payments cannot be acted on.
    problem: Option<String>,
}

/// What a link costs.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Price {
    price_id: String,
    /// Minor units of `currency`; none where the customer chooses, or it is graduated.
    amount: Option<i64>,
    /// The same as a decimal number.
    amount_decimal: Option<String>,
    currency: String,
    quantity: Option<i64>,
    /// `month`, or `3 months`; none for a price that is paid once.
    recurring: Option<String>,
}

pub(crate) async fn find_out(deployment: &Deployment) -> Result<Links> {
    let stripe = stripe::client(deployment, BUDGET).await?;
    let links = stripe.all(Request::payment_links().expand("data.line_items")).await;
    let links = links.context("the Payment Links cannot be listed")?;
    let links = links.iter().map(|link| link.read::<PaymentLink>()).collect::<Result<Vec<_>, _>>()?;
    Ok(Links { links: links.into_iter().filter_map(Link::of).collect() })
}

impl Link {
    /// `None` for another business's.
    fn of(link: PaymentLink) -> Option<Self> {
        let contract = LinkContract::from_metadata(&link.metadata).transpose()?;
        let (contract, problem) = match contract {
            Ok(contract) => (Some(contract), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let attribution = Attribution::read(&link.metadata, None);
        let items = link.line_items.map(|items| items.data).unwrap_or_default();
        let kind = contract.as_ref().map(|contract| contract.kind);
        let (item, shown_as) = contract.map_or((None, None), |contract| (contract.item, contract.shown_as));
        Some(Self {
            id: link.id,
            url: link.url,
            active: link.active,
            kind,
            item,
            shown_as,
            campaign_codes: attribution.campaign_codes,
            source: attribution.source,
            prices: items
                .into_iter()
                .filter_map(|item| Some(Price::of(item.price?, item.quantity)))
                .collect(),
            problem,
        })
    }

    fn row(&self) -> Vec<Cell> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let prices: Vec<_> = self.prices.iter().map(Price::shown).collect();
        let state = match (&self.problem, self.active) {
            (Some(_), _) => Cell::styled(BAD, "broken"),
            (None, true) => Cell::new("active"),
            (None, false) => Cell::styled(DIM, "inactive"),
        };
        vec![
            Cell::new(&self.id),
            Cell::new(self.kind.map_or("", FulfilmentKind::as_str)),
            state,
            Cell::new(text(&self.item)),
            Cell::new(text(&self.shown_as)),
            Cell::new(self.campaign_codes.join(", ")),
            Cell::new(text(&self.source)),
            Cell::new(prices.join(", ")),
            Cell::new(text(&self.url)),
        ]
    }
}

impl Price {
    fn of(price: LinkPrice, quantity: Option<i64>) -> Self {
        let currency = Currency::try_from(price.currency.as_str()).ok();
        let money = price.unit_amount.zip(currency).map(|(minor, currency)| Money::new(minor, currency));
        let recurring = price.recurring.and_then(|recurring| {
            let unit = recurring.interval?;
            Some(match recurring.interval_count {
                None | Some(1) => unit.as_str().to_owned(),
                Some(times) => format!("{times} {unit}s"),
            })
        });
        Self {
            price_id: price.id,
            amount: price.unit_amount,
            amount_decimal: money.map(|money| money.decimal_text()),
            currency: price.currency.to_uppercase(),
            quantity,
            recurring,
        }
    }

    fn shown(&self) -> String {
        let amount = self.amount_decimal.as_deref().unwrap_or("any amount");
        let times = self.quantity.filter(|quantity| *quantity != 1);
        let times = times.map_or_else(String::new, |quantity| format!("{quantity} × "));
        let every = self.recurring.as_ref().map_or_else(String::new, |every| format!(" every {every}"));
        format!("{times}{amount} {}{every}", self.currency)
    }
}

impl Report for Links {
    fn print(&self, page: &mut Page) {
        if self.links.is_empty() {
            return page.line(
                "No Payment Link has the metadata key `fulfilment`, which makes it ours: docs/PAYMENT-LINKS.md.",
            );
        }
        page.line(count(self.links.len(), "Payment Link"));
        page.line("");
        let rows: Vec<_> = self.links.iter().map(Link::row).collect();
        page.table(
            &["link", "kind", "state", "item", "shown as", "campaign", "source", "price", "url"],
            &rows,
        );
        for link in &self.links {
            if let Some(problem) = &link.problem {
                page.line(format_args!("\n{}: {problem}. `afterlink doctor` says how to fix it.", link.id));
            }
        }
    }

    fn verdict(&self) -> Verdict {
        Verdict::needs_you_if(self.links.iter().any(|link| link.active && link.problem.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::page::plain;
    use crate::test_stage::{NOW, Stage};

    fn link(id: &str, settings: &Value) -> Value {
        let mut link = json!({ "id": id, "object": "payment_link", "active": true,
            "url": format!("https://buy.stripe.com/{id}"), "livemode": false });
        link.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        json!({ "id": format!("evt_{id}"), "object": "event", "type": "payment_link.created", "created": 1,
            "livemode": false, "data": { "object": link } })
    }

    fn price(settings: &Value) -> Value {
        let mut price = json!({ "id": "price_1", "object": "price", "currency": "gbp", "type": "one_time" });
        price.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        json!({ "id": "li_1", "object": "item", "quantity": 1, "price": price })
    }

    fn links(events: &[Value]) -> Stage {
        let stage = Stage::with_stripe();
        events.iter().for_each(|event| stage.cloud.record_at_stripe(event));
        stage
    }

    #[tokio::test]
    async fn lists_what_each_link_sells() {
        let stage = links(&[
            link(
                "plink_1",
                &json!({
                    "metadata": { "fulfilment": "download", "published_as": "guide", "shown_as": "The Guide",
                        "campaign": "autumn, poster", "source": "newsletter" }
                }),
            ),
            link(
                "plink_2",
                &json!({
                    "active": false,
                    "metadata": { "fulfilment": "membership" }
                }),
            ),
            link(
                "plink_3",
                &json!({
                    "metadata": { "fulfilment": "contribution" }
                }),
            ),
            link("plink_theirs", &json!({ "metadata": { "order": "42" } })),
        ]);
        let quarterly = json!({ "unit_amount": 1500, "currency": "kwd", "type": "recurring",
            "recurring": { "interval": "month", "interval_count": 3 } });
        let chosen = json!({ "unit_amount": null, "custom_unit_amount": { "preset": 500 } });
        for (id, settings) in
            [("plink_1", json!({ "unit_amount": 1250 })), ("plink_2", quarterly), ("plink_3", chosen)]
        {
            stage.cloud.put_line_items_at_stripe(id, &[price(&settings)]);
        }
        let found = find_out(&stage.here).await.unwrap();
        assert_eq!(found.verdict(), Verdict::Fine);
        insta::assert_snapshot!(plain(&found, NOW), @"
        3 Payment Links

          link     kind          state     item   shown as   campaign        source      price                     url
          plink_3  contribution  active                                                  any amount GBP            https://buy.stripe.com/plink_3
          plink_2  membership    inactive                                                1.500 KWD every 3 months  https://buy.stripe.com/plink_2
          plink_1  download      active    guide  The Guide  autumn, poster  newsletter  12.50 GBP                 https://buy.stripe.com/plink_1
        ");
        let json = serde_json::to_value(&found).unwrap();
        let guide = json["links"].as_array().unwrap().iter().find(|link| link["id"] == "plink_1").unwrap();
        assert_eq!(guide["campaign_codes"], json!(["autumn", "poster"]));
        assert_eq!(guide["prices"][0]["amount_decimal"], "12.50");
    }

    #[tokio::test]
    async fn a_link_whose_payments_cannot_be_acted_on_needs_the_operator() {
        let broken = json!({ "metadata": { "fulfilment": "donation" } });
        let found = find_out(&links(&[link("plink_1", &broken)]).here).await.unwrap();
        assert_eq!(found.verdict(), Verdict::NeedsYou);
        assert!(plain(&found, NOW).contains("broken"), "{}", plain(&found, NOW));
    }
}
