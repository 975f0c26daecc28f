use std::collections::BTreeMap;

use serde::Deserialize;

use crate::open_enum::open_enum;
use crate::{Personal, wire};

/// A Checkout Session, as far as Afterlink reads it.
///
/// <https://docs.stripe.com/api/checkout/sessions/object>. Line items are never in an event.
#[derive(Debug, Clone, Deserialize)]
pub struct CheckoutSession {
    /// `cs_live_…` or `cs_test_…`.
    pub id: String,
    /// What kind of purchase this is.
    #[serde(default)]
    pub mode: Option<SessionMode>,
    /// Whether the money has come; the only thing goods and thanks may depend on.
    #[serde(default)]
    pub payment_status: Option<PaymentStatus>,
    /// When the session was opened, in Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
    /// The charged amount, in minor units of `currency`.
    #[serde(default)]
    pub amount_total: Option<i64>,
    /// Before discounts, tax and shipping, in minor units of `currency`.
    #[serde(default)]
    pub amount_subtotal: Option<i64>,
    /// What lies between `amount_subtotal` and `amount_total`. Null in setup mode.
    #[serde(default)]
    pub total_details: Option<TotalDetails>,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: Option<String>,
    /// What the customer saw, when that was another currency (Adaptive Pricing).
    #[serde(default)]
    pub presentment_details: Option<PresentmentDetails>,
    /// The same before 2025-03-31, the other way round: the booked amounts are in here.
    #[serde(default)]
    pub currency_conversion: Option<CurrencyConversion>,
    /// Who paid. Null before completion.
    #[serde(default)]
    pub customer_details: Option<CustomerDetails>,
    /// What the page asked for beyond payment details. Null before completion.
    #[serde(default)]
    pub collected_information: Option<CollectedInformation>,
    /// `cus_…`; null for guests.
    #[serde(default, deserialize_with = "wire::expandable")]
    pub customer: Option<String>,
    /// `acct_…`: the customer where they are an account of Stripe's API v2, which then have no `customer`.
    #[serde(default, deserialize_with = "wire::text")]
    pub customer_account: Option<String>,
    /// `pi_…`; null for subscriptions and for sessions with nothing to pay.
    #[serde(default, deserialize_with = "wire::expandable")]
    pub payment_intent: Option<String>,
    /// `plink_…`; null when the session was not made by a Payment Link.
    #[serde(default, deserialize_with = "wire::expandable")]
    pub payment_link: Option<String>,
    /// `in_…`: the first invoice in subscription mode; in payment mode the one that `invoice_creation` makes.
    #[serde(default, deserialize_with = "wire::expandable")]
    pub invoice: Option<String>,
    /// `sub_…` in subscription mode.
    #[serde(default, deserialize_with = "wire::expandable")]
    pub subscription: Option<String>,
    /// Copied from the Payment Link.
    #[serde(default, deserialize_with = "wire::metadata")]
    pub metadata: BTreeMap<String, String>,
    /// What the site hung on the link's address for this one visit, up to 200 of `[A-Za-z0-9_-]`. Other tools put
    /// their user's name here, so it is treated as personal.
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub client_reference_id: Option<Personal<String>>,
    /// What the page asked beyond Stripe's own questions. Missing in renderings of 2022.
    #[serde(default, deserialize_with = "wire::list")]
    pub custom_fields: Vec<CustomField>,
    /// The marketer's own words on the page.
    #[serde(default)]
    pub custom_text: Option<CustomText>,
    /// Present when the page asked for a postal address, and so showed the words beside it.
    #[serde(default)]
    pub shipping_address_collection: Option<ShippingAddressCollection>,
    /// What the customer agreed to in Stripe's own boxes.
    #[serde(default)]
    pub consent: Option<Consent>,
    /// What made it cheaper. Null in setup mode.
    #[serde(default, deserialize_with = "wire::list")]
    pub discounts: Vec<Discount>,
    /// `auto`, a language tag, or null: the language of the page, not a promise about the customer.
    #[serde(default, deserialize_with = "wire::text")]
    pub locale: Option<String>,
}

/// The parts of a session's total, in minor units of its currency. Each is in the total.
///
/// <https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-total_details>
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct TotalDetails {
    /// What discounts took off.
    #[serde(default)]
    pub amount_discount: Option<i64>,
    /// Shipping.
    #[serde(default)]
    pub amount_shipping: Option<i64>,
    /// Tax, whether it was added to the prices or is in them.
    #[serde(default)]
    pub amount_tax: Option<i64>,
}

/// A discount on a session.
#[derive(Debug, Clone, Deserialize)]
pub struct Discount {
    /// `promo_…`, when the customer typed a code or the link carried one; a coupon alone has none.
    #[serde(default, deserialize_with = "wire::expandable")]
    pub promotion_code: Option<String>,
}

open_enum! {
    /// What kind of purchase a session is.
    SessionMode {
        /// One payment.
        Payment = "payment",
        /// The first payment of a subscription.
        Subscription = "subscription",
        /// Saves a payment method; sells nothing.
        Setup = "setup",
    }
}

open_enum! {
    /// Whether the money of a session has come.
    PaymentStatus {
        /// The money is there.
        Paid = "paid",
        /// Not yet (bank debits, vouchers), or never.
        Unpaid = "unpaid",
        /// Nothing was due: free, fully discounted, a trial.
        NoPaymentRequired = "no_payment_required",
    }
}

/// What the customer saw and paid, in the customer's own currency.
#[derive(Debug, Clone, Deserialize)]
pub struct PresentmentDetails {
    /// Minor units of `presentment_currency`.
    #[serde(default)]
    pub presentment_amount: Option<i64>,
    /// Three lower-case letters.
    #[serde(default)]
    pub presentment_currency: Option<String>,
}

/// Currency conversion of sessions created before 2025-03-31.
///
/// In these the session's own amounts are what the customer saw, and the booked amounts are here.
#[derive(Debug, Clone, Deserialize)]
pub struct CurrencyConversion {
    /// The booked amount, in minor units of `source_currency`.
    #[serde(default)]
    pub amount_total: Option<i64>,
    /// Three lower-case letters.
    #[serde(default)]
    pub source_currency: Option<String>,
}

/// The buyer, as entered on Stripe's page.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CustomerDetails {
    /// The one address to write to (`customer_email` on the session is only a prefill).
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub email: Option<Personal<String>>,
    /// As typed: may be missing, long, or hostile.
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub name: Option<Personal<String>>,
    /// Where the page asks for the name of a person by itself: `name` may be null then.
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub individual_name: Option<Personal<String>>,
    /// Where the page asks for the name of a business.
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub business_name: Option<Personal<String>>,
    /// Every line may be missing.
    #[serde(default)]
    pub address: Option<Address>,
}

/// What the page collected by questions of its own.
///
/// <https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-collected_information>
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CollectedInformation {
    /// The name of a person.
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub individual_name: Option<Personal<String>>,
    /// The name of a business.
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub business_name: Option<Personal<String>>,
}

/// The parts of a postal address that are read.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Address {
    /// ISO 3166-1 alpha-2.
    #[serde(default, deserialize_with = "wire::text")]
    pub country: Option<String>,
    /// State, county or province.
    #[serde(default, deserialize_with = "wire::text")]
    pub state: Option<String>,
    /// ZIP or postal code.
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub postal_code: Option<Personal<String>>,
}

/// A question of the marketer's on the payment page, and the customer's answer.
///
/// <https://docs.stripe.com/payments/checkout/custom-fields>
#[derive(Debug, Clone, Deserialize)]
pub struct CustomField {
    /// The field's name, letters and digits.
    #[serde(default)]
    pub key: String,
    /// What the page calls it.
    #[serde(default)]
    pub label: Option<CustomFieldLabel>,
    /// The options of a dropdown and which of them was chosen.
    #[serde(default)]
    pub dropdown: Option<DropdownAnswer>,
    /// The answer of a text field.
    #[serde(default)]
    pub text: Option<CustomFieldAnswer>,
    /// The answer of a number field, as text.
    #[serde(default)]
    pub numeric: Option<CustomFieldAnswer>,
}

/// What the page calls a custom field.
#[derive(Debug, Clone, Deserialize)]
pub struct CustomFieldLabel {
    /// The marketer's words.
    #[serde(default, deserialize_with = "wire::text")]
    pub custom: Option<String>,
}

/// An answer to a custom field.
#[derive(Debug, Clone, Deserialize)]
pub struct CustomFieldAnswer {
    /// Null when the customer left an optional field empty. Whatever else a person typed.
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub value: Option<Personal<String>>,
}

/// The answer to a dropdown.
///
/// <https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-custom_fields-dropdown>
#[derive(Debug, Clone, Deserialize)]
pub struct DropdownAnswer {
    /// What the customer could choose from.
    #[serde(default, deserialize_with = "wire::list")]
    pub options: Vec<DropdownOption>,
    /// The value of the chosen option, which the customer never saw. Null when nothing was chosen.
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub value: Option<Personal<String>>,
}

impl DropdownAnswer {
    /// The words of the chosen option, as the customer read them.
    pub fn chosen_label(&self) -> Option<&str> {
        let value = self.value.as_ref()?.expose();
        let chosen = self.options.iter().find(|option| option.value.as_ref() == Some(value))?;
        chosen.label.as_deref()
    }
}

/// An option of a dropdown.
#[derive(Debug, Clone, Deserialize)]
pub struct DropdownOption {
    /// What the customer reads.
    #[serde(default, deserialize_with = "wire::text")]
    pub label: Option<String>,
    /// Letters and digits, which the customer does not see.
    #[serde(default, deserialize_with = "wire::text")]
    pub value: Option<String>,
}

/// The marketer's own words on the payment page.
///
/// <https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-custom_text>
#[derive(Debug, Clone, Deserialize)]
pub struct CustomText {
    /// Beside the button that pays.
    #[serde(default)]
    pub submit: Option<CustomTextMessage>,
    /// Below the button that pays.
    #[serde(default)]
    pub after_submit: Option<CustomTextMessage>,
    /// Beside the postal address, where the page asks for one.
    #[serde(default)]
    pub shipping_address: Option<CustomTextMessage>,
    /// Beside the box for the terms of service, where the page has one.
    #[serde(default)]
    pub terms_of_service_acceptance: Option<CustomTextMessage>,
}

/// That the page asked for a postal address.
#[derive(Debug, Clone, Deserialize)]
pub struct ShippingAddressCollection {}

/// A text on the payment page.
#[derive(Debug, Clone, Deserialize)]
pub struct CustomTextMessage {
    /// Markdown, as the marketer typed it.
    #[serde(default, deserialize_with = "wire::text")]
    pub message: Option<String>,
}

/// What the customer agreed to in Stripe's own boxes.
#[derive(Debug, Clone, Deserialize)]
pub struct Consent {
    /// Whether promotional mail is welcome. Null when it was not asked; Stripe asks customers in the US only, and
    /// only for merchants in the US.
    #[serde(default)]
    pub promotions: Option<Promotions>,
    /// `accepted` where the page had the box for the terms of service.
    #[serde(default, deserialize_with = "wire::text")]
    pub terms_of_service: Option<String>,
}

open_enum! {
    /// The answer to Stripe's own question whether promotional mail is welcome.
    Promotions {
        /// Yes.
        OptIn = "opt_in",
        /// No.
        OptOut = "opt_out",
    }
}
