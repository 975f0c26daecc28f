//! Writes: products, prices, Payment Links and files, by the rules Stripe gives for them.

use serde_json::{Map, Value, json};

use crate::account::{Account, Refusal, invalid};
use crate::query::Query;
use crate::shapes;

/// What may be said of each kind, with `[]` for any index and `[*]` for any key.
const PRODUCT: &[&str] = &["name", "description", "active", "images[]", "metadata[*]", "default_price"];
const PRICE: &[&str] = &["lookup_key", "transfer_lookup_key", "metadata[*]", "nickname"];
const NEW_PRICE: &[&str] = &["product", "currency", "unit_amount"];
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
];
const NEW_LINK: &[&str] = &["line_items[][price]", "line_items[][quantity]"];
const FILE: &[&str] = &["purpose", "file", "file_link_data[create]"];

/// How many characters a text may have, by the name of its parameter without indices.
/// <https://docs.stripe.com/api/metadata>, <https://docs.stripe.com/api/payment-link/create>
const LONGEST: [(&str, usize); 7] = [
    ("metadata[*]", 500),
    ("lookup_key", 200),
    ("name", 250),
    ("custom_fields[][key]", 200),
    ("custom_fields[][label][custom]", 100),
    ("custom_fields[][dropdown][options][][label]", 100),
    ("custom_fields[][dropdown][options][][value]", 100),
];

/// <https://docs.stripe.com/api/metadata>
const METADATA_KEYS: usize = 50;

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
            ("payment_links", id) => self.changed("/v1/payment_links", id, form, &[LINK, &["active"]])?,
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
        let amount = form.number("unit_amount").filter(|amount| *amount >= 0);
        let amount = amount.ok_or_else(|| Refusal::about("parameter_invalid_integer", "unit_amount"))?;
        let currency = required(form, "currency")?;
        if currency.len() != 3 || currency != currency.to_lowercase() {
            return Err(Refusal::about("parameter_invalid", "currency"));
        }
        if amount > LARGEST_AMOUNT && !["idr", "cop", "huf", "jpy", "inr", "lbp", "twd"].contains(&&*currency)
        {
            return Err(Refusal::about("amount_too_large", "unit_amount"));
        }
        let mut object = shapes::price(&self.new_id("price"), &product, &currency, amount, now);
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
        change(&mut object, form)?;
        let product = price["product"].as_str().and_then(|id| self.find("/v1/products", id));
        let description = product.map(|product| product["name"].clone()).unwrap_or_default();
        let item = shapes::line_item(&self.new_id("li"), &price, &description, quantity);
        self.line_items.insert(id, vec![item]);
        self.put(object.clone());
        Ok(object)
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

/// Every name must be one of what may be said, and no value longer than Stripe takes.
fn known(form: &Query, may: &[&[&str]]) -> Result<(), Refusal> {
    for (name, value) in form.pairs() {
        let pattern = without_indices(name);
        if !may.iter().any(|names| names.contains(&pattern.as_str())) {
            return Err(Refusal { param: Some(name.to_owned()), ..invalid_as("parameter_unknown", name) });
        }
        let longest =
            LONGEST.iter().find(|(known, _)| *known == pattern).map_or(usize::MAX, |(_, most)| *most);
        if value.chars().count() > longest {
            return Err(Refusal::about("parameter_invalid", name));
        }
    }
    Ok(())
}

/// `custom_fields[0][key]` as `custom_fields[][key]`, `metadata[campaign]` as `metadata[*]`.
fn without_indices(name: &str) -> String {
    let metadata = name.starts_with("metadata[");
    let parts = name.split('[').enumerate().map(|(i, part)| match part.strip_suffix(']') {
        Some(index) if i > 0 && index.bytes().all(|byte| byte.is_ascii_digit()) => "[]".to_owned(),
        Some(_) if metadata => "[*]".to_owned(),
        Some(key) => format!("[{key}]"),
        None => part.to_owned(),
    });
    parts.collect()
}

/// Sets what a form says. Metadata is merged, and an empty value takes a key away; lists are set as a whole.
fn change(object: &mut Value, form: &Query) -> Result<(), Refusal> {
    if form.names().any(|name| name.starts_with("custom_fields[")) {
        object["custom_fields"] = json!([]);
    }
    if form.names().any(|name| name.starts_with("images[")) {
        object["images"] = json!([]);
    }
    for (name, value) in form.pairs() {
        if ["id", "product", "transfer_lookup_key"].contains(&name) || name.starts_with("line_items[") {
            continue;
        }
        if let Some(key) = name.strip_prefix("metadata[").and_then(|key| key.strip_suffix(']')) {
            let metadata = object["metadata"].as_object_mut().unwrap();
            match value {
                "" => metadata.remove(key),
                _ => metadata.insert(key.to_owned(), value.into()),
            };
            if key.chars().count() > 40 || metadata.len() > METADATA_KEYS {
                return Err(Refusal::about("parameter_invalid", name));
            }
            continue;
        }
        *place(object, name) = match value {
            "true" => true.into(),
            "false" => false.into(),
            "" => Value::Null,
            _ if name == "unit_amount" => value.parse::<i64>().unwrap().into(),
            _ => value.into(),
        };
    }
    shapes::complete(object);
    Ok(())
}

/// Where `a[b][0][c]` is, made if it is not there.
fn place<'a>(object: &'a mut Value, name: &str) -> &'a mut Value {
    let mut at = object;
    for part in name.split('[').map(|part| part.trim_end_matches(']')) {
        at = match part.parse::<usize>() {
            Ok(index) => {
                if !at.is_array() {
                    *at = json!([]);
                }
                let list = at.as_array_mut().unwrap();
                list.resize(list.len().max(index + 1), Value::Null);
                &mut list[index]
            }
            Err(_) => {
                if !at.is_object() {
                    *at = Value::Object(Map::new());
                }
                &mut at[part]
            }
        };
    }
    at
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

fn invalid_as(code: &'static str, name: &str) -> Refusal {
    Refusal { code, ..invalid(format!("Received unknown parameter: {name}")) }
}
