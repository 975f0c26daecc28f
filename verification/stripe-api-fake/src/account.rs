//! The objects of a Stripe account, as its API shows them.
//!
//! Long because it answers every path that is read, in one place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::query::Query;

/// What Stripe knows of one account.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Events of which a delivery to a webhook endpoint is pending or has failed.
    pub(crate) undelivered: BTreeSet<String>,
    /// Whether Stripe Tax knows where the business is.
    pub(crate) has_no_tax_address: bool,
    lists: BTreeMap<&'static str, Vec<Entry>>,
    known: BTreeSet<String>,
    pub(crate) line_items: BTreeMap<String, Vec<Value>>,
    recorded: u64,
}

/// An object, with its text as it was put.
#[derive(Debug)]
struct Entry {
    id: String,
    created: i64,
    /// Its number among the objects that were put.
    number: u64,
    /// Not listed before so many requests, nor before this time.
    visible_from: (usize, i64),
    json: Value,
    text: String,
}

/// A refusal, as Stripe words it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// What it is about.
    pub(crate) param: Option<String>,
}

impl Refusal {
    pub(crate) const fn of(status: u16, code: &'static str, message: String) -> Self {
        Self { status, code, message, param: None }
    }

    /// Whether Stripe keeps it with the idempotency key: it keeps every reply of an endpoint that began, and none to
    /// parameters that it refused before. <https://docs.stripe.com/api/idempotent_requests>
    pub(crate) fn is_kept(&self) -> bool {
        !self.code.starts_with("parameter_") && self.status != 401 && self.status != 403
    }

    /// A parameter is wrong.
    pub(crate) fn about(code: &'static str, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..Self::of(400, code, format!("Invalid {param}")) }
    }
}

/// Stripe keeps events for 30 days. <https://docs.stripe.com/api/events>
const EVENTS_KEPT_SECONDS: i64 = 30 * 86_400;

/// Where each kind of object is.
const LISTS: [(&str, &str); 14] = [
    ("charge", "/v1/charges"),
    ("invoice", "/v1/invoices"),
    ("invoice_payment", "/v1/invoice_payments"),
    ("payment_intent", "/v1/payment_intents"),
    ("radar.early_fraud_warning", "/v1/radar/early_fraud_warnings"),
    ("subscription", "/v1/subscriptions"),
    ("event", "/v1/events"),
    ("checkout.session", "/v1/checkout/sessions"),
    ("refund", "/v1/refunds"),
    ("dispute", "/v1/disputes"),
    ("payment_link", "/v1/payment_links"),
    ("product", "/v1/products"),
    ("price", "/v1/prices"),
    ("v2.core.event_destination", "/v2/core/event_destinations"),
];

/// Filters that compare with a field of the same name.
const FIELDS: [&str; 8] =
    ["status", "payment_intent", "payment_link", "product", "active", "subscription", "invoice", "customer"];

/// Filters that compare with a field of `payment`: <https://docs.stripe.com/api/invoice-payment/list>
const PAYMENT_FIELDS: [(&str, &str); 2] =
    [("payment[type]", "type"), ("payment[payment_intent]", "payment_intent")];

/// Filters of any list.
const FILTERS: [&str; 13] = [
    "limit",
    "starting_after",
    "ending_before",
    "created[gte]",
    "created[gt]",
    "created[lte]",
    "created[lt]",
    "type",
    "types[]",
    "expand[]",
    "include[0]",
    "delivery_success",
    "page",
];

impl Account {
    pub(crate) fn record(&mut self, text: &str, visible_after: usize, visible_at: i64) {
        let event: Value = serde_json::from_str(text).unwrap();
        let mut object = event["data"]["object"].clone();
        let happened = event["created"].as_i64().unwrap_or_default();
        // An object without a time of its own is as old as its event.
        if object["created"].is_null() {
            object["created"] = happened.into();
        }
        self.insert("/v1/events", event, text.to_owned(), (visible_after, visible_at));
        if !object["object"].is_null() {
            self.put(object);
        }
    }

    pub(crate) fn put(&mut self, object: Value) {
        let kind = object["object"].as_str().unwrap();
        if let Some((_, path)) = LISTS.iter().find(|(known, _)| *known == kind) {
            let text = object.to_string();
            self.insert(path, object, text, (0, i64::MIN));
        }
    }

    fn insert(&mut self, path: &'static str, json: Value, text: String, visible_from: (usize, i64)) {
        self.recorded += 1;
        let id = json["id"].as_str().unwrap_or_default().to_owned();
        let created = json["created"].as_i64().unwrap_or_default();
        let entry = Entry { id, created, number: self.recorded, visible_from, json, text };
        let list = self.lists.entry(path).or_default();
        if !self.known.insert(entry.id.clone()) {
            list.retain(|known| known.id != entry.id);
        }
        let place =
            list.partition_point(|known| (known.created, known.number) > (entry.created, entry.number));
        list.insert(place, entry);
    }

    /// An object that is there.
    pub(crate) fn find(&self, list: &str, id: &str) -> Option<&Value> {
        self.lists.get(list)?.iter().find(|entry| entry.id == id).map(|entry| &entry.json)
    }

    /// Every object of a list, newest first.
    pub(crate) fn all(&self, list: &str) -> Vec<Value> {
        let entries = self.lists.get(list).map(Vec::as_slice).unwrap_or_default();
        entries.iter().map(|entry| entry.json.clone()).collect()
    }

    /// Changes an object, which keeps its place in the list.
    pub(crate) fn replace(&mut self, list: &'static str, json: Value) {
        let entries = self.lists.entry(list).or_default();
        if let Some(entry) = entries.iter_mut().find(|entry| json["id"] == entry.id) {
            entry.text = json.to_string();
            entry.json = json;
        }
    }

    /// Takes an object out of lists, until it is put again.
    pub(crate) fn hide(&mut self, id: &str) {
        let entries = self.lists.values_mut().flatten();
        entries.filter(|entry| entry.id == id).for_each(|entry| entry.visible_from.1 = i64::MAX);
    }

    pub(crate) fn new_id(&mut self, kind: &str) -> String {
        self.recorded += 1;
        format!("{kind}_fake{}", self.recorded)
    }

    /// The answer to a GET: JSON, or a refusal.
    pub(crate) fn get(
        &self,
        path: &str,
        query: &Query,
        requests: usize,
        now: i64,
    ) -> Result<String, Refusal> {
        if let Some((_, path)) = LISTS.iter().find(|(_, known)| *known == path) {
            return self.list(path, query, requests, now);
        }
        let (list, id) = path.rsplit_once('/').unwrap_or_default();
        if id == "line_items" {
            let session = list.rsplit('/').next().unwrap_or_default();
            return Ok(page_of(path, &self.line_items_of(session), query)?.to_string());
        }
        let found = LISTS
            .iter()
            .find(|(_, known)| *known == list)
            .and_then(|(_, path)| self.lists.get(path)?.iter().find(|entry| entry.id == id))
            .filter(|entry| list != "/v1/events" || now - entry.created <= EVENTS_KEPT_SECONDS);
        let Some(entry) = found else {
            let implied = self.implied(list, id).map(|object| object.to_string());
            return implied
                .ok_or_else(|| Refusal::of(404, "resource_missing", format!("No such object: '{id}'")));
        };
        let expanded: Vec<_> = query.all("expand[]").collect();
        Ok(self.text_of(entry, &expanded))
    }

    fn list(&self, path: &str, query: &Query, requests: usize, now: i64) -> Result<String, Refusal> {
        let known = |name: &&str| {
            let of_payment =
                path == "/v1/invoice_payments" && PAYMENT_FIELDS.iter().any(|(filter, _)| filter == name);
            FILTERS.contains(name) || FIELDS.contains(name) || of_payment
        };
        if let Some(unknown) = query.names().find(|name| !known(name)) {
            return Err(invalid(format!("Received unknown parameter: {unknown}")));
        }
        let limit = query.number("limit").unwrap_or(10);
        if !(1..=100).contains(&limit) || query.all("types[]").count() > 20 {
            return Err(invalid("Invalid integer or too many types".to_owned()));
        }
        let entries = self.lists.get(path).map(Vec::as_slice).unwrap_or_default();
        let matching: Vec<_> = entries
            .iter()
            .filter(|entry| entry.visible_from.0 <= requests && entry.visible_from.1 <= now)
            .filter(|entry| path != "/v1/events" || now - entry.created <= EVENTS_KEPT_SECONDS)
            .filter(|entry| entry.passes(query))
            .filter(|entry| query.one("delivery_success") != Some("false") || self.undelivered.contains(&entry.id))
            // "Returns a list of your active prices": https://docs.stripe.com/api/prices/list
            .filter(|entry| path != "/v1/prices" || query.one("active").is_some() || entry.json["active"] == true)
            .collect();
        let place = |id: &str| {
            let place = entries.iter().find(|entry| entry.id == id);
            place
                .map(|entry| (entry.created, entry.number))
                .ok_or_else(|| invalid(format!("No such: '{id}'")))
        };
        let limit = usize::try_from(limit).unwrap();
        let (page, has_more): (Vec<_>, bool) = if let Some(id) = query.one("ending_before") {
            let place = place(id)?;
            let newer: Vec<_> =
                matching.into_iter().filter(|entry| (entry.created, entry.number) > place).collect();
            let skipped = newer.len().saturating_sub(limit);
            (newer.into_iter().skip(skipped).collect(), skipped > 0)
        } else {
            let place = query.one("starting_after").map(place).transpose()?;
            let older = matching
                .into_iter()
                .filter(|entry| place.is_none_or(|place| (entry.created, entry.number) < place));
            let mut page: Vec<_> = older.take(limit + 1).collect();
            let has_more = page.len() > limit;
            page.truncate(limit);
            (page, has_more)
        };
        let expanded: Vec<_> =
            query.all("expand[]").filter_map(|field| field.strip_prefix("data.")).collect();
        let texts: Vec<_> = page
            .into_iter()
            .map(|entry| self.with_object(entry, query).unwrap_or_else(|| self.text_of(entry, &expanded)))
            .collect();
        let data = texts.join(",");
        if path.starts_with("/v2/") {
            return Ok(format!(r#"{{"data":[{data}],"next_page_url":null,"previous_page_url":null}}"#));
        }
        Ok(format!(r#"{{"object":"list","url":"{path}","has_more":{has_more},"data":[{data}]}}"#))
    }

    /// An object with another in place of its id, where that is asked for and there.
    fn with_object(&self, entry: &Entry, query: &Query) -> Option<String> {
        let (field, list) = [("invoice", "/v1/invoices"), ("subscription", "/v1/subscriptions")]
            .into_iter()
            .find(|(field, _)| query.all("expand[]").any(|asked| asked == format!("data.{field}")))?;
        let mut json = entry.json.clone();
        let id = entry.json[field].as_str()?;
        json[field] = self.find(list, id).cloned().or_else(|| self.implied(list, id))?;
        Some(json.to_string())
    }

    /// The subscription that a session began, or its first invoice, where the test has not put it: Stripe has both.
    ///
    /// <https://docs.stripe.com/payments/checkout/how-checkout-works#subscription>
    fn implied(&self, list: &str, id: &str) -> Option<Value> {
        let field = match list {
            "/v1/invoices" => "invoice",
            "/v1/subscriptions" => "subscription",
            _ => return None,
        };
        let sessions = self.lists.get("/v1/checkout/sessions")?;
        let session = &sessions.iter().find(|entry| entry.json[field] == id)?.json;
        let subscription = session["subscription"].as_str()?;
        if field == "invoice" {
            let amount = &session["amount_total"];
            return Some(json!({
                "id": id, "object": "invoice", "status": "paid", "billing_reason": "subscription_create",
                "amount_due": amount, "amount_paid": amount, "total": amount, "amount_remaining": 0,
                "currency": session["currency"], "customer": session["customer"], "created": session["created"],
                "customer_email": session["customer_details"]["email"], "livemode": session["livemode"],
                "parent": {
                    "type": "subscription_details", "quote_details": null,
                    "subscription_details": { "subscription": subscription, "metadata": {} }
                },
            }));
        }
        let price = json!({
            "id": format!("price_of_{id}"), "object": "price", "type": "recurring",
            "recurring": { "interval": "month", "interval_count": 1 }
        });
        let item = json!({ "id": format!("si_of_{id}"), "object": "subscription_item", "price": price });
        Some(json!({
            "id": id, "object": "subscription", "status": "active", "metadata": {}, "customer": session["customer"],
            "created": session["created"], "livemode": session["livemode"],
            "items": list_of("/v1/subscription_items", &[item], false),
        }))
    }

    /// An object with what was asked to be written out in it. <https://docs.stripe.com/expand>
    fn text_of(&self, entry: &Entry, expanded: &[&str]) -> String {
        let intent = expanded.iter().find(|field| field.starts_with("payment_intent"));
        let intent = intent.filter(|_| entry.json["payment_intent"].is_string());
        let with_line_items = expanded.contains(&"line_items");
        if !with_line_items && intent.is_none() {
            return entry.text.clone();
        }
        let mut json = entry.json.clone();
        if let Some(field) = intent {
            let mut intent = self.payment_intent_of(&entry.json);
            if !field.contains("latest_charge") && intent["latest_charge"].is_object() {
                intent["latest_charge"] = intent["latest_charge"]["id"].clone();
            }
            json["payment_intent"] = intent;
        }
        if !with_line_items {
            return json.to_string();
        }
        let kind = entry.json["object"].as_str().unwrap_or_default();
        let list = LISTS.iter().find(|(known, _)| *known == kind).map_or("", |(_, list)| list);
        let path = format!("{list}/{}/line_items", entry.id);
        json["line_items"] = list_of(&path, &self.line_items_of(&entry.id), false);
        json.to_string()
    }

    /// The payment intent of a session: as it was put, or as the session, the refunds and the disputes imply.
    ///
    /// <https://docs.stripe.com/api/payment_intents/object>
    fn payment_intent_of(&self, session: &Value) -> Value {
        let id = &session["payment_intent"];
        if let Some(known) = id.as_str().and_then(|id| self.find("/v1/payment_intents", id)) {
            return known.clone();
        }
        let of_it = |list: &str| self.all(list).into_iter().filter(|object| object["payment_intent"] == *id);
        let returned = |refund: &Value| refund["status"] != "failed" && refund["status"] != "canceled";
        let refunds = of_it("/v1/refunds").filter(returned);
        let refunded: i64 = refunds.filter_map(|refund| refund["amount"].as_i64()).sum();
        let amount = session["amount_total"].as_i64().unwrap_or_default();
        let paid = session["payment_status"] == "paid";
        let charge = json!({
            "id": format!("ch_of_{}", id.as_str().unwrap_or_default()), "object": "charge", "amount": amount,
            "captured": paid, "paid": paid, "amount_refunded": refunded, "refunded": paid && refunded >= amount,
            "disputed": of_it("/v1/disputes").next().is_some(),
        });
        json!({
            "id": id, "object": "payment_intent", "amount": amount, "currency": session["currency"],
            "capture_method": "automatic", "status": if paid { "succeeded" } else { "processing" },
            "amount_received": if paid { amount } else { 0 }, "latest_charge": charge,
        })
    }

    fn line_items_of(&self, session_id: &str) -> Vec<Value> {
        self.line_items.get(session_id).cloned().unwrap_or_default()
    }
}

impl Entry {
    fn passes(&self, query: &Query) -> bool {
        let created = |name: &str| query.number(&format!("created[{name}]"));
        let mut types = query.all("types[]").chain(query.one("type")).peekable();
        created("gte").is_none_or(|time| self.created >= time)
            && created("gt").is_none_or(|time| self.created > time)
            && created("lte").is_none_or(|time| self.created <= time)
            && created("lt").is_none_or(|time| self.created < time)
            && (types.peek().is_none() || types.any(|name| self.json["type"] == name))
            && FIELDS.iter().all(|field| {
                let known = &self.json[*field];
                query.one(field).is_none_or(|value| {
                    known == value || known.as_bool().is_some_and(|set| set.to_string() == value)
                })
            })
            && PAYMENT_FIELDS.iter().all(|(filter, field)| {
                query.one(filter).is_none_or(|value| self.json["payment"][*field] == value)
            })
    }
}

/// A page of a short list in its own order. <https://docs.stripe.com/api/pagination>
fn page_of(path: &str, items: &[Value], query: &Query) -> Result<Value, Refusal> {
    let limit = usize::try_from(query.number("limit").unwrap_or(10)).unwrap_or_default();
    let after = match query.one("starting_after") {
        Some(id) => {
            let place = items.iter().position(|item| item["id"] == id);
            place.ok_or_else(|| invalid(format!("No such: '{id}'")))? + 1
        }
        None => 0,
    };
    let page: Vec<Value> = items[after..].iter().take(limit).cloned().collect();
    let has_more = items.len() > after + page.len();
    Ok(list_of(path, &page, has_more))
}

fn list_of(path: &str, data: &[Value], has_more: bool) -> Value {
    json!({ "object": "list", "url": path, "has_more": has_more, "data": data })
}

pub(crate) const fn invalid(message: String) -> Refusal {
    Refusal::of(400, "parameter_invalid", message)
}
