//! A message of a dead-letter queue, and the effects it asks for.

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use catalogue::Task;
use effect_ledger::{Effect, EffectKey, EffectRow, EffectState};
use fulfilment::{ExpectedEffects, PaymentId, Policy, effects};
use sha2::Digest as _;
use stripe_events::{Delivered, Event, Object};

use crate::page::Time;

/// The reason of a message that has none: SQS moved it, because the function never answered for it.
pub(crate) const NO_REASON: &str = "tries used up";

/// A message of a dead-letter queue.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetter {
    pub(crate) body: String,
    pub(crate) reason: Option<String>,
    pub(crate) cause: Option<String>,
    /// When it was first sent.
    pub(crate) sent_at: Option<Time>,
    pub(crate) payment_id: Option<PaymentId>,
    /// `plink_…`, of a session.
    pub(crate) payment_link: Option<String>,
    pub(crate) event_id: Option<String>,
    /// The id of an operator's request for a mail once more.
    pub(crate) resend_id: Option<String>,
    pub(crate) id: String,
    /// With which it is hidden, released or deleted.
    pub(super) receipt: String,
}

impl DeadLetter {
    pub(crate) fn of(message: Message) -> Option<Self> {
        let text = |name: &str| {
            let attribute = message.message_attributes.as_ref()?.get(name)?;
            attribute.string_value.clone()
        };
        let sent_at = message.attributes.as_ref().and_then(|attributes| {
            attributes.get(&MessageSystemAttributeName::SentTimestamp)?.parse().ok().map(Time)
        });
        let reason = text("reason").or_else(|| text("ERROR_CODE"));
        let cause = text("cause").or_else(|| text("ERROR_MESSAGE"));
        let body = message.body?;
        let delivered = Delivered::from_json(body.as_bytes()).ok();
        let resend_id = delivered.as_ref().and_then(|delivered| Some(delivered.resend.as_ref()?.id.clone()));
        let event = delivered.map(|delivered| delivered.event);
        let payment_id = match &event {
            Some(Event::Snapshot(event)) => PaymentId::of_event(event),
            Some(Event::Thin(_)) | None => None,
        };
        let payment_link = event.as_ref().and_then(payment_link_of).map(str::to_owned);
        let event_id = event.map(|event| event.id().to_owned());
        let id = message.message_id?;
        let receipt = message.receipt_handle?;
        Some(Self {
            body,
            reason,
            cause,
            sent_at,
            payment_id,
            payment_link,
            event_id,
            resend_id,
            id,
            receipt,
        })
    }

    /// What it calls for: the effects of all tasks, or the mail that an operator asked for.
    pub(crate) fn calls_for(&self, livemode: bool) -> Vec<Effect> {
        let delivered = Delivered::from_json(self.body.as_bytes()).ok().zip(Policy::compiled_in().ok());
        let expected = delivered
            .and_then(|(delivered, policy)| ExpectedEffects::from_event(&delivered.event, livemode, &policy));
        let effects = expected.map(|expected| expected.effects).unwrap_or_default().into_iter();
        match &self.resend_id {
            Some(id) => effects
                .filter(|effect| Task::of_effect(effect) == Some(Task::ThankYouEmail))
                .map(|effect| effects::resent(&effect, id))
                .collect(),
            None => effects.collect(),
        }
    }

    /// The effects of a task that it asks for: those that its event calls for, and those that the ledger has of it.
    /// The second mail of a purchase of files is asked for by the same message as the first.
    pub(crate) fn asks_of(&self, task: Task, rows: &[EffectRow], livemode: bool) -> Vec<Effect> {
        let is_of_task = |effect: &Effect| Task::of_effect(effect) == Some(task);
        let mut asked: Vec<_> = self.calls_for(livemode).into_iter().filter(is_of_task).collect();
        let second = effects::email("files-ready");
        for row in rows.iter().filter(|row| is_of_task(&row.effect)) {
            if asked.contains(&row.effect) {
                continue;
            }
            let is_same = row.event_id.is_some()
                && row.event_id == self.event_id
                && effects::resend_id(&row.effect) == self.resend_id.as_deref();
            let is_second = row.effect == second && self.resend_id.is_none() && !asked.is_empty();
            if is_same || is_second {
                asked.push(row.effect.clone());
            }
        }
        asked
    }

    /// Whether nothing that it asks of a task is left to do.
    pub(crate) fn is_settled(&self, task: Task, rows: &[EffectRow], livemode: bool) -> bool {
        let is_over = |row: &EffectRow| {
            matches!(row.state, EffectState::Done | EffectState::Skipped { .. } | EffectState::Unknown { .. })
        };
        let asked = self.asks_of(task, rows, livemode);
        !asked.is_empty()
            && asked.iter().all(|effect| rows.iter().any(|row| row.effect == *effect && is_over(row)))
    }

    /// Whether it is the message of an effect: it holds the event that the effect's row names, or calls for the effect.
    /// The message of a mail that an operator asked for is that of no other mail, though its event is the same.
    pub(crate) fn is_of(&self, key: &EffectKey, event_id: Option<&str>, livemode: bool) -> bool {
        self.resend_id.as_deref() == effects::resend_id(&key.effect)
            && (event_id.is_some() && self.event_id.as_deref() == event_id
                || self.payment_id.as_deref() == Some(&key.subject)
                    && self.calls_for(livemode).contains(&key.effect))
    }

    /// The payment as reports name it: a session's id is shortened.
    pub(crate) fn reference(&self) -> Option<String> {
        self.payment_id.as_ref().map(|payment_id| payment_id.reference().into_owned())
    }

    /// The short name people search by.
    pub(crate) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(NO_REASON)
    }

    /// What it asks for, so that the same request is known when it comes again in another message.
    pub(crate) fn request(&self) -> String {
        match &self.event_id {
            Some(event_id) => format!("{event_id} {}", self.resend_id.as_deref().unwrap_or_default()),
            None => self.body.clone(),
        }
    }

    /// What the ledger keeps of it when it leaves the queue: what it is about and its fingerprint, none of its text.
    pub(crate) fn described(&self) -> String {
        let event = self.event_id.as_deref().unwrap_or("an unreadable event");
        let request = self.resend_id.as_ref().map(|id| format!(", resend {id}")).unwrap_or_default();
        let digest = hex::encode(sha2::Sha256::digest(self.body.as_bytes()));
        format!("{event}{request} in the DLQ ({}), message {}, sha256 {digest}", self.reason(), self.id)
    }
}

/// The Payment Link of the session that an event is about.
pub(crate) fn payment_link_of(event: &Event) -> Option<&str> {
    let Event::Snapshot(event) = event else { return None };
    let Object::Session(session) = &event.object else { return None };
    session.payment_link.as_deref()
}

#[cfg(test)]
mod tests {
    use stripe_events::Resend;
    use testkit::queue::envelope;
    use testkit::stripe::SessionEvent;

    use super::*;

    fn message(body: String) -> DeadLetter {
        let message = Message::builder().body(body).message_id("m-1").receipt_handle("r-1").build();
        DeadLetter::of(message).unwrap()
    }

    #[test]
    fn the_first_mail_and_those_that_operators_asked_for_have_their_own_messages() {
        let event = SessionEvent::paid().to_json();
        let raw: Box<serde_json::value::RawValue> = serde_json::from_str(&event.to_string()).unwrap();
        let resend = |id: &str| {
            let resend = Resend { id: id.to_owned(), to: None };
            message(Delivered::resend_json(&raw, &resend, None).unwrap())
        };
        let messages = [message(envelope("afterlink.webhook", &event)), resend("r-1"), resend("r-2")];
        let first = effects::email("thank-you");
        let effects = [first.clone(), effects::resent(&first, "r-1"), effects::resent(&first, "r-2")];
        let event_id = messages[0].event_id.clone();
        for (place, message) in messages.iter().enumerate() {
            for (other, effect) in effects.iter().enumerate() {
                let key = EffectKey::new("pi_Example", effect.clone());
                for event_id in [None, event_id.as_deref()] {
                    assert_eq!(message.is_of(&key, event_id, false), place == other, "{effect} {event_id:?}");
                }
            }
        }
    }

    #[test]
    fn a_message_without_a_row_is_found_by_what_it_calls_for() {
        let message = message(envelope("afterlink.webhook", &SessionEvent::paid().to_json()));
        let key = |payment: &str, effect| EffectKey::new(payment, effect);
        for (key, expected) in [
            (key("pi_Example", effects::acquisition()), true),
            (key("pi_Another", effects::acquisition()), false),
            (key("pi_Example", effects::contribution_refund("re_1")), false),
        ] {
            assert_eq!(message.is_of(&key, None, false), expected, "{key:?}");
            assert_eq!(message.is_of(&key, Some("evt_Another"), false), expected, "{key:?}");
        }
    }
}
