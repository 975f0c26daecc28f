use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stripe_events::Personal;

use crate::policy::ConsentPolicy;
use crate::{
    Answer, AskedIn, ConsentForm, ConsentName, FulfilmentKind, PaymentId, Policy, Question, SessionEvent,
    SessionOutcome, SupporterId,
};

/// What an answer rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The customer said so.
    Explicit,
    /// The customer bought, read the notice, and did not refuse. In the UK, PECR regulation 22(3) and (3A):
    /// <https://www.legislation.gov.uk/uksi/2003/2426/regulation/22>
    SoftOptIn,
}

/// Proof of one answer or assumption. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Partition key.
    pub supporter_id: SupporterId,
    /// Sort key: `evidence#…`. One a payment, consent and question, in the order they were answered.
    pub record: String,
    /// What it is about.
    pub consent: ConsentName,
    /// What the answer means.
    pub answer: Answer,
    /// What it rests on.
    pub basis: Basis,
    /// The answer as the customer read or typed it; `None` for an assumption.
    pub answer_given: Option<Personal<String>>,
    /// The value behind the chosen option of a dropdown. Rows of before 0.2.0 have it in `answer_given`.
    #[serde(default)]
    pub option_value: Option<Personal<String>>,
    /// Where it was asked. On an assumption: the question that stood there too and was left open.
    pub asked_in: Option<String>,
    /// The words the customer saw, as far as the event shows them: the question, or the text with the notice of a soft
    /// opt-in.
    pub words_shown: Option<String>,
    /// Where the notice of a soft opt-in stood: a text of the page, such as `custom_text.submit`, or
    /// `metadata.soft_opt_in` where the link asserts it. Rows of before 0.2.0 have none.
    #[serde(default)]
    pub notice_in: Option<String>,
    /// The version of those words, as `policy.toml` names it; `unknown` where it does not name the question.
    pub wording: String,
    /// The purchase.
    pub kind: FulfilmentKind,
    /// The language tag of the payment page.
    pub locale: Option<String>,
    /// Whose law applies: ISO 3166-1 alpha-2, from the billing address.
    pub country: Option<String>,
    /// `plink_…`
    pub payment_link_id: Option<String>,
    /// `cs_…`
    pub session_id: String,
    /// The key of the payment.
    pub payment_id: PaymentId,
    /// When it was answered, in Unix seconds.
    pub answered_at: i64,
}

/// Whether a supporter may be written to about one thing: the answer that counts.
///
/// Which one that is follows from all evidence, in any order: an explicit answer before an assumption, then the
/// newer one, then a no before a yes. All of it is in [`ConsentState::rank`], so that everybody who compares two
/// states, the table included, settles it the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentState {
    /// Partition key.
    pub supporter_id: SupporterId,
    /// Sort key: `state#` and the consent.
    pub record: String,
    /// What it is about.
    pub consent: ConsentName,
    /// [`Answer::Yes`] or [`Answer::No`].
    pub answer: Answer,
    /// What it rests on.
    pub basis: Basis,
    /// When it was answered, in Unix seconds.
    pub answered_at: i64,
    /// The record of its evidence.
    pub evidence: String,
    /// The greatest counts. Compares as text, byte by byte, as DynamoDB does.
    pub rank: String,
}

impl ConsentState {
    /// The state that follows from one piece of evidence; none from an answer that was not understood.
    fn of(evidence: &Evidence) -> Option<Self> {
        let caution = match evidence.answer {
            Answer::Yes => 0,
            Answer::No => 1,
            Answer::NotUnderstood => return None,
        };
        let strength = match evidence.basis {
            Basis::SoftOptIn => 0,
            Basis::Explicit => 1,
        };
        let at = evidence.answered_at;
        Some(Self {
            supporter_id: evidence.supporter_id.clone(),
            record: format!("state#{}", evidence.consent),
            consent: evidence.consent.clone(),
            answer: evidence.answer,
            basis: evidence.basis,
            answered_at: at,
            evidence: evidence.record.clone(),
            rank: format!("{strength}#{}#{caution}#{}", sortable(at), evidence.record),
        })
    }
}

/// Unix seconds as text that sorts like the number.
fn sortable(unix_seconds: i64) -> String {
    format!("{:010}", unix_seconds.max(0))
}

/// What one session event shows of a supporter's consents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consents {
    /// The answer, given or assumed.
    pub evidence: Vec<Evidence>,
    /// What follows from it, one a consent, if nothing that outranks it is there already.
    pub states: Vec<ConsentState>,
    /// The keys of custom fields with an answer of yes or no that the policy does not name. They may ask about
    /// marketing, and the operator has to say whether they do.
    pub unknown_questions: Vec<String>,
}

impl Consents {
    /// Reads a session's answers by the policy. Empty when nothing was answered and nothing may be assumed.
    ///
    /// An answer counts whatever becomes of the money. A soft opt-in is assumed of a sale, and there is none until
    /// the money is there.
    pub fn of(event: &SessionEvent, policy: &Policy, supporter_id: &SupporterId) -> Self {
        let marketing = &policy.marketing;
        let questions = &event.consent_form.questions;
        let asked: Vec<_> = questions.iter().filter(|question| marketing.asks(question)).collect();
        let answered = marketing.answers(questions);
        let unknown: Vec<_> = questions.iter().filter(|question| marketing.is_unknown(question)).collect();
        let mut evidence = BTreeMap::new();
        for consent in &policy.kind(event.link.kind).consents {
            let found: Vec<_> = if answered.is_empty() {
                assumed(event, policy, consent, &asked).into_iter().collect()
            } else {
                answered
                    .iter()
                    .map(|(question, answer)| explicit(policy, consent, question, *answer))
                    .collect()
            };
            for found in found {
                let found = found.filed(event, supporter_id);
                // Stripe allows a field once; a record twice would fail the write for good.
                evidence.entry(found.record.clone()).or_insert(found);
            }
        }
        let evidence: Vec<_> = evidence.into_values().collect();
        let mut states: BTreeMap<String, ConsentState> = BTreeMap::new();
        for state in evidence.iter().filter_map(ConsentState::of) {
            match states.get(&state.record) {
                Some(other) if other.rank >= state.rank => {}
                _ => {
                    states.insert(state.record.clone(), state);
                }
            }
        }
        let unknown = unknown.into_iter().filter(|question| marketing.might_consent(question));
        let key = |question: &Question| match &question.asked_in {
            AskedIn::CustomField(key) => Some(key.clone()),
            AskedIn::Promotions => None,
        };
        Self {
            evidence,
            states: states.into_values().collect(),
            unknown_questions: unknown.filter_map(key).collect(),
        }
    }

    /// Nothing was answered, nothing may be assumed.
    pub const fn is_empty(&self) -> bool {
        self.evidence.is_empty()
    }
}

/// What there is to say of one consent, before it is known whose it is.
struct Decision<'a> {
    consent: &'a ConsentPolicy,
    answer: Answer,
    basis: Basis,
    question: Option<&'a Question>,
    words_shown: Option<&'a String>,
    notice_in: Option<String>,
    wording: &'a str,
}

fn explicit<'a>(
    policy: &Policy,
    consent: &'a ConsentPolicy,
    question: &'a Question,
    answer: Answer,
) -> Decision<'a> {
    Decision {
        consent,
        answer,
        basis: Basis::Explicit,
        question: Some(question),
        words_shown: question.words.as_ref(),
        notice_in: None,
        wording: match question.asked_in {
            AskedIn::CustomField(_) if policy.marketing.is_unknown(question) => "unknown",
            AskedIn::CustomField(_) => &consent.question,
            // Stripe wrote that one.
            AskedIn::Promotions => "stripe",
        },
    }
}

/// A soft opt-in, where the policy has one for the customer's country and the page showed its notice. None from an
/// unknown country, whose law is not known either, none from a gift, which is no sale, and none from
/// before there was a notice.
fn assumed<'a>(
    event: &'a SessionEvent,
    policy: &Policy,
    consent: &'a ConsentPolicy,
    left_open: &[&'a Question],
) -> Option<Decision<'a>> {
    let soft_opt_in = consent.soft_opt_in.as_ref()?;
    let form = &event.consent_form;
    let is_sale = !event.amount.is_zero() || event.subscription_id.is_some();
    let is_paid = event.outcome == SessionOutcome::Paid;
    if !is_paid || !is_sale || form.answered_at < soft_opt_in.since {
        return None;
    }
    if !soft_opt_in.countries.contains(event.country.as_ref()?) {
        return None;
    }
    let shown = policy.marketing.notice_shown(&soft_opt_in.notice, &form.texts);
    let (words_shown, notice_in) = match shown {
        Some(text) => (Some(&text.text), text.place.clone()),
        None if form.notice_asserted => (None, format!("metadata.{}", ConsentForm::NOTICE_MARKER)),
        None => return None,
    };
    Some(Decision {
        consent,
        answer: Answer::Yes,
        basis: Basis::SoftOptIn,
        question: left_open.first().copied(),
        words_shown,
        notice_in: Some(notice_in),
        wording: &soft_opt_in.notice,
    })
}

impl Decision<'_> {
    fn filed(self, event: &SessionEvent, supporter_id: &SupporterId) -> Evidence {
        let consent = &self.consent.name;
        let answered_at = event.consent_form.answered_at;
        let asked_in = self.question.map(|question| question.asked_in.as_text());
        let (source, answer_given, option_value) = match self.basis {
            Basis::Explicit => {
                let question = self.question;
                let answer = question.and_then(|question| question.answer.clone());
                let value = question.and_then(|question| question.option_value.clone());
                (asked_in.as_deref().unwrap_or_default(), answer, value)
            }
            Basis::SoftOptIn => ("soft_opt_in", None, None),
        };
        Evidence {
            supporter_id: supporter_id.clone(),
            record: format!("evidence#{consent}#{}#{}#{source}", sortable(answered_at), event.payment_id),
            consent: consent.clone(),
            answer: self.answer,
            basis: self.basis,
            answer_given,
            option_value,
            asked_in,
            words_shown: self.words_shown.cloned(),
            notice_in: self.notice_in,
            wording: self.wording.to_owned(),
            kind: event.link.kind,
            locale: event.locale.clone(),
            country: event.country.clone(),
            payment_link_id: event.payment_link_id.clone(),
            session_id: event.session_id.clone(),
            payment_id: event.payment_id.clone(),
            answered_at,
        }
    }
}

#[cfg(test)]
mod tests;
