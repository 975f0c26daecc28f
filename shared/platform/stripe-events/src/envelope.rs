use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::read;
use crate::{DecodeError, Event, Object, Personal, without_lone_surrogates};

/// An event as it was delivered: from which source, and what.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Where it came in.
    pub source: Source,
    /// The event itself.
    pub event: Event,
    /// The mail that an operator asks for once more; none without such a request.
    pub resend: Option<Resend>,
    /// What an operator says the link's metadata should have been. It is in the event's session already, so that every
    /// reader of the event reads it; here it says that this is not what Stripe sent.
    pub contract: Option<CorrectedContract>,
}

/// The metadata that a Payment Link should have had: it replaces that of the session, key by key.
///
/// A session keeps the metadata it was made with, whatever becomes of its link. So a payment over a link with a typing
/// error can only be completed with the right words from elsewhere, which is an operator's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CorrectedContract(BTreeMap<String, String>);

impl CorrectedContract {
    /// One key and its right value.
    pub fn new(key: &str, value: &str) -> Self {
        Self([(key.to_owned(), value.to_owned())].into())
    }

    /// The event as it would have been over a right link. Events that are not about a session stay as they are.
    #[must_use]
    pub fn applied_to(&self, mut event: Event) -> Event {
        if let Event::Snapshot(snapshot) = &mut event
            && let Object::Session(session) = &mut snapshot.object
        {
            session.metadata.extend(self.0.clone());
        }
        event
    }
}

/// An operator asks for a mail once more. The event it is about was dealt with long ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resend {
    /// Names this request: however often it is delivered, it is one mail.
    pub id: String,
    /// Another address than the customer gave.
    pub to: Option<Personal<String>>,
}

/// Who put an envelope: three sources on the fulfilment bus, the operator on a task's queue, or none.
///
/// The source is the envelope's `source`. AWS lets only a partner use one that begins with
/// `aws.`, so `aws.partner/stripe.com/…` proves where an event came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Stripe's partner event source.
    Partner,
    /// Our `stripe-webhook` function.
    Webhook,
    /// Our `reconcile` function: a replay.
    Reconcile,
    /// The operator's command line, which puts its requests into a task's own queue.
    Operator,
    /// A bare event, or a source we do not know.
    Other,
}

impl Source {
    /// What Stripe's partner sources begin with.
    pub const PARTNER_PREFIX: &str = "aws.partner/stripe.com/";
    /// The source `stripe-webhook` puts on its events.
    pub const WEBHOOK_SOURCE: &str = "afterlink.webhook";
    /// The source `reconcile` puts on its events.
    pub const RECONCILE_SOURCE: &str = "afterlink.reconcile";
    /// The source the operator's command line puts on its requests.
    pub const OPERATOR_SOURCE: &str = "afterlink.operator";

    fn from_source(source: &str) -> Self {
        match source {
            Self::WEBHOOK_SOURCE => Self::Webhook,
            Self::RECONCILE_SOURCE => Self::Reconcile,
            Self::OPERATOR_SOURCE => Self::Operator,
            _ if source.starts_with(Self::PARTNER_PREFIX) => Self::Partner,
            _ => Self::Other,
        }
    }
}

impl Delivered {
    /// Reads an EventBridge envelope, or a bare event when there is none around it.
    ///
    /// The envelope's own `id` and `time` are not read: its id changes with every delivery, and the event has
    /// both itself.
    ///
    /// From the operator the detail is no event but a request, with the event it is about inside
    /// ([`Delivered::resend_json`], [`Delivered::complete_json`]). From any other source it is an event and nothing
    /// else.
    ///
    /// # Errors
    ///
    /// Every error is permanent: the same bytes will never decode.
    pub fn from_json(body: &[u8]) -> Result<Self, DecodeError> {
        let body = without_lone_surrogates(body);
        let mut body: Value = serde_json::from_slice(&body).map_err(|error| DecodeError::not_json(&error))?;
        let Some(mut detail) = body.get_mut("detail").map(Value::take) else {
            let event = Event::from_value(body)?;
            return Ok(Self { source: Source::Other, event, resend: None, contract: None });
        };
        let source = body.get("source").and_then(Value::as_str).unwrap_or_default();
        let source = Source::from_source(source);
        if source != Source::Operator {
            return Ok(Self { source, event: Event::from_value(detail)?, resend: None, contract: None });
        }
        let text = |name: &str| detail.get(name).and_then(Value::as_str).map(str::to_owned);
        let resend = text("resend_id").filter(|id| !id.is_empty());
        let resend = resend.map(|id| Resend { id, to: text("to").map(Personal::new) });
        let contract = detail.get_mut("contract").map(Value::take).filter(|contract| !contract.is_null());
        let contract: Option<CorrectedContract> =
            contract.map(|contract| read("contract", contract)).transpose()?;
        if resend.is_none() && contract.is_none() {
            return Err(DecodeError::NotAnEvent);
        }
        let event = detail.get_mut("event").map(Value::take).ok_or(DecodeError::NotAnEvent)?;
        let event = Event::from_value(event)?;
        let event = match &contract {
            Some(contract) => contract.applied_to(event),
            None => event,
        };
        Ok(Self { source, event, resend, contract })
    }

    /// The message body that asks for a mail once more: `event` is Stripe's, byte for byte.
    ///
    /// # Errors
    ///
    /// Never in practice: there is nothing in it that JSON cannot say.
    pub fn resend_json(
        event: &RawValue,
        resend: &Resend,
        contract: Option<&CorrectedContract>,
    ) -> Result<String, serde_json::Error> {
        let detail = RequestDetail { event, resend_id: Some(&resend.id), to: resend.to.as_ref(), contract };
        envelope_json(Source::OPERATOR_SOURCE, "afterlink.resend", detail)
    }

    /// The message body that brings an event to a task's queue with the contract its link should have had: `event` is
    /// Stripe's, byte for byte.
    ///
    /// # Errors
    ///
    /// As [`Delivered::resend_json`].
    pub fn complete_json(
        event: &RawValue,
        contract: &CorrectedContract,
    ) -> Result<String, serde_json::Error> {
        let detail = RequestDetail { event, resend_id: None, to: None, contract: Some(contract) };
        envelope_json(Source::OPERATOR_SOURCE, "afterlink.complete", detail)
    }

    /// The message body that brings an event to a task's queue once more, as the bus would: `event` is Stripe's,
    /// byte for byte.
    ///
    /// # Errors
    ///
    /// As [`Delivered::resend_json`].
    pub fn replay_json(event: &RawValue, event_type: &str) -> Result<String, serde_json::Error> {
        envelope_json(Source::RECONCILE_SOURCE, event_type, event)
    }
}

/// The parts of EventBridge's envelope that anybody reads.
///
/// <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>
fn envelope_json<D: Serialize>(
    source: &str,
    detail_type: &str,
    detail: D,
) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Envelope<'a, D> {
        source: &'a str,
        detail_type: &'a str,
        detail: D,
    }
    serde_json::to_string(&Envelope { source, detail_type, detail })
}

#[derive(Serialize)]
struct RequestDetail<'a> {
    event: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    resend_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a Personal<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract: Option<&'a CorrectedContract>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"object":"event","id":"evt_1","type":"x","created":1795000000,"livemode":false,"data":{"object":{"object":"x"}}}"#;

    #[test]
    fn a_resend_request_names_its_event() {
        let event: Box<RawValue> = serde_json::from_str(EVENT).unwrap();
        for to in [None, Some(Personal::new("ada@example.org".to_owned()))] {
            let resend = Resend { id: "r-1".to_owned(), to };
            let read =
                Delivered::from_json(Delivered::resend_json(&event, &resend, None).unwrap().as_bytes())
                    .unwrap();
            assert_eq!(
                (read.source, read.event.id(), read.resend),
                (Source::Operator, "evt_1", Some(resend))
            );
        }
    }

    #[test]
    fn a_replay_is_the_event_byte_for_byte() {
        let event: Box<RawValue> = serde_json::from_str(&EVENT.replace(':', " : ")).unwrap();
        let body = Delivered::replay_json(&event, "x").unwrap();
        assert!(body.contains(event.get()), "{body}");
        let read = Delivered::from_json(body.as_bytes()).unwrap();
        assert_eq!((read.source, read.event.id(), read.resend), (Source::Reconcile, "evt_1", None));
    }

    fn metadata(event: &Event) -> &BTreeMap<String, String> {
        let Event::Snapshot(event) = event else { panic!("thin") };
        let Object::Session(session) = &event.object else { panic!("no session") };
        &session.metadata
    }

    const BROKEN: &str = r#"{"object":"event","id":"evt_1","type":"checkout.session.completed","created":1795000000,
        "livemode":false,"data":{"object":{"object":"checkout.session","id":"cs_1",
        "metadata":{"fulfilment":"donation","campaign":"autumn"}}}}"#;

    #[test]
    fn a_corrected_contract_is_read_as_if_the_link_had_been_right() {
        let event: Box<RawValue> = serde_json::from_str(BROKEN).unwrap();
        let contract = CorrectedContract::new("fulfilment", "contribution");
        let body = Delivered::complete_json(&event, &contract).unwrap();
        let read = Delivered::from_json(body.as_bytes()).unwrap();
        assert_eq!(
            (read.source, &read.resend, &read.contract),
            (Source::Operator, &None, &Some(contract.clone()))
        );
        assert_eq!(metadata(&read.event)["fulfilment"], "contribution");
        assert_eq!(metadata(&read.event)["campaign"], "autumn");
        let resend = Resend { id: "r-1".to_owned(), to: None };
        let body = Delivered::resend_json(&event, &resend, Some(&contract)).unwrap();
        let read = Delivered::from_json(body.as_bytes()).unwrap();
        assert_eq!((read.resend, read.contract), (Some(resend), Some(contract)));
        assert_eq!(metadata(&read.event)["fulfilment"], "contribution");
    }

    #[test]
    fn only_the_operator_corrects_a_contract() {
        let corrected = |event: &str| {
            let detail = format!(r#"{{"contract":{{"fulfilment":"download"}},{}"#, &event[1..]);
            let wrapped = format!(r#"{{"event":{event},"contract":{{"fulfilment":"download"}}}}"#);
            [detail, wrapped]
        };
        for source in
            ["aws.partner/stripe.com/ed_1", "afterlink.webhook", "afterlink.reconcile", "afterlink", "else"]
        {
            for detail in corrected(BROKEN) {
                let body = format!(
                    r#"{{"source":"{source}","contract":{{"fulfilment":"download"}},"detail":{detail}}}"#
                );
                if let Ok(read) = Delivered::from_json(body.as_bytes()) {
                    assert_eq!(read.contract, None, "{source}");
                    assert_eq!(metadata(&read.event)["fulfilment"], "donation", "{source}");
                }
            }
        }
        for contract in ["null", "7", "[]", r#"{"fulfilment":7}"#] {
            let body = format!(
                r#"{{"source":"afterlink.operator","detail":{{"event":{BROKEN},"contract":{contract}}}}}"#
            );
            assert!(Delivered::from_json(body.as_bytes()).is_err(), "{contract}");
        }
    }

    #[test]
    fn only_the_operators_source_leads_to_another_mail() {
        let wish = r#"{"event":EVENT,"resend_id":"r-1"}"#.replace("EVENT", EVENT);
        for source in ["aws.partner/stripe.com/ed_1", "afterlink.webhook", "afterlink.reconcile", "else"] {
            let body = format!(r#"{{"source":"{source}","detail":{wish}}}"#);
            assert!(
                matches!(Delivered::from_json(body.as_bytes()), Err(DecodeError::NotAnEvent)),
                "{source}"
            );
        }
        for detail in [EVENT.to_owned(), wish.replace("r-1", "")] {
            let body = format!(r#"{{"source":"afterlink.operator","detail":{detail}}}"#);
            assert!(
                matches!(Delivered::from_json(body.as_bytes()), Err(DecodeError::NotAnEvent)),
                "{detail}"
            );
        }
    }
}
