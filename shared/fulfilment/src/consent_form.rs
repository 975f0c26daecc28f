use stripe_events::{CheckoutSession, CustomField, EventType, Personal, Promotions, SnapshotEvent};

/// What a payment page said and asked about marketing, and what the customer answered: read, not yet understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsentForm {
    /// When the customer answered, in Unix seconds.
    pub answered_at: i64,
    /// Every question on the page: which of them ask about marketing is for the policy to say.
    pub questions: Vec<Question>,
    /// The marketer's text beside the button that pays: where a soft opt-in is announced.
    pub notice: Option<String>,
}

/// A question on a payment page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Where it stood.
    pub asked_in: AskedIn,
    /// Its words, as the customer saw them. Stripe does not tell those of its own box.
    pub words: Option<String>,
    /// The answer as it was given; `None` when it was left open. A text field holds whatever a person types.
    pub answer: Option<Personal<String>>,
}

/// Where on a payment page a question stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedIn {
    /// A custom field of the marketer's, by its key.
    CustomField(String),
    /// Stripe's own box for promotions.
    Promotions,
}

impl AskedIn {
    /// The place in the record.
    pub fn as_text(&self) -> String {
        match self {
            Self::CustomField(key) => format!("custom_field:{key}"),
            Self::Promotions => "consent.promotions".to_owned(),
        }
    }
}

impl ConsentForm {
    pub(crate) fn of(event: &SnapshotEvent, session: &CheckoutSession) -> Self {
        let promotions = session.consent.as_ref().and_then(|consent| consent.promotions.as_ref());
        let promotions = promotions.map(|answer: &Promotions| Question {
            asked_in: AskedIn::Promotions,
            words: None,
            answer: Some(Personal::new(answer.as_str().to_owned())),
        });
        let submit = session.custom_text.as_ref().and_then(|text| text.submit.as_ref());
        Self {
            answered_at: answered_at(event, session),
            questions: session.custom_fields.iter().map(question).chain(promotions).collect(),
            notice: submit.and_then(|submit| submit.message.clone()),
        }
    }
}

fn question(field: &CustomField) -> Question {
    let answers = [&field.dropdown, &field.text, &field.numeric];
    Question {
        asked_in: AskedIn::CustomField(field.key.clone()),
        words: field.label.as_ref().and_then(|label| label.custom.clone()),
        answer: answers.into_iter().flatten().find_map(|answer| answer.value.clone()),
    }
}

/// The customer answered when they finished, which is what `completed` tells. The money of a delayed payment comes
/// days later: dated by that event, an old answer would win over one the same person gave in between. What is left
/// is when the page was opened, a day before the answer at most.
fn answered_at(event: &SnapshotEvent, session: &CheckoutSession) -> i64 {
    if event.event_type == EventType::SessionCompleted {
        event.created
    } else {
        session.created.unwrap_or(event.created)
    }
}
