//! The settings of the payment page, and the question whether customers may be written to.

use std::ops::Range;

use fulfilment::{Answer, AskedIn, Policy, Question};
use stripe_events::Personal;
use toml::de::DeValue;

use super::table::{Fields, Findings};
use super::{HOMES, Line};

/// How the payment page shall be. Settings that are left out stay as they are.
#[derive(Debug, Default)]
pub(crate) struct Checkout {
    pub(crate) promotion_codes: Option<bool>,
    pub(crate) billing_address: Option<bool>,
    pub(crate) automatic_tax: Option<bool>,
    pub(crate) promotions_box: Option<bool>,
    pub(crate) marketing: Option<Marketing>,
}

/// A question of one's own: may we write to you?
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Marketing {
    pub(crate) question: String,
    pub(crate) yes: String,
    pub(crate) no: String,
}

/// The label of a custom field, and of an option of its dropdown.
/// <https://docs.stripe.com/api/payment-link/create#create_payment_link-custom_fields-label-custom>
const LONGEST_LABEL: usize = 100;

/// What Stripe took until 2026, and may still take of an account.
const SAFE_LABEL: usize = 50;

/// The key of the field that is made. A policy knows it.
const KEY: &str = "marketing";

const FIELDS: [&str; 5] =
    ["promotion_codes", "billing_address", "automatic_tax", "promotions_box", "marketing"];

const HOW: &str = "`marketing` is a question in quotes, or true for the one of policy.toml, or a table: \
                   marketing = { question = \"May we write to you?\", yes = \"Yes\", no = \"No\" }";

impl Checkout {
    /// Reads the table `[checkout]`. What is wrong is in the findings.
    pub(super) fn read(mut fields: Fields<'_, '_>, policy: &Policy) -> Self {
        let findings = fields.findings();
        let marketing =
            fields.take("marketing").and_then(|(at, value)| marketing(findings, &at, value, policy));
        let read = Self {
            promotion_codes: fields.switch("promotion_codes"),
            billing_address: fields.switch("billing_address"),
            automatic_tax: fields.switch("automatic_tax"),
            promotions_box: fields.switch("promotions_box"),
            marketing,
        };
        fields.finish(&FIELDS, HOMES);
        read
    }
}

/// The question as it is written; what is left out is the policy's.
#[derive(Default)]
struct Written {
    question: Option<String>,
    yes: Option<String>,
    no: Option<String>,
    language: Option<String>,
}

fn marketing(
    findings: &Findings<'_>,
    at: &Range<usize>,
    value: DeValue<'_>,
    policy: &Policy,
) -> Option<Marketing> {
    let written = match value {
        DeValue::Boolean(true) => Written::default(),
        DeValue::String(question) => Written {
            question: Some(findings.keep(at, label("question", question.into_owned()))?),
            ..Written::default()
        },
        DeValue::Table(table) => {
            let mut fields = Fields::new(findings, "`marketing`", at.clone(), table);
            let [question, yes, no, language] = ["question", "yes", "no", "language"].map(|name| {
                let text = fields.text::<{ usize::MAX }>(name);
                text.map(|(at, Line(text))| findings.keep(&at, label(name, text)))
            });
            fields.finish(&["question", "yes", "no", "language"], &[]);
            // What was written and is wrong has been reported.
            Written {
                question: question.map_or(Some(None), |text| text.map(Some))?,
                yes: yes.map_or(Some(None), |text| text.map(Some))?,
                no: no.map_or(Some(None), |text| text.map(Some))?,
                language: language.flatten(),
            }
        }
        DeValue::Boolean(false)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => {
            findings.error(at, HOW);
            return None;
        }
    };
    let asked = findings.keep(at, asked(written, policy))?;
    findings.keep(at, is_understood(&asked, policy))?;
    for (name, text) in [("question", &asked.question), ("yes", &asked.yes), ("no", &asked.no)] {
        let length = text.chars().count();
        if length > SAFE_LABEL {
            findings.warn(
                at,
                format!("`{name}` has {length} characters: Stripe may refuse more than {SAFE_LABEL}; shorten it if you can"),
            );
        }
    }
    if policy.marketing.language_of(&asked.question).is_none() {
        findings.warn(
            at,
            format!(
                "the question \"{}\" is new: have it added to `questions` in policy.toml, so that it is known on every \
                 link and its wording has a version",
                asked.question
            ),
        );
    }
    Some(asked)
}

/// A text that Stripe takes as a label.
fn label(name: &str, text: String) -> Result<String, String> {
    let line = Line::<LONGEST_LABEL>::try_from(text);
    line.map(|line| line.0).map_err(|problem| format!("`{name}`: {problem}"))
}

/// The question and its answers, as far as they are not written in the policy's words.
fn asked(written: Written, policy: &Policy) -> Result<Marketing, String> {
    let Written { question, yes, no, language } = written;
    let marketing = &policy.marketing;
    let known = |question: &String| marketing.language_of(question).map(str::to_owned);
    let language = language.or_else(|| question.as_ref().and_then(known)).unwrap_or_else(|| "en".to_owned());
    let of_policy = || {
        let question = marketing.question_in(&language).map(str::to_owned);
        let languages: Vec<_> = marketing.questions().map(|(language, _)| language).collect();
        question.ok_or_else(|| {
            format!(
                "policy.toml has no question in \"{language}\": write the question, or one of {}",
                languages.join(", ")
            )
        })
    };
    let question = question.map_or_else(of_policy, Ok)?;
    let [known_yes, known_no] =
        marketing.answers_in(&language).unwrap_or_else(|| ["Yes", "No"].map(str::to_owned));
    Ok(Marketing { question, yes: yes.unwrap_or(known_yes), no: no.unwrap_or(known_no) })
}

/// Whether both answers will count as what they are. `No problem` is no yes, whatever value is behind it.
fn is_understood(asked: &Marketing, policy: &Policy) -> Result<(), String> {
    for (name, label, value, expected) in
        [("yes", &asked.yes, "yes", Answer::Yes), ("no", &asked.no, "no", Answer::No)]
    {
        let chosen = Question {
            asked_in: AskedIn::CustomField(KEY.to_owned()),
            words: Some(asked.question.clone()),
            answer: Some(Personal::new(label.clone())),
            option_value: Some(Personal::new(value.to_owned())),
            is_choice: true,
        };
        if policy.marketing.understand(&chosen) != Some(expected) {
            return Err(format!(
                "the answer \"{label}\" would not count as a {name}: write {name} = \"{}\"",
                word(expected)
            ));
        }
    }
    Ok(())
}

const fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "Yes",
        Answer::No | Answer::NotUnderstood => "No",
    }
}
