use serde::{Deserialize, Serialize};
use stripe_events::{
    CheckoutSession, CustomField, CustomText, CustomTextMessage, Event, EventType, Object, Personal,
    Promotions, SnapshotEvent,
};

use crate::{MetadataKey, words};

/// What a payment page said and asked about marketing, and what the customer answered: read, not yet understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsentForm {
    /// When the customer answered, in Unix seconds.
    pub answered_at: i64,
    /// Every question on the page: which of them ask about marketing is for the policy to say.
    pub questions: Vec<Question>,
    /// Every text of the marketer's that the page showed.
    pub texts: Vec<PageText>,
    /// The link asserts that its page shows the notice of a soft opt-in where no event can show it, with the metadata
    /// [`ConsentForm::NOTICE_MARKER`].
    pub notice_asserted: bool,
}

/// A question on a payment page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Where it stood.
    pub asked_in: AskedIn,
    /// Its words, as the customer saw them. Stripe does not say those of its own box.
    pub words: Option<String>,
    /// The answer as the customer read or typed it; `None` when it was left open. A text field holds whatever a person
    /// types.
    pub answer: Option<Personal<String>>,
    /// The value behind the chosen option of a dropdown, where `answer` is the option's label.
    pub option_value: Option<Personal<String>>,
    /// Whether the answer is one of several that the page offers: the field is a dropdown.
    pub is_choice: bool,
}

/// A text on a payment page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageText {
    /// Where it stood, as the evidence says it: `custom_text.submit`.
    pub place: String,
    /// The text, which may hold Markdown.
    pub text: String,
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

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The customer may be written to.
    Yes,
    /// The customer may not be written to.
    No,
    /// Neither a yes nor a no that we know. Recorded, and changes nothing.
    NotUnderstood,
}

impl ConsentForm {
    /// The metadata key with which a link asserts that its page shows the notice of a soft opt-in. Its value is
    /// `shown`.
    pub const NOTICE_MARKER: &str = MetadataKey::SoftOptIn.name();

    /// Whether a link's metadata asserts that its page shows the notice. Any value but `shown` asserts nothing.
    pub fn asserts_notice(value: &str) -> bool {
        words::Words::of(value) == words::Words::of("shown")
    }

    /// Whether the customer answered any question, so that there may be something to record of it before the money has
    /// come.
    pub fn is_answered(&self) -> bool {
        self.questions.iter().any(|question| question.answer.is_some())
    }

    /// The form of a session event; `None` for other events. Also of a session that is otherwise broken.
    pub fn of_event(event: &Event) -> Option<Self> {
        let Event::Snapshot(event) = event else { return None };
        let Object::Session(session) = &event.object else { return None };
        Some(Self::of(event, session))
    }

    pub(crate) fn of(event: &SnapshotEvent, session: &CheckoutSession) -> Self {
        let promotions = session.consent.as_ref().and_then(|consent| consent.promotions.as_ref());
        let promotions = promotions.map(|answer: &Promotions| Question {
            asked_in: AskedIn::Promotions,
            words: None,
            answer: Some(Personal::new(answer.as_str().to_owned())),
            option_value: None,
            is_choice: true,
        });
        let marker = session.metadata.get(Self::NOTICE_MARKER);
        Self {
            answered_at: answered_at(event, session),
            questions: session.custom_fields.iter().map(question).chain(promotions).collect(),
            texts: texts(session),
            notice_asserted: marker.is_some_and(|value| Self::asserts_notice(value)),
        }
    }
}

fn question(field: &CustomField) -> Question {
    // Blanks and invisible characters are no answer.
    let has_words = |text: &str| !words::Words::of(text).is_empty();
    let personal = |text: &str| Personal::new(text.to_owned());
    let dropdown = field.dropdown.as_ref();
    let value = dropdown.and_then(|dropdown| dropdown.value.clone());
    let label = dropdown.and_then(|dropdown| dropdown.chosen_label()).filter(|label| has_words(label));
    let typed = [&field.text, &field.numeric].into_iter().flatten();
    let mut typed = typed.filter_map(|answer| answer.value.clone()).filter(|typed| has_words(typed.expose()));
    let (answer, option_value) = match label {
        Some(label) => (Some(personal(label)), value),
        None => (value.or_else(|| typed.next()), None),
    };
    Question {
        asked_in: AskedIn::CustomField(field.key.clone()),
        words: field.label.as_ref().and_then(|label| label.custom.clone()),
        answer,
        option_value,
        is_choice: dropdown.is_some(),
    }
}

impl PageText {
    /// The marketer's texts on a page, of its link or of its session. Those beside an address or a box are shown only
    /// where the page has these.
    pub fn of_page(
        custom_text: Option<&CustomText>,
        fields: &[CustomField],
        asks_address: bool,
        asks_terms: bool,
    ) -> Vec<Self> {
        let text = |place: &str, text: Option<&String>| {
            text.map(|text| Self { place: place.to_owned(), text: text.clone() })
        };
        let custom = |is_shown: bool, place: &str, choose: fn(&CustomText) -> &Option<CustomTextMessage>| {
            let message = custom_text.and_then(|custom| choose(custom).as_ref()).filter(|_| is_shown);
            text(place, message.and_then(|message| message.message.as_ref()))
        };
        let custom = [
            custom(true, "custom_text.submit", |custom| &custom.submit),
            custom(true, "custom_text.after_submit", |custom| &custom.after_submit),
            custom(asks_address, "custom_text.shipping_address", |custom| &custom.shipping_address),
            custom(asks_terms, "custom_text.terms_of_service_acceptance", |custom| {
                &custom.terms_of_service_acceptance
            }),
        ];
        let labels = fields.iter().map(|field| {
            let label = field.label.as_ref().and_then(|label| label.custom.as_ref());
            text(&AskedIn::CustomField(field.key.clone()).as_text(), label)
        });
        custom.into_iter().chain(labels).flatten().collect()
    }
}

fn texts(session: &CheckoutSession) -> Vec<PageText> {
    let asked_terms = session.consent.as_ref().is_some_and(|consent| consent.terms_of_service.is_some());
    PageText::of_page(
        session.custom_text.as_ref(),
        &session.custom_fields,
        session.shipping_address_collection.is_some(),
        asked_terms,
    )
}

/// The customer answered when they finished, which `completed` reports. The money of a delayed payment comes
/// days later: dated by that event, an old answer would win over one the same person gave in between. What is left
/// is when the page was opened, a day before the answer at most.
fn answered_at(event: &SnapshotEvent, session: &CheckoutSession) -> i64 {
    if event.event_type == EventType::SessionCompleted {
        event.created
    } else {
        session.created.unwrap_or(event.created).min(event.created)
    }
}
