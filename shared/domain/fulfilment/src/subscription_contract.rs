use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stripe_events::{CheckoutSession, Personal};

use crate::{Attribution, ContractError, FulfilmentKind, LinkContract, SessionEvent, TemplateName};

/// What the renewals of a subscription need of the session that began it: the product, and where the sale came from.
///
/// The ledger keeps it under the subscription, so it holds no personal data: nothing of a single visit or of who came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionContract {
    /// The kind of product.
    pub kind: FulfilmentKind,
    /// The mail template, when the link names its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thank_you: Option<TemplateName>,
    /// The name of what is sold, as the customer reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_as: Option<String>,
    /// What analysts count the sale as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// `cs_…`; none for a subscription that no session began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// `plink_…`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_link_id: Option<String>,
    /// The language tag of the payment page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Where the sale came from, as far as it is about the campaign and not about the visitor.
    #[serde(default)]
    pub attribution: Attribution,
}

impl SubscriptionContract {
    /// What a session event of ours says of its subscription.
    pub fn of_event(event: &SessionEvent) -> Self {
        Self {
            kind: event.link.kind,
            thank_you: event.link.thank_you.clone(),
            shown_as: event.link.shown_as.clone(),
            item: event.link.item.clone(),
            session_id: Some(event.session_id.clone()),
            payment_link_id: event.payment_link_id.clone(),
            locale: event.locale.clone(),
            attribution: of_campaign(event.attribution.clone()),
        }
    }

    /// What a session as Stripe has it now says of its subscription; `None` when it is another business's.
    ///
    /// # Errors
    ///
    /// When it is ours and its contract is broken.
    pub fn of_session(session: &CheckoutSession) -> Result<Option<Self>, ContractError> {
        let of_metadata = Self::of_metadata(&session.metadata, session.client_reference_id.as_ref())?;
        Ok(of_metadata.map(|contract| Self {
            session_id: Some(session.id.clone()),
            payment_link_id: session.payment_link.clone(),
            locale: session.locale.clone().filter(|tag| tag != "auto"),
            ..contract
        }))
    }

    /// What a subscription's own metadata says, for one that carries our marker itself; `None` without the marker.
    ///
    /// # Errors
    ///
    /// When the marker is there and the contract is broken.
    pub fn of_subscription(metadata: &BTreeMap<String, String>) -> Result<Option<Self>, ContractError> {
        Self::of_metadata(metadata, None)
    }

    fn of_metadata(
        metadata: &BTreeMap<String, String>,
        reference: Option<&Personal<String>>,
    ) -> Result<Option<Self>, ContractError> {
        let link = LinkContract::from_metadata(metadata)?;
        Ok(link.map(|link| Self {
            kind: link.kind,
            thank_you: link.thank_you,
            shown_as: link.shown_as,
            item: link.item,
            session_id: None,
            payment_link_id: None,
            locale: None,
            attribution: of_campaign(Attribution::read(metadata, reference)),
        }))
    }
}

/// An attribution without what names a visit, a browser or a person.
fn of_campaign(attribution: Attribution) -> Attribution {
    Attribution {
        page_view_id: None,
        browser_id: None,
        query_parameters: Vec::new(),
        undecoded: None,
        ..attribution
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stripe_events::{Event, Object};

    use super::*;

    fn session(change: impl FnOnce(&mut Value)) -> (SessionEvent, CheckoutSession) {
        let fixture = include_str!("../../../../verification/testkit/fixtures/session_subscription.json");
        let mut event: Value = serde_json::from_str(fixture).unwrap();
        change(&mut event["data"]["object"]);
        let event = Event::from_value(event).unwrap();
        let Event::Snapshot(snapshot) = &event else { panic!() };
        let Object::Session(session) = snapshot.object.clone() else { panic!() };
        (SessionEvent::from_event(&event, false).unwrap(), *session)
    }

    #[test]
    fn the_session_and_its_event_say_the_same() {
        let (event, session) = session(|session| {
            session["metadata"]["campaign"] = json!("spring");
            session["metadata"]["thank_you"] = json!("patrons");
        });
        let contract = SubscriptionContract::of_event(&event);
        assert_eq!(SubscriptionContract::of_session(&session), Ok(Some(contract.clone())));
        assert_eq!(contract.kind, FulfilmentKind::Membership);
        assert_eq!(contract.attribution.campaign_codes, ["spring"]);
        assert_eq!(contract.locale.as_deref(), Some("en-GB"));
        let stored = serde_json::to_string(&contract).unwrap();
        assert_eq!(serde_json::from_str::<SubscriptionContract>(&stored).unwrap(), contract);
    }

    #[test]
    fn nothing_of_the_visitor_is_kept() {
        let (event, _) = session(|session| {
            // {"c":"spring","v":"view-1","b":"browser-1"}
            session["client_reference_id"] =
                json!("al1-eyJjIjoic3ByaW5nIiwidiI6InZpZXctMSIsImIiOiJicm93c2VyLTEifQ");
        });
        assert_eq!(event.attribution.page_view_id.as_deref(), Some("view-1"));
        let stored = serde_json::to_string(&SubscriptionContract::of_event(&event)).unwrap();
        assert!(stored.contains("spring"), "{stored}");
        for personal in ["view-1", "browser-1", "ada@", "Ada", "al1-"] {
            assert!(!stored.contains(personal), "{personal} in {stored}");
        }
    }

    #[test]
    fn a_session_without_our_marker_is_another_businesss() {
        let (_, mut session) = session(|_| {});
        session.metadata.clear();
        assert_eq!(SubscriptionContract::of_session(&session), Ok(None));
        session.metadata.insert("fulfilment".to_owned(), "membersip".to_owned());
        assert!(SubscriptionContract::of_session(&session).is_err());
    }
}
