//! The report on an unknown payment.

use fulfilment::{LinkContract, PaymentId};
use stripe_events::{CheckoutSession, PaymentStatus};

use crate::deployment::Deployment;
use crate::page::Time;
use crate::stripe;

/// What Stripe has of a payment of which no event came.
pub(super) async fn never_came(deployment: &Deployment, payment_id: &PaymentId) -> String {
    let shown = payment_id.reference();
    let nothing = format!("nothing is known of {shown}: no event of it has come");
    let asked =
        async || stripe::session(&stripe::client(deployment, stripe::BUDGET).await?, payment_id).await;
    match asked().await {
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
    let paid = matches!(session.payment_status, Some(PaymentStatus::Paid | PaymentStatus::NoPaymentRequired));
    let opened = format!("Stripe has its session, opened on {day} {over}");
    match LinkContract::from_metadata(&session.metadata) {
        Ok(None) => {
            format!("{opened}; the link's metadata has no key `fulfilment`, so it is not Afterlink's")
        }
        _ if paid => format!(
            "{opened}, and it is paid: `afterlink doctor` says why its events do not come, `afterlink reconcile --since {day}` \
             puts them back"
        ),
        _ => format!("{opened}, and it is not paid: there is nothing to do for it yet"),
    }
}

#[cfg(test)]
mod tests {
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
            (session(SessionEvent::paid()), "over the Payment Link plink_1FixtureContribution"),
        ] {
            let said = of_unseen(&session, &session_day(&session));
            assert!(said.contains(expected), "{expected} in {said}");
        }
    }
}
