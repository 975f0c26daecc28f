//! What the fake makes, in the whole shape of Stripe's: with every field that Stripe always sends.

use serde_json::{Value, json};

/// <https://docs.stripe.com/api/products/object>
pub(crate) fn product(id: &str, name: &str, now: i64) -> Value {
    json!({
        "id": id, "object": "product", "active": true, "created": now, "default_price": null, "description": null,
        "images": [], "livemode": false, "marketing_features": [], "metadata": {}, "name": name,
        "package_dimensions": null, "shippable": null, "tax_details": null, "type": "service", "updated": now,
        "url": null,
    })
}

/// <https://docs.stripe.com/api/prices/object>
pub(crate) fn price(id: &str, product: &str, currency: &str, amount: Option<i64>, now: i64) -> Value {
    json!({
        "id": id, "object": "price", "active": true, "billing_scheme": "per_unit", "created": now,
        "currency": currency, "custom_unit_amount": null, "livemode": false, "lookup_key": null, "metadata": {},
        "nickname": null, "product": product, "recurring": null, "tax_behavior": "unspecified", "tiers_mode": null,
        "transform_quantity": null, "type": "one_time", "unit_amount": amount,
        "unit_amount_decimal": amount.map(|amount| amount.to_string()),
    })
}

/// What a link says of the subscriptions it makes, before anything was said.
pub(crate) fn subscription_data() -> Value {
    json!({
        "description": null, "metadata": {}, "trial_period_days": null, "trial_settings": null,
        "invoice_settings": {
            "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null,
            "issuer": { "type": "self" },
        },
    })
}

/// <https://docs.stripe.com/api/payment-link/object>
pub(crate) fn payment_link(id: &str, currency: &Value) -> Value {
    json!({
        "id": id, "object": "payment_link", "active": true, "after_completion": { "type": "hosted_confirmation" },
        "allow_promotion_codes": false, "application": null, "application_fee_amount": null,
        "application_fee_percent": null, "automatic_tax": { "enabled": false, "liability": null },
        "billing_address_collection": "auto", "consent_collection": null, "currency": currency, "custom_fields": [],
        "custom_text": {
            "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null,
        },
        "customer_creation": "if_required", "inactive_message": null, "invoice_creation": null, "livemode": false,
        "managed_payments": null, "metadata": {}, "on_behalf_of": null, "payment_intent_data": null,
        "payment_method_collection": "always", "payment_method_options": null, "payment_method_types": null,
        "phone_number_collection": { "enabled": false }, "restrictions": null, "shipping_address_collection": null,
        "shipping_options": [], "submit_type": "auto", "subscription_data": null,
        "tax_id_collection": { "enabled": false, "required": "never" }, "transfer_data": null,
        "url": format!("https://buy.stripe.com/{id}"),
    })
}

/// <https://docs.stripe.com/api/checkout/sessions/line_items>
pub(crate) fn line_item(id: &str, price: &Value, description: &Value, quantity: i64) -> Value {
    let amount = price["unit_amount"].as_i64().unwrap_or_default() * quantity;
    json!({
        "id": id, "object": "item", "adjustable_quantity": null, "amount_discount": 0, "amount_subtotal": amount,
        "amount_tax": 0, "amount_total": amount, "currency": price["currency"], "description": description,
        "metadata": {}, "price": price, "quantity": quantity,
    })
}

/// <https://docs.stripe.com/api/files/object>
pub(crate) fn file(id: &str, purpose: &str, size: usize, links: &[Value], now: i64) -> Value {
    json!({
        "id": id, "object": "file", "created": now, "expires_at": null, "filename": "image", "purpose": purpose,
        "size": size, "title": null, "type": "png", "url": null,
        "links": {
            "object": "list", "data": links, "has_more": false, "url": format!("/v1/file_links?file={id}"),
        },
    })
}

/// <https://docs.stripe.com/api/file_links/object>
pub(crate) fn file_link(id: &str, file: &str, now: i64) -> Value {
    json!({
        "id": id, "object": "file_link", "created": now, "expired": false, "expires_at": null, "file": file,
        "livemode": false, "metadata": {}, "url": format!("https://files.stripe.com/links/{file}"),
    })
}

/// What a form has said of a part of an object, completed to what Stripe answers.
pub(crate) fn complete(object: &mut Value) {
    let defaults = |part: &mut Value, defaults: Value| {
        if let (Some(part), Value::Object(defaults)) = (part.as_object_mut(), defaults) {
            defaults.into_iter().for_each(|(key, value)| _ = part.entry(key).or_insert(value));
        }
    };
    let consent =
        json!({ "payment_method_reuse_agreement": null, "promotions": null, "terms_of_service": null });
    if object.get("consent_collection").is_some() {
        defaults(&mut object["consent_collection"], consent);
    }
    if let Some(chosen) = object.get_mut("custom_unit_amount").and_then(Value::as_object_mut) {
        chosen.remove("enabled");
        defaults(
            &mut object["custom_unit_amount"],
            json!({ "maximum": null, "minimum": null, "preset": null }),
        );
    }
    if object.get("recurring").is_some_and(Value::is_object) {
        let recurring = json!({ "interval_count": 1, "meter": null, "trial_period_days": null, "usage_type": "licensed" });
        defaults(&mut object["recurring"], recurring);
    }
    let fields = object.get_mut("custom_fields").and_then(Value::as_array_mut);
    for field in fields.into_iter().flatten() {
        defaults(field, json!({ "optional": false }));
        if field.get("dropdown").is_some() {
            defaults(&mut field["dropdown"], json!({ "default_value": null, "options": [] }));
        }
    }
}
