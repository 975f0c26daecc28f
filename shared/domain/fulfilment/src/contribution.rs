//! The record of a contribution: what Stripe's events say of one payment, folded in any order.
//!
//! Long because the record, its facts and the fold over them are one idea, and are read together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stripe_events::Personal;
use uuid::Uuid;

use crate::dispute_facts::Claim;
use crate::made::is_made;
use crate::{
    AsOf, Attribution, Currency, DisputeEvent, DisputeFacts, FraudWarningEvent, FulfilmentKind, Money,
    PaymentEvent, PaymentId, Policy, RefundEvent, RefundStatus, SessionEvent, SessionOutcome,
    SubscriptionPayment, SupporterId,
};

/// The record of one payment: the facts that its events have reported so far.
///
/// Applying events is commutative and idempotent: any order and any duplication of the same events give the
/// same record. Each field is therefore one that can only grow in one direction: the earliest time something
/// happened, or the newest version of what a session, a refund or a dispute says (newest by [`AsOf`], which orders
/// events the same way everywhere). Status and expiry are derived, never stored as facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// The key.
    pub payment_id: PaymentId,
    /// What the newest session event says, or the newest invoice event where no session has come: renewals have none.
    #[serde(flatten)]
    pub session: SessionFacts,
    /// What the newest invoice event says besides, of a subscription's payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice: Option<InvoiceFacts>,
    /// When the customer finished without the money being there, in Unix seconds.
    #[serde(default)]
    pub pending_at: Option<i64>,
    /// When the money came, in Unix seconds.
    #[serde(default)]
    pub paid_at: Option<i64>,
    /// When it turned out that it will not come, in Unix seconds.
    #[serde(default)]
    pub failed_at: Option<i64>,
    /// Which of these times are not from Stripe's own events.
    #[serde(default, skip_serializing_if = "MadeDates::is_empty")]
    pub made_dates: MadeDates,
    /// The payment's refunds, by `re_…`.
    #[serde(default)]
    pub refunds: BTreeMap<String, RefundFacts>,
    /// The payment's disputes, by `dp_…` or `du_…`.
    #[serde(default)]
    pub disputes: BTreeMap<String, DisputeFacts>,
    /// Card issuers' warnings of fraud, by `issfr_…`. They move no money and change no status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fraud_warnings: BTreeMap<String, FraudWarningFacts>,
}

/// Which times of a record are from events that reconciliation made: the time of the object, because the time of what
/// happened to it is not known any more. A time of Stripe's own takes their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MadeDates {
    /// Of `pending_at`.
    pub pending: bool,
    /// Of `paid_at`.
    pub paid: bool,
    /// Of `failed_at`.
    pub failed: bool,
}

impl MadeDates {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        !(self.pending || self.paid || self.failed)
    }

    /// The earliest time that Stripe reported, else the earliest that was made.
    fn earliest(known: &mut Option<i64>, is_known_made: &mut bool, at: i64, is_made: bool) {
        let earliest = match *known {
            Some(_) if *is_known_made && !is_made => at,
            Some(known) if !*is_known_made && is_made => known,
            Some(known) => known.min(at),
            None => at,
        };
        *is_known_made = is_made && (*is_known_made || known.is_none());
        *known = Some(earliest);
    }
}

/// What a session says of the purchase. All empty until a session event has come: a refund may come first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionFacts {
    /// Which event these facts are from.
    #[serde(flatten)]
    pub as_of: AsOf,
    /// `cs_…`. Left out while it is not known, because a table's index takes no nulls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// When the customer opened the page, in Unix seconds.
    pub opened_at: Option<i64>,
    /// `plink_…`
    pub payment_link_id: Option<String>,
    /// `cus_…`
    pub customer_id: Option<String>,
    /// `sub_…`
    pub subscription_id: Option<String>,
    /// The kind of product.
    pub kind: Option<FulfilmentKind>,
    /// The name that the link gives to what is sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown_as: Option<String>,
    /// Minor units of `currency`: the booked amount.
    pub amount: Option<i64>,
    /// Three lower-case letters.
    pub currency: Option<String>,
    /// Minor units of `presentment_currency`: what the customer saw, when it differs.
    pub presentment_amount: Option<i64>,
    /// Three lower-case letters.
    pub presentment_currency: Option<String>,
    /// Who paid.
    pub supporter_id: Option<SupporterId>,
    /// Their address.
    pub email: Option<Personal<String>>,
    /// Their name, as typed.
    pub name: Option<Personal<String>>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// State, county or province.
    pub state: Option<String>,
    /// ZIP or postal code.
    pub postal_code: Option<Personal<String>>,
    /// The language tag of the payment page.
    pub locale: Option<String>,
    /// Where the sale came from.
    pub attribution: Attribution,
}

/// What an invoice says of a subscription's payment beyond what a session says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceFacts {
    /// Which event these facts are from.
    #[serde(flatten)]
    pub as_of: AsOf,
    /// Whether it is a renewal: any but the first.
    pub renewal: bool,
    /// Until when it was paid for, in Unix seconds.
    pub term_ends_at: Option<i64>,
}

/// The facts of one warning of fraud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FraudWarningFacts {
    /// Which event these facts are from.
    #[serde(flatten)]
    pub as_of: AsOf,
    /// The issuer's word for the kind of fraud, e.g. `made_with_stolen_card`.
    pub fraud_type: Option<String>,
    /// Whether a refund now can still prevent a dispute.
    pub actionable: Option<bool>,
    /// When the issuer gave it, in Unix seconds.
    pub created_at: Option<i64>,
}

/// The facts of one refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFacts {
    /// Which event these facts are from.
    #[serde(flatten)]
    pub as_of: AsOf,
    /// Where it stands.
    pub status: RefundStatus,
    /// Minor units of `currency`.
    pub amount: i64,
    /// Three lower-case letters.
    pub currency: Currency,
    /// When it was made, in Unix seconds.
    pub created_at: Option<i64>,
}

/// Where a contribution stands. Derived from the facts by [`Contribution::status`] and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContributionStatus {
    /// Nothing is known of the money yet.
    Pending,
    /// The money is there.
    Paid,
    /// The money will not come.
    Failed,
    /// A part of the money went back. Also while it is not known how much there was.
    PartRefunded,
    /// All of the money went back.
    Refunded,
    /// The customer's bank wants the money back, and that is not decided.
    Disputed,
    /// The customer's bank took the money back.
    Lost,
}

const SECONDS_A_DAY: i64 = 86_400;

impl Contribution {
    /// How long a refund or a dispute waits for its payment. Longer than Stripe tries to deliver an event; after
    /// that the payment is another business's.
    pub const UNKNOWN_PAYMENT_KEPT_SECONDS: i64 = 7 * SECONDS_A_DAY;

    /// A record of which nothing is known yet.
    pub fn new(payment_id: PaymentId) -> Self {
        Self {
            payment_id,
            session: SessionFacts::default(),
            invoice: None,
            pending_at: None,
            paid_at: None,
            failed_at: None,
            made_dates: MadeDates::default(),
            refunds: BTreeMap::new(),
            disputes: BTreeMap::new(),
            fraud_warnings: BTreeMap::new(),
        }
    }

    /// Folds an event in. `namespace` is the deployment's, for supporter ids.
    #[must_use]
    pub fn with_event(self, event: &PaymentEvent, namespace: &Uuid) -> Self {
        match event {
            PaymentEvent::Session(event) => self.with_session_event(event, namespace),
            PaymentEvent::Invoice(event) => self.with_invoice(event, namespace),
            PaymentEvent::Refund(event) => self.with_refund_event(event),
            PaymentEvent::Dispute(event) => self.with_dispute_event(event),
            PaymentEvent::FraudWarning(event) => self.with_fraud_warning(event),
        }
    }

    /// Folds a session event in.
    #[must_use]
    pub fn with_session_event(mut self, event: &SessionEvent, namespace: &Uuid) -> Self {
        let made = &mut self.made_dates;
        let (known, is_known_made) = match event.outcome {
            SessionOutcome::Pending => (&mut self.pending_at, &mut made.pending),
            SessionOutcome::Failed => (&mut self.failed_at, &mut made.failed),
            SessionOutcome::Paid => (&mut self.paid_at, &mut made.paid),
        };
        MadeDates::earliest(known, is_known_made, event.occurred_at, is_made(&event.event_id));
        self.session.replace_by(SessionFacts::of(event, namespace));
        self
    }

    /// The session and the first invoice are two witnesses of one payment: either alone makes the record, and the
    /// session, which says more, is believed where both speak.
    fn with_invoice(mut self, event: &SubscriptionPayment, namespace: &Uuid) -> Self {
        let paid_at = event.invoice.paid_at;
        // An invoice says when it was paid: this time is Stripe's own, also in an event that was made here.
        MadeDates::earliest(&mut self.paid_at, &mut self.made_dates.paid, paid_at, false);
        self.session.replace_by(SessionFacts::of_invoice(event, namespace));
        if self.invoice.as_ref().is_none_or(|known| event.as_of() > known.as_of) {
            self.invoice = Some(InvoiceFacts {
                as_of: event.as_of(),
                renewal: !event.invoice.is_first,
                term_ends_at: event.invoice.term_ends_at,
            });
        }
        self
    }

    fn with_fraud_warning(mut self, event: &FraudWarningEvent) -> Self {
        let known = self.fraud_warnings.get(&event.warning_id);
        if known.is_none_or(|known| event.as_of() > known.as_of) {
            let facts = FraudWarningFacts {
                as_of: event.as_of(),
                fraud_type: event.fraud_type.clone(),
                actionable: event.actionable,
                created_at: event.created_at,
            };
            self.fraud_warnings.insert(event.warning_id.clone(), facts);
        }
        self
    }

    fn with_refund_event(mut self, event: &RefundEvent) -> Self {
        let facts = RefundFacts {
            as_of: event.as_of(),
            status: event.status,
            amount: event.amount.minor(),
            currency: event.amount.currency(),
            created_at: event.created_at,
        };
        match self.refunds.get_mut(&event.refund_id) {
            Some(known) if facts.order() > known.order() => *known = facts,
            Some(_) => {}
            None => {
                self.refunds.insert(event.refund_id.clone(), facts);
            }
        }
        self
    }

    fn with_dispute_event(mut self, event: &DisputeEvent) -> Self {
        let facts = DisputeFacts::of(event);
        let facts = match self.disputes.remove(&event.dispute_id) {
            Some(known) => known.and(facts),
            None => facts,
        };
        self.disputes.insert(event.dispute_id.clone(), facts);
        self
    }

    /// Where the contribution stands. Money that came is not undone by an older failure, and what a bank decides
    /// weighs more than a refund. What a bank took of a part is like a refund of a part.
    pub fn status(&self) -> ContributionStatus {
        let claims = || self.disputes.values().map(DisputeFacts::claim);
        let is_part_lost = claims().any(|claim| matches!(claim, Claim::Lost(_)));
        if is_part_lost && self.is_gone_in_full() {
            ContributionStatus::Lost
        } else if claims().any(|claim| claim == Claim::Contested) {
            ContributionStatus::Disputed
        } else if is_part_lost || self.refunds.values().any(|refund| !refund.returned().is_zero()) {
            // A customer who got money back had paid, whether or not the payment's own event has come.
            let all = self.is_refunded_in_full();
            if all { ContributionStatus::Refunded } else { ContributionStatus::PartRefunded }
        } else if self.paid_at.is_some() {
            ContributionStatus::Paid
        } else if self.failed_at.is_some() {
            ContributionStatus::Failed
        } else {
            ContributionStatus::Pending
        }
    }

    /// Whether refunds and lost disputes add up to the payment, in the booked currency and the one the customer saw
    /// together. Also while it is not known how much the payment was, and when a dispute was lost in a third
    /// currency: what cannot be added up is not taken for a part.
    fn is_gone_in_full(&self) -> bool {
        let session = &self.session;
        let lost = || {
            self.disputes.values().filter_map(|dispute| match dispute.claim() {
                Claim::Lost(held) => Some(held),
                Claim::None | Claim::Contested => None,
            })
        };
        let gone = |currency: &str| {
            let refunded = self.refunds.values().map(RefundFacts::returned);
            let gone = refunded.chain(lost()).filter(|gone| gone.currency().as_str() == currency);
            gone.fold(0, |sum: i64, gone| sum.saturating_add(gone.minor()))
        };
        let (Some(booked), Some(currency)) = (session.amount, &session.currency) else {
            return true;
        };
        let shown = session.presentment_amount.zip(session.presentment_currency.as_ref());
        let can_be_added = |held: Money| {
            let code = held.currency();
            code.as_str() == currency || shown.is_some_and(|(_, shown_in)| code.as_str() == shown_in)
        };
        if booked <= 0 || !lost().all(can_be_added) {
            return true;
        }
        match shown.filter(|(amount, shown_in)| *amount > 0 && *shown_in != currency) {
            None => gone(currency) >= booked,
            Some((shown, shown_in)) => {
                let booked = i128::from(booked);
                let shown = i128::from(shown);
                i128::from(gone(currency)) * shown + i128::from(gone(shown_in)) * booked >= booked * shown
            }
        }
    }

    /// Whether all of the money went back, whatever banks decide besides.
    ///
    /// Refunds are made in the currency of the charge, which in older sessions is the one the customer saw.
    pub fn is_refunded_in_full(&self) -> bool {
        let session = &self.session;
        let returned_all = |amount: Option<i64>, currency: Option<&String>| {
            let refunds = self.refunds.values().map(RefundFacts::returned);
            let same =
                refunds.filter(|returned| Some(returned.currency().as_str()) == currency.map(String::as_str));
            let returned = same.fold(0, |sum: i64, returned| sum.saturating_add(returned.minor()));
            amount.is_some_and(|amount| returned > 0 && returned >= amount)
        };
        returned_all(session.amount, session.currency.as_ref())
            || returned_all(session.presentment_amount, session.presentment_currency.as_ref())
    }

    /// Whether a session event has come, or an invoice of a subscription of ours. Until then the payment may be
    /// another business's.
    pub const fn is_known(&self) -> bool {
        self.session.kind.is_some()
    }

    /// When the record may be deleted, in Unix seconds: the policy's retention, counted from the payment, or
    /// from the first thing known while there is none. A record of which nothing but refunds and disputes is known
    /// waits for its payment from `now` on.
    pub fn expires_at(&self, policy: &Policy, now: i64) -> i64 {
        self.retained_until(policy).unwrap_or(now.saturating_add(Self::UNKNOWN_PAYMENT_KEPT_SECONDS))
    }

    pub(crate) fn retained_until(&self, policy: &Policy) -> Option<i64> {
        let retention = policy.kind(self.session.kind?).retention_days.saturating_mul(SECONDS_A_DAY);
        let from = self.paid_at.or(self.pending_at).or(self.failed_at)?;
        Some(from.saturating_add(retention))
    }
}

impl RefundFacts {
    /// How much of the money is the customer's now, or on its way to them.
    pub const fn returned(&self) -> Money {
        let minor = if self.status.returns_money() { self.amount } else { 0 };
        Money::new(minor, self.currency)
    }

    /// The status comes first: it only ever moves on, and two events of one second have no other order.
    const fn order(&self) -> (RefundStatus, &AsOf) {
        (self.status, &self.as_of)
    }
}

impl SessionFacts {
    /// The amount that the customer saw, where an event has said it.
    pub fn shown_amount(&self) -> Option<Money> {
        let money = |minor: Option<i64>, code: &Option<String>| {
            Some(Money::new(minor?, Currency::try_from(code.as_deref()?).ok()?))
        };
        money(self.presentment_amount, &self.presentment_currency)
            .or_else(|| money(self.amount, &self.currency))
    }

    /// Takes over newer facts; a session's before an invoice's, whatever their times.
    fn replace_by(&mut self, facts: Self) {
        let order = |facts: &Self| (facts.session_id.is_some(), facts.kind.is_some(), facts.as_of.clone());
        if order(&facts) > order(self) {
            *self = facts;
        }
    }

    fn of_invoice(event: &SubscriptionPayment, namespace: &Uuid) -> Self {
        let SubscriptionPayment { invoice, contract, amount } = event;
        let supporter_id =
            invoice.email.as_ref().map(|email| SupporterId::of_email(namespace, email.expose()));
        Self {
            as_of: event.as_of(),
            session_id: None,
            opened_at: None,
            payment_link_id: contract.payment_link_id.clone(),
            customer_id: invoice.customer_id.clone(),
            subscription_id: Some(invoice.subscription_id.clone()),
            kind: Some(contract.kind),
            shown_as: contract.shown_as.clone(),
            amount: Some(amount.minor()),
            currency: Some(amount.currency().as_str().to_owned()),
            presentment_amount: None,
            presentment_currency: None,
            supporter_id,
            email: invoice.email.clone(),
            name: invoice.name.clone(),
            country: invoice.country.clone(),
            state: invoice.state.clone(),
            postal_code: invoice.postal_code.clone(),
            locale: contract.locale.clone(),
            attribution: contract.attribution.clone(),
        }
    }

    fn of(event: &SessionEvent, namespace: &Uuid) -> Self {
        let supporter_id = event.email.as_ref().map(|email| SupporterId::of_email(namespace, email.expose()));
        Self {
            as_of: event.as_of(),
            session_id: Some(event.session_id.clone()),
            opened_at: event.opened_at,
            payment_link_id: event.payment_link_id.clone(),
            customer_id: event.customer_id.clone(),
            subscription_id: event.subscription_id.clone(),
            kind: Some(event.link.kind),
            shown_as: event.link.shown_as.clone(),
            amount: Some(event.amount.minor()),
            currency: Some(event.amount.currency().as_str().to_owned()),
            presentment_amount: event.presentment.as_ref().map(|shown| shown.minor()),
            presentment_currency: event
                .presentment
                .as_ref()
                .map(|shown| shown.currency().as_str().to_owned()),
            supporter_id,
            email: event.email.clone(),
            name: event.name.clone(),
            country: event.country.clone(),
            state: event.state.clone(),
            postal_code: event.postal_code.clone(),
            locale: event.locale.clone(),
            attribution: event.attribution.clone(),
        }
    }
}

#[cfg(test)]
mod subscription_tests;
#[cfg(test)]
mod tests;
