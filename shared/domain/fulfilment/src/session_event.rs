use stripe_events::{
    CheckoutSession, Event, EventType, Object, PaymentStatus, Personal, SessionMode, SnapshotEvent,
};

use crate::correction::snapshot;
use crate::{
    AsOf, Attribution, ConsentForm, ContractError, Currency, LinkContract, Money, PaymentId, SkipReason,
    without_invisible,
};

/// A checkout session event of ours, read and validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEvent {
    /// The key every effect of this payment is filed under.
    pub payment_id: PaymentId,
    /// `evt_…`
    pub event_id: String,
    /// When it happened, in Unix seconds.
    pub occurred_at: i64,
    /// What it says of the money.
    pub outcome: SessionOutcome,
    /// What the marketer promised on the link.
    pub link: LinkContract,
    /// Where the sale came from.
    pub attribution: Attribution,
    /// What the page asked about marketing, and the answer.
    pub consent_form: ConsentForm,
    /// `cs_…`
    pub session_id: String,
    /// When the customer opened the page, in Unix seconds.
    pub opened_at: Option<i64>,
    /// `plink_…`
    pub payment_link_id: Option<String>,
    /// `cus_…`, or the `acct_…` of a customer who is an account; guests have none.
    pub customer_id: Option<String>,
    /// `sub_…`
    pub subscription_id: Option<String>,
    /// `promo_…`, of the first code that made it cheaper.
    pub promotion_code_id: Option<String>,
    /// The booked amount.
    pub amount: Money,
    /// What the booked amount is made of.
    pub parts: AmountParts,
    /// The amount that the customer saw, when it differs from the booked one.
    pub presentment: Option<Money>,
    /// Where to write to.
    pub email: Option<Personal<String>>,
    /// As the customer typed it.
    pub name: Option<Personal<String>>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// State, county or province.
    pub state: Option<String>,
    /// ZIP or postal code.
    pub postal_code: Option<Personal<String>>,
    /// The language tag of the payment page; `auto` is none.
    pub locale: Option<String>,
}

/// What a booked amount is made of, in minor units of its currency; `None` where Stripe does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AmountParts {
    /// Before discounts, tax that was added, and shipping.
    pub subtotal: Option<i64>,
    /// What discounts took off, above zero.
    pub discount: Option<i64>,
    /// Tax, whether it was added to the prices or is in them.
    pub tax: Option<i64>,
    /// Shipping.
    pub shipping: Option<i64>,
}

/// What a session event says of the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionOutcome {
    /// The customer finished, the money is on its way.
    Pending,
    /// The money will not come.
    Failed,
    /// The money is there, or none was due.
    Paid,
}

impl SessionOutcome {
    const fn while_unpaid(self) -> Self {
        match self {
            Self::Paid => Self::Pending,
            Self::Pending | Self::Failed => self,
        }
    }
}

/// An event that is ours but cannot be acted on. Permanent: the event never changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionBroken {
    /// The marketer's metadata breaks the contract.
    #[error("the Payment Link's contract is broken")]
    Contract(#[source] ContractError),
    /// Stripe sent a mode we do not know.
    #[error("session mode \"{0}\" is not known to this version")]
    Mode(String),
    /// Stripe sent a payment status we do not know, or one that contradicts the event.
    #[error("payment status \"{status}\" makes no sense in {event_type}")]
    PaymentStatus {
        /// The status, `null` when missing.
        status: String,
        /// The event's type.
        event_type: String,
    },
    /// A sale without a total.
    #[error("the session or the invoice has no amount or currency")]
    NoAmount,
}

impl SessionBroken {
    /// A short name for metrics, the ledger and the DLQ.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Contract(_) => "broken_link_contract",
            Self::Mode(_) => "unknown_mode",
            Self::PaymentStatus { .. } => "contradictory_payment_status",
            Self::NoAmount => "no_amount",
        }
    }
}

/// Why an event is not a [`SessionEvent`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReadable {
    /// None of our business: acknowledge and count.
    #[error(transparent)]
    Skip(#[from] SkipReason),
    /// Ours, but broken: park, under the effect it should have had.
    #[error("the session event cannot be acted on")]
    Broken {
        /// The payment it is about.
        payment_id: PaymentId,
        /// The outcome that it was meant to report.
        intended: SessionOutcome,
        /// The defect.
        #[source]
        broken: SessionBroken,
    },
}

impl SessionEvent {
    /// Reads an event; checks again what the rule filtered.
    ///
    /// # Errors
    ///
    /// [`NotReadable::Skip`] for an event that is not ours, [`NotReadable::Broken`] for one that is and cannot be
    /// acted on.
    pub fn from_event(event: &Event, livemode: bool) -> Result<Self, NotReadable> {
        let event = snapshot(event)?;
        let Some(intended) = intended_outcome(&event.event_type) else {
            return Err(SkipReason::OtherEventType.into());
        };
        let Object::Session(session) = &event.object else {
            return Err(SkipReason::OtherEventType.into());
        };
        // Whose it is comes first: nothing of another business may ever be reported as broken.
        let Some(link) = LinkContract::from_metadata(&session.metadata).transpose() else {
            return Err(match LinkContract::misspelt_marker(&session.metadata) {
                Some(_) => SkipReason::MisspeltMarker.into(),
                None => SkipReason::AnotherBusiness.into(),
            });
        };
        if event.livemode != livemode {
            return Err(SkipReason::OtherLivemode.into());
        }
        if session.mode == Some(SessionMode::Setup) {
            return Err(SkipReason::SetupMode.into());
        }
        let payment_id = PaymentId::of_session(session);
        Self::validate(event, session, link).map_err(|broken| {
            let unpaid = session.payment_status == Some(PaymentStatus::Unpaid);
            let intended = if unpaid { intended.while_unpaid() } else { intended };
            NotReadable::Broken { payment_id, intended, broken }
        })
    }

    fn validate(
        event: &SnapshotEvent,
        session: &CheckoutSession,
        link: Result<LinkContract, ContractError>,
    ) -> Result<Self, SessionBroken> {
        let link = link.map_err(SessionBroken::Contract)?;
        // Sessions of 2019 had no mode yet; they were payments.
        if let Some(SessionMode::Other(mode)) = &session.mode {
            return Err(SessionBroken::Mode(mode.clone()));
        }
        let outcome = outcome(event, session)?;
        let (amount, presentment) = amounts(session).ok_or(SessionBroken::NoAmount)?;
        let customer = session.customer_details.clone().unwrap_or_default();
        let collected = session.collected_information.clone().unwrap_or_default();
        // Stripe fills in one or the other: <https://docs.stripe.com/payments/checkout/collect-individual-name>
        let name = [
            customer.name,
            customer.individual_name,
            collected.individual_name,
            customer.business_name,
            collected.business_name,
        ];
        let name = name.into_iter().flatten().find(|name| !name.expose().trim().is_empty());
        let address = customer.address.unwrap_or_default();
        Ok(Self {
            payment_id: PaymentId::of_session(session),
            event_id: event.id.clone(),
            occurred_at: event.created,
            outcome,
            link,
            attribution: Attribution::read(&session.metadata, session.client_reference_id.as_ref()),
            consent_form: ConsentForm::of(event, session),
            session_id: session.id.clone(),
            opened_at: session.created,
            payment_link_id: session.payment_link.clone(),
            customer_id: session.customer.clone().or_else(|| session.customer_account.clone()),
            subscription_id: session.subscription.clone(),
            promotion_code_id: session.discounts.iter().find_map(|discount| discount.promotion_code.clone()),
            amount,
            parts: parts(session),
            presentment,
            email: customer.email.and_then(|email| without_invisible(email.expose())).map(Personal::new),
            name,
            country: address.country,
            state: address.state,
            postal_code: address.postal_code,
            locale: session.locale.clone().filter(|tag| tag != "auto"),
        })
    }

    /// What the customer saw and paid: the mail's amount.
    pub fn shown_amount(&self) -> &Money {
        self.presentment.as_ref().unwrap_or(&self.amount)
    }

    /// This event's place in the order of the session's events.
    pub fn as_of(&self) -> AsOf {
        AsOf { occurred_at: self.occurred_at, event_id: self.event_id.clone() }
    }
}

/// The outcome that an event of this type reports; `None` for every other type.
fn intended_outcome(event_type: &EventType) -> Option<SessionOutcome> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "an event type added later is not about sessions")]
    match event_type {
        EventType::SessionCompleted | EventType::SessionAsyncPaymentSucceeded => Some(SessionOutcome::Paid),
        EventType::SessionAsyncPaymentFailed => Some(SessionOutcome::Failed),
        _ => None,
    }
}

/// <https://docs.stripe.com/checkout/fulfillment#delayed-notification>
fn outcome(event: &SnapshotEvent, session: &CheckoutSession) -> Result<SessionOutcome, SessionBroken> {
    use PaymentStatus::{NoPaymentRequired, Paid, Unpaid};
    let status = session.payment_status.as_ref();
    match (&event.event_type, status) {
        (EventType::SessionAsyncPaymentFailed, Some(Unpaid)) => Ok(SessionOutcome::Failed),
        (EventType::SessionCompleted, Some(Unpaid)) => Ok(SessionOutcome::Pending),
        (
            EventType::SessionCompleted | EventType::SessionAsyncPaymentSucceeded,
            Some(Paid | NoPaymentRequired),
        ) => Ok(SessionOutcome::Paid),
        _ => Err(SessionBroken::PaymentStatus {
            status: status.map_or("null", PaymentStatus::as_str).to_owned(),
            event_type: event.event_type.to_string(),
        }),
    }
}

/// The booked amount, and the customer's if it differs.
fn amounts(session: &CheckoutSession) -> Option<(Money, Option<Money>)> {
    let money = |minor: Option<i64>, currency: Option<&String>| {
        Some(Money::new(minor?, Currency::try_from(currency?.as_str()).ok()?))
    };
    let total = money(session.amount_total, session.currency.as_ref())?;
    // Before 2025-03-31 a converted session's own total is what the customer saw.
    // https://docs.stripe.com/changelog/basil/2025-03-31/checkout-legacy-currency-conversion
    if let Some(booked) = session
        .currency_conversion
        .as_ref()
        .and_then(|conversion| money(conversion.amount_total, conversion.source_currency.as_ref()))
    {
        return Some((booked, Some(total)));
    }
    let presentment = session
        .presentment_details
        .as_ref()
        .and_then(|shown| money(shown.presentment_amount, shown.presentment_currency.as_ref()));
    Some((total, presentment))
}

/// The parts of the booked amount. Before 2025-03-31 a converted session's parts are in the customer's currency, and
/// say nothing of the booked one.
fn parts(session: &CheckoutSession) -> AmountParts {
    if session.currency_conversion.is_some() {
        return AmountParts::default();
    }
    let details = session.total_details;
    AmountParts {
        subtotal: session.amount_subtotal,
        discount: details.and_then(|details| details.amount_discount),
        tax: details.and_then(|details| details.amount_tax),
        shipping: details.and_then(|details| details.amount_shipping),
    }
}

#[cfg(test)]
mod tests;
