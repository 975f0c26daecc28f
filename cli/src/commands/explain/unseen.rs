//! The report on an unknown payment.

use anyhow::Result;
use effect_ledger::Effect;
use fulfilment::{Currency, ExpectedEffects, LinkContract, Money, PaymentId, Policy, shown};
use reconciliation::made_from;
use stripe_client::ApiObject;
use stripe_events::{CheckoutSession, Event, PaymentStatus};

use super::Amount;
use crate::deployment::Deployment;
use crate::page::Time;
use crate::privacy::Privacy;
use crate::stripe;

/// What Stripe has of a payment of which no event came.
pub(super) async fn never_came(deployment: &Deployment, payment_id: &PaymentId) -> String {
    let shown = payment_id.reference();
    let nothing = format!("nothing is known of {shown}: no event of it has come");
    match session_of(deployment, payment_id).await {
        Ok(Some(session)) => match session.session() {
            Ok(session) => format!("{nothing}. {}", of_unseen(&session, &session_day(&session))),
            Err(error) => format!("{nothing}. Stripe has a session of it that cannot be read: {error}"),
        },
        Ok(None) if payment_id.as_str().starts_with("in_") => format!(
            "{nothing}. Stripe has no checkout session that began with it: if it renews a membership, `afterlink reconcile` \
             finds its event"
        ),
        Ok(None) => format!(
            "{nothing}, and Stripe has no checkout session of it: it was not paid over a Payment Link, but in another way \
             or at another business of the account"
        ),
        Err(error) => format!("{nothing}. Stripe could not say more: {error:#}"),
    }
}

async fn session_of(deployment: &Deployment, payment_id: &PaymentId) -> Result<Option<ApiObject>> {
    stripe::session(&stripe::client(deployment, stripe::BUDGET).await?, payment_id).await
}

/// What Stripe has of a payment without a record.
pub(super) struct AtStripe {
    pub(super) sentence: String,
    /// What it calls for.
    pub(super) expected: Vec<Effect>,
    /// When its session was made, if it is paid, in Unix seconds.
    pub(super) paid_at: Option<i64>,
}

/// What Stripe has of a payment of which the ledger knows something and the records nothing.
pub(super) async fn seen_at_stripe(
    deployment: &Deployment,
    payment_id: &PaymentId,
    privacy: Privacy,
) -> AtStripe {
    let unclear = |why: String| AtStripe { sentence: why, expected: Vec::new(), paid_at: None };
    let object = match session_of(deployment, payment_id).await {
        Ok(Some(object)) => object,
        Ok(None) => return unclear("there is no checkout session of it".to_owned()),
        Err(error) => return unclear(format!("Stripe could not be asked: {error:#}")),
    };
    match object.session() {
        Ok(session) => {
            let livemode = deployment.livemode().unwrap_or_default();
            let made = made_from(&object, livemode, object.created);
            let made = made.and_then(|json| Event::from_json(json.as_bytes()).ok());
            let expected = made.zip(Policy::compiled_in().ok());
            let expected =
                expected.and_then(|(event, policy)| ExpectedEffects::from_event(&event, livemode, &policy));
            AtStripe {
                sentence: in_a_sentence(&session, privacy),
                expected: expected.map(|expected| expected.effects).unwrap_or_default(),
                paid_at: is_paid(&session).then_some(object.created),
            }
        }
        Err(error) => unclear(format!("its session cannot be read: {error}")),
    }
}

/// `paid 12.50 GBP over plink_1…, by n***@e***.org`
fn in_a_sentence(session: &CheckoutSession, privacy: Privacy) -> String {
    let currency = session.currency.as_deref().and_then(|code| Currency::try_from(code).ok());
    let amount = session.amount_total.zip(currency).map(|(minor, currency)| Money::new(minor, currency));
    let amount = amount.map(|amount| format!(" {}", Amount::of(&amount).text)).unwrap_or_default();
    let over = session.payment_link.as_ref().map(|link| format!(" over {link}")).unwrap_or_default();
    let email = session.customer_details.as_ref().and_then(|details| details.email.as_ref());
    let by = email.map(|email| format!(", by {}", privacy.email(email))).unwrap_or_default();
    let paid = if is_paid(session) { "paid" } else { "not paid:" };
    format!("{paid}{amount}{over}{by}")
}

const fn is_paid(session: &CheckoutSession) -> bool {
    matches!(session.payment_status, Some(PaymentStatus::Paid | PaymentStatus::NoPaymentRequired))
}

fn session_day(session: &CheckoutSession) -> String {
    let at = session.created.map(|created| Time::of_seconds(created).to_string()).unwrap_or_default();
    at.get(..10).unwrap_or_default().to_owned()
}

/// What a session means of which no event came, and what to do.
fn of_unseen(session: &CheckoutSession, day: &str) -> String {
    let over = session
        .payment_link
        .as_ref()
        .map_or_else(|| "not over a Payment Link".to_owned(), |link| format!("over the Payment Link {link}"));
    let opened = format!("Stripe has its session, opened on {day} {over}");
    match LinkContract::from_metadata(&session.metadata) {
        Ok(None) => match LinkContract::misspelt_marker(&session.metadata) {
            Some(key) => format!(
                "{opened}; the link's metadata has the key `{}`, which must be `fulfilment`: nothing is done for it. Correct \
                 the link, then `afterlink complete {} --because '…' --yes`",
                shown(key),
                PaymentId::of_session(session).reference()
            ),
            None => {
                format!("{opened}; the link's metadata has no key `fulfilment`, so it is not Afterlink's")
            }
        },
        _ if is_paid(session) => format!(
            "{opened}, and it is paid: `afterlink doctor` says why its events do not come, `afterlink reconcile --since {day}` \
             puts them back"
        ),
        _ => format!("{opened}, and it is not paid: there is nothing to do for it yet"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::stripe::SessionEvent;

    use super::*;

    const PAID_AT: i64 = 1_795_000_000;

    #[test]
    fn a_session_of_which_no_event_came_says_what_to_do() {
        let session = |session: SessionEvent| -> CheckoutSession {
            serde_json::from_value(session.at(PAID_AT).to_json()["data"]["object"].clone()).unwrap()
        };
        for (session, expected) in [
            (session(SessionEvent::paid()), "`afterlink reconcile --since 2026-11-18` puts them back"),
            (session(SessionEvent::unpaid()), "it is not paid: there is nothing to do for it yet"),
            (session(SessionEvent::paid().without_marker()), "so it is not Afterlink's"),
            (
                session(SessionEvent::paid().metadata(json!({ "fullfilment": "contribution" }))),
                "the key `fullfilment`, which must be `fulfilment`",
            ),
            (session(SessionEvent::paid()), "over the Payment Link plink_1FixtureContribution"),
        ] {
            let said = of_unseen(&session, &session_day(&session));
            assert!(said.contains(expected), "{expected} in {said}");
        }
    }
}
