//! Writes: products, prices, Payment Links and files, by the rules Stripe gives for them.

use serde_json::Value;

use crate::account::{Account, Refusal};
use crate::form::{change, known};
use crate::query::Query;
use crate::shapes;

/// What may be said of each kind, with `[]` for any index and `[*]` for any key.
const PRODUCT: &[&str] = &["name", "description", "active", "images[]", "metadata[*]", "default_price"];
const PRICE: &[&str] = &["lookup_key", "transfer_lookup_key", "metadata[*]", "nickname"];
const NEW_PRICE: &[&str] = &[
    "product",
    "currency",
    "unit_amount",
    "custom_unit_amount[enabled]",
    "custom_unit_amount[preset]",
    "custom_unit_amount[minimum]",
    "custom_unit_amount[maximum]",
    "recurring[interval]",
    "recurring[interval_count]",
];
const LINK: &[&str] = &[
    "metadata[*]",
    "after_completion[type]",
    "after_completion[redirect][url]",
    "allow_promotion_codes",
    "automatic_tax[enabled]",
    "billing_address_collection",
    "consent_collection[promotions]",
    "custom_fields[][key]",
    "custom_fields[][type]",
    "custom_fields[][optional]",
    "custom_fields[][label][type]",
    "custom_fields[][label][custom]",
    "custom_fields[][dropdown][options][][label]",
    "custom_fields[][dropdown][options][][value]",
    "subscription_data[metadata][*]",
    "subscription_data[trial_period_days]",
];
const NEW_LINK: &[&str] = &["line_items[][price]", "line_items[][quantity]"];
const FILE: &[&str] = &["purpose", "file", "file_link_data[create]"];

/// <https://docs.stripe.com/api/prices/create>: the amount of most currencies has eight digits.
const LARGEST_AMOUNT: i64 = 99_999_999;

impl Account {
    /// The answer to a POST: JSON, or a refusal. <https://docs.stripe.com/api/products>,
    /// <https://docs.stripe.com/api/prices>, <https://docs.stripe.com/api/payment-link>
    pub(crate) fn post(&mut self, path: &str, form: &Query, now: i64) -> Result<String, Refusal> {
        let (list, id) = path.strip_prefix("/v1/").unwrap_or_default().split_once('/').unwrap_or_else(|| {
            // Without an id it is something new.
            (path.strip_prefix("/v1/").unwrap_or_default(), "")
        });
        let object = match (list, id) {
            ("products", "") => self.new_product(form, now)?,
            ("products", id) => self.changed("/v1/products", id, form, &[PRODUCT])?,
            ("prices", "") => self.new_price(form, now)?,
            ("prices", id) => self.changed_price(id, form)?,
            ("payment_links", "") => self.new_link(form)?,
            ("payment_links", id) => self.changed_link(id, form)?,
            ("files", "") => self.new_file(form, now)?,
            ("payment_intents", id) if id.ends_with("/capture") => {
                self.captured(id.trim_end_matches("/capture"), form)?
            }
            ("payment_intents", id) if id.ends_with("/cancel") => {
                self.cancelled(id.trim_end_matches("/cancel"))?
            }
            _ => {
                return Err(Refusal::of(
                    404,
                    "resource_missing",
                    format!("Unrecognized request URL: {path}"),
                ));
            }
        };
        Ok(object.to_string())
    }

    fn new_product(&mut self, form: &Query, now: i64) -> Result<Value, Refusal> {
        known(form, &[PRODUCT, &["id"]])?;
        let name = required(form, "name")?;
        let id = form.one("id").map_or_else(|| self.new_id("prod"), str::to_owned);
        if self.find("/v1/products", &id).is_some() {
            return Err(Refusal::of(400, "resource_already_exists", format!("Product already exists: {id}")));
        }
        let mut object = shapes::product(&id, &name, now);
        change(&mut object, form)?;
        self.put(object.clone());
        Ok(object)
    }

    fn new_price(&mut self, form: &Query, now: i64) -> Result<Value, Refusal> {
        known(form, &[PRICE, NEW_PRICE])?;
        let product = required(form, "product")?;
        if self.find("/v1/products", &product).is_none() {
            return Err(missing("product", &product));
        }
        let is_chosen = form.one("custom_unit_amount[enabled]") == Some("true");
        let amount = form.number("unit_amount").filter(|amount| *amount >= 0);
        let amount = match (amount, is_chosen) {
            (Some(_), true) => return Err(Refusal::about("parameter_invalid", "custom_unit_amount")),
            (None, false) => return Err(Refusal::about("parameter_invalid_integer", "unit_amount")),
            (amount, _) => amount,
        };
        let interval = form.one("recurring[interval]");
        if interval.is_some() && is_chosen {
            let message = "custom_unit_amount is not supported for recurring prices.";
            return Err(Refusal::of(400, "", message.to_owned()));
        }
        three_years_at_most(form)?;
        let currency = required(form, "currency")?;
        if currency.len() != 3 || currency != currency.to_lowercase() {
            return Err(Refusal::about("parameter_invalid", "currency"));
        }
        if amount.is_some_and(|amount| amount > LARGEST_AMOUNT)
            && !["idr", "cop", "huf", "jpy", "inr", "lbp", "twd"].contains(&&*currency)
        {
            return Err(Refusal::about("amount_too_large", "unit_amount"));
        }
        let mut object = shapes::price(&self.new_id("price"), &product, &currency, amount, now);
        object["type"] = if interval.is_some() { "recurring" } else { "one_time" }.into();
        self.take_lookup_key(form)?;
        change(&mut object, form)?;
        self.put(object.clone());
        Ok(object)
    }

    fn changed_price(&mut self, id: &str, form: &Query) -> Result<Value, Refusal> {
        known(form, &[PRICE, &["active"]])?;
        let holds = self.find("/v1/prices", id).map(|price| price["lookup_key"].clone());
        if holds.is_some_and(|key| form.one("lookup_key").is_none_or(|wanted| key != wanted)) {
            self.take_lookup_key(form)?;
        }
        let default = self.all("/v1/products").iter().any(|product| product["default_price"] == id);
        if default && form.one("active") == Some("false") {
            return Err(Refusal::about("price_is_default", "active"));
        }
        self.changed("/v1/prices", id, form, &[PRICE, &["active"]])
    }

    /// A lookup key belongs to one price; another may take it over when it says so.
    fn take_lookup_key(&mut self, form: &Query) -> Result<(), Refusal> {
        let transfer = form.one("transfer_lookup_key") == Some("true");
        let Some(key) = form.one("lookup_key") else {
            return if transfer { Err(Refusal::about("parameter_missing", "lookup_key")) } else { Ok(()) };
        };
        let holder = self.all("/v1/prices").into_iter().find(|price| price["lookup_key"] == key);
        let Some(mut holder) = holder else { return Ok(()) };
        if !transfer {
            return Err(Refusal::about("resource_already_exists", "lookup_key"));
        }
        holder["lookup_key"] = Value::Null;
        self.replace("/v1/prices", holder);
        Ok(())
    }

    fn new_link(&mut self, form: &Query) -> Result<Value, Refusal> {
        known(form, &[LINK, NEW_LINK])?;
        let price_id = required(form, "line_items[0][price]")?;
        let price = self.find("/v1/prices", &price_id).cloned();
        let price = price.ok_or_else(|| missing("price", &price_id))?;
        if price["active"] != true {
            return Err(Refusal::about("price_inactive", "line_items[0][price]"));
        }
        let quantity = form.number("line_items[0][quantity]").filter(|quantity| *quantity > 0);
        let quantity =
            quantity.ok_or_else(|| Refusal::about("parameter_missing", "line_items[0][quantity]"))?;
        if form.one("automatic_tax[enabled]") == Some("true") && self.has_no_tax_address {
            let message = "You must have a valid head office address to enable automatic tax calculation.";
            return Err(Refusal::of(400, "", message.to_owned()));
        }
        let id = self.new_id("plink");
        let mut object = shapes::payment_link(&id, &price["currency"]);
        if price["recurring"].is_object() {
            object["subscription_data"] = shapes::subscription_data();
        }
        suits(&price, form)?;
        if !price["custom_unit_amount"].is_null()
            && (quantity != 1 || form.one("line_items[1][price]").is_some())
        {
            return Err(Refusal::about("parameter_invalid", "line_items[0][quantity]"));
        }
        change(&mut object, form)?;
        let product = price["product"].as_str().and_then(|id| self.find("/v1/products", id));
        let description = product.map(|product| product["name"].clone()).unwrap_or_default();
        let item = shapes::line_item(&self.new_id("li"), &price, &description, quantity);
        self.line_items.insert(id, vec![item]);
        self.put(object.clone());
        Ok(object)
    }

    fn changed_link(&mut self, id: &str, form: &Query) -> Result<Value, Refusal> {
        let items = self.line_items.get(id).map(Vec::as_slice).unwrap_or_default();
        items.iter().try_for_each(|item| suits(&item["price"], form))?;
        self.changed("/v1/payment_links", id, form, &[LINK, &["active"]])
    }

    /// <https://docs.stripe.com/file-upload>
    fn new_file(&mut self, form: &Query, now: i64) -> Result<Value, Refusal> {
        known(form, &[FILE])?;
        let bytes = form.one("file").map(str::len).unwrap_or_default();
        let purpose = required(form, "purpose")?;
        if bytes == 0 {
            return Err(Refusal::about("parameter_missing", "file"));
        }
        if purpose != "business_logo" || bytes > 512 * 1024 {
            return Err(Refusal::about("parameter_invalid", "purpose"));
        }
        let id = self.new_id("file");
        let links = if form.one("file_link_data[create]") == Some("true") {
            vec![shapes::file_link(&self.new_id("link"), &id, now)]
        } else {
            Vec::new()
        };
        Ok(shapes::file(&id, &purpose, bytes, &links, now))
    }

    /// Captures an authorized payment, or a part of it. The session is paid then, and no event of it says so.
    ///
    /// <https://docs.stripe.com/payments/place-a-hold-on-a-payment-method>
    fn captured(&mut self, id: &str, form: &Query) -> Result<Value, Refusal> {
        let mut intent = self.uncaptured(id)?;
        let authorized =
            intent["amount_capturable"].as_i64().or(intent["amount"].as_i64()).unwrap_or_default();
        let amount = form.number("amount_to_capture").unwrap_or(authorized);
        if !(1..=authorized).contains(&amount) {
            return Err(Refusal::about("amount_too_large", "amount_to_capture"));
        }
        intent["status"] = "succeeded".into();
        intent["amount_received"] = amount.into();
        intent["amount_capturable"] = 0.into();
        self.replace("/v1/payment_intents", intent.clone());
        let session =
            self.all("/v1/checkout/sessions").into_iter().find(|session| session["payment_intent"] == id);
        if let Some(mut session) = session {
            session["payment_status"] = "paid".into();
            self.replace("/v1/checkout/sessions", session);
        }
        Ok(intent)
    }

    /// Gives up an authorized payment: the session stays unpaid.
    fn cancelled(&mut self, id: &str) -> Result<Value, Refusal> {
        let mut intent = self.uncaptured(id)?;
        intent["status"] = "canceled".into();
        intent["amount_capturable"] = 0.into();
        self.replace("/v1/payment_intents", intent.clone());
        Ok(intent)
    }

    fn uncaptured(&self, id: &str) -> Result<Value, Refusal> {
        let intent =
            self.find("/v1/payment_intents", id).cloned().ok_or_else(|| missing("payment_intent", id))?;
        if intent["status"] == "requires_capture" {
            return Ok(intent);
        }
        let message = format!("This PaymentIntent could not be captured: its status is {}", intent["status"]);
        Err(Refusal::of(400, "payment_intent_unexpected_state", message))
    }

    /// Whether a link is active, and every price that it sells.
    pub(crate) fn can_be_paid(&self, id: &str) -> bool {
        let active = |list, id: &Value| {
            id.as_str().and_then(|id| self.find(list, id)).is_some_and(|object| object["active"] == true)
        };
        let items = self.line_items.get(id).map(Vec::as_slice).unwrap_or_default();
        active("/v1/payment_links", &id.into())
            && items.iter().all(|item| active("/v1/prices", &item["price"]["id"]))
    }

    fn changed(
        &mut self,
        list: &'static str,
        id: &str,
        form: &Query,
        may: &[&[&str]],
    ) -> Result<Value, Refusal> {
        known(form, may)?;
        let object = self.find(list, id).cloned();
        let mut object =
            object.ok_or_else(|| Refusal::of(404, "resource_missing", format!("No such: '{id}'")))?;
        change(&mut object, form)?;
        self.replace(list, object.clone());
        Ok(object)
    }
}

/// Whether what is said of a link goes with its price: customers who choose what they pay type no promotion code, and only
/// subscriptions have a trial. <https://docs.stripe.com/payments/checkout/pay-what-you-want>
fn suits(price: &Value, form: &Query) -> Result<(), Refusal> {
    if !price["custom_unit_amount"].is_null() && form.one("allow_promotion_codes") == Some("true") {
        return Err(Refusal::about("parameter_invalid", "allow_promotion_codes"));
    }
    match form.names().find(|name| name.starts_with("subscription_data[")) {
        Some(name) if !price["recurring"].is_object() => Err(Refusal::about("parameter_invalid", name)),
        _ => Ok(()),
    }
}

/// <https://docs.stripe.com/api/prices/create#create_price-recurring-interval_count>
fn three_years_at_most(form: &Query) -> Result<(), Refusal> {
    let most = match form.one("recurring[interval]") {
        None => return Ok(()),
        Some("day") => 1_095,
        Some("week") => 156,
        Some("month") => 36,
        Some(_) => 3,
    };
    let count = form.number("recurring[interval_count]").unwrap_or(1);
    let refused = || Refusal::about("parameter_invalid_integer", "recurring[interval_count]");
    (1..=most).contains(&count).then_some(()).ok_or_else(refused)
}

fn required(form: &Query, name: &str) -> Result<String, Refusal> {
    let value = form.one(name).filter(|value| !value.is_empty()).map(str::to_owned);
    value.ok_or_else(|| Refusal::about("parameter_missing", name))
}

fn missing(kind: &str, id: &str) -> Refusal {
    Refusal {
        param: Some(kind.to_owned()),
        ..Refusal::of(400, "resource_missing", format!("No such {kind}: '{id}'"))
    }
}
