use std::collections::BTreeSet;

use effect_ledger::{Effect, EffectKey, MovedMoney};
use fulfilment::{
    AsOf, Contribution, InvoiceEvent, PaymentEvent, SessionOutcome, SubscriptionContract, effects,
};

use crate::records::{ContractNote, LedgerEntry, RaisedVersion};

/// What the ledger calls what an event does to the records.
pub(crate) fn effect(event: &PaymentEvent) -> Effect {
    match event {
        PaymentEvent::Session(event) => effects::contribution(event.outcome),
        PaymentEvent::Refund(event) => effects::contribution_refund(&event.refund_id),
        PaymentEvent::Dispute(event) => effects::contribution_dispute_status(&event.dispute_id, event.status),
        PaymentEvent::FraudWarning(event) => effects::contribution_fraud_warning(&event.warning_id),
        PaymentEvent::Invoice(event) => effect_of_invoice(&event.invoice),
    }
}

/// A first payment has its session's effects, and one of its own for the term, which only the invoice has.
pub(crate) fn effect_of_invoice(invoice: &InvoiceEvent) -> Effect {
    if invoice.is_first { effects::contribution_term() } else { effects::contribution(SessionOutcome::Paid) }
}

/// What a session says of the subscription it begins, for its renewals: none of them says it again.
pub(crate) fn contract(event: &PaymentEvent) -> Result<Option<ContractNote>, serde_json::Error> {
    let PaymentEvent::Session(event) = event else {
        return Ok(None);
    };
    let Some(subscription_id) = &event.subscription_id else {
        return Ok(None);
    };
    Ok(Some(ContractNote {
        key: EffectKey::new(subscription_id.as_str(), effects::contract()),
        event_id: event.event_id.clone(),
        contract: serde_json::to_string(&SubscriptionContract::of_event(event))?,
    }))
}

fn event_id(event: &PaymentEvent) -> &str {
    match event {
        PaymentEvent::Session(event) => &event.event_id,
        PaymentEvent::Refund(event) => &event.event_id,
        PaymentEvent::Dispute(event) => &event.event_id,
        PaymentEvent::FraudWarning(event) => &event.event_id,
        PaymentEvent::Invoice(event) => &event.invoice.event_id,
    }
}

/// The raised version of the thank-you's row, so that no gift that was given back is thanked for. A known payment takes
/// the expiry off the word that had been waiting for it.
pub(crate) fn raised_version(
    event: &PaymentEvent,
    before: Option<&Contribution>,
    after: &Contribution,
    expires_at: Option<i64>,
) -> Option<RaisedVersion> {
    let tells_of_refunds = match event {
        PaymentEvent::Refund(_) => true,
        PaymentEvent::Dispute(_) | PaymentEvent::FraudWarning(_) => false,
        PaymentEvent::Session(_) | PaymentEvent::Invoice(_) => {
            before.is_some_and(|before| !before.is_known() && !before.refunds.is_empty())
        }
    };
    tells_of_refunds.then(|| RaisedVersion {
        key: EffectKey::new(event.payment_id(), effects::email_about(SessionOutcome::Paid)),
        expires_at: expires_at.filter(|_| !after.is_known()),
    })
}

/// The ledger entries of the event, and of the refunds and disputes that had been waiting for it.
pub(crate) fn ledger_entries(
    event: &PaymentEvent,
    before: Option<&Contribution>,
    after: &Contribution,
    expires_at: Option<i64>,
) -> Vec<LedgerEntry> {
    let expires_at = expires_at.filter(|_| !after.is_known());
    let own = effect(event);
    let waiting = || waiting_entries(after, expires_at).into_iter();
    match event {
        PaymentEvent::Refund(_) | PaymentEvent::FraudWarning(_) => {
            waiting().filter(|entry| entry.effect == own).collect()
        }
        PaymentEvent::Dispute(event) => {
            let held = effects::contribution_dispute(&event.dispute_id);
            let (mut entries, others): (Vec<_>, Vec<_>) = waiting().partition(|entry| entry.effect == own);
            entries.extend(others.into_iter().filter(|entry| entry.effect == held));
            entries
        }
        PaymentEvent::Session(_) | PaymentEvent::Invoice(_) => {
            let entry = |effect| LedgerEntry {
                effect,
                event_id: event_id(event).to_owned(),
                moved: None,
                expires_at,
            };
            let mut entries = vec![entry(own.clone())];
            if own == effects::contribution_term() {
                // Also without the session's word, the payment is recorded now.
                entries.push(entry(effects::contribution(SessionOutcome::Paid)));
            }
            if before.is_some_and(|before| !before.is_known()) {
                // A handful, far below the hundred writes of a transaction.
                entries.extend(waiting());
            }
            entries
        }
    }
}

/// The ledger entries of a record's refunds, disputes and warnings: all that can come before the payment.
pub(crate) fn waiting_entries(record: &Contribution, expires_at: Option<i64>) -> Vec<LedgerEntry> {
    let entry = |effect, as_of: &AsOf, moved| LedgerEntry {
        effect,
        event_id: as_of.event_id.clone(),
        moved,
        expires_at,
    };
    let money = |as_of: &AsOf, amount, created_at: Option<i64>| {
        Some(MovedMoney { amount, occurred_at: created_at.unwrap_or(as_of.occurred_at) })
    };
    let refunds = record.refunds.iter().map(|(id, facts)| {
        let moved = money(&facts.as_of, facts.returned(), facts.created_at);
        entry(effects::contribution_refund(id), &facts.as_of, moved)
    });
    let disputes = record.disputes.iter().flat_map(|(id, facts)| {
        let seen = facts.seen.iter().map(|status| effects::contribution_dispute_status(id, *status));
        let effects: BTreeSet<_> = seen.chain([effects::contribution_dispute(id)]).collect();
        effects.into_iter().map(move |effect| {
            entry(effect, &facts.as_of, money(&facts.as_of, facts.held(), facts.created_at))
        })
    });
    let warnings = record
        .fraud_warnings
        .iter()
        .map(|(id, facts)| entry(effects::contribution_fraud_warning(id), &facts.as_of, None));
    refunds.chain(disputes).chain(warnings).collect()
}
