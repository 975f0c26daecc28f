use std::collections::BTreeMap;

use serde::Deserialize;

use crate::policy_error::PolicyError;
use crate::words::{Words, shows};
use crate::{Answer, AskedIn, PageText, Question};

/// How a payment page asks whether the customer wants to be written to, and says that it will write.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketingPolicy {
    fields: Vec<String>,
    /// The questions about marketing in the words that customers read, by language.
    #[serde(default)]
    questions: BTreeMap<String, Wordings>,
    /// Questions that do not ask about marketing.
    #[serde(default)]
    other_fields: Vec<String>,
    yes: AnswerWords,
    no: AnswerWords,
    /// By version, then by language.
    #[serde(default)]
    notices: BTreeMap<String, BTreeMap<String, Wordings>>,
}

/// Words that mean yes or no. Policies of before 0.3.0 list them without their languages.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected lists of words, by language")]
enum AnswerWords {
    ByLanguage(BTreeMap<String, Vec<String>>),
    OfAnyLanguage(Vec<String>),
}

impl AnswerWords {
    fn all(&self) -> Vec<&String> {
        match self {
            Self::ByLanguage(languages) => languages.values().flatten().collect(),
            Self::OfAnyLanguage(words) => words.iter().collect(),
        }
    }

    /// Whether an answer is one of them.
    fn are(&self, answer: &Words) -> bool {
        self.all().into_iter().any(|phrase| Words::of(phrase) == *answer)
    }

    /// Whether an answer begins with one of them.
    fn begin(&self, answer: &Words) -> bool {
        self.all().into_iter().any(|phrase| answer.begin_with(&Words::of(phrase)))
    }

    /// Whether an answer has one of them in any place.
    fn are_in(&self, answer: &Words) -> bool {
        self.all().into_iter().any(|phrase| answer.contain(&Words::of(phrase)))
    }

    /// Whether it lists languages, and not this one.
    fn lacks(&self, language: &str) -> bool {
        match self {
            Self::ByLanguage(languages) => languages.get(language).is_none_or(Vec::is_empty),
            Self::OfAnyLanguage(_) => false,
        }
    }
}

/// The words of a notice or a question in a language: one text, or several that pages use side by side.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum Wordings {
    One(String),
    Several(Vec<String>),
}

impl Wordings {
    fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

impl MarketingPolicy {
    /// Whether a question asks about marketing, as far as the policy says: by the key of its field, or by the words
    /// that the customer read. The words count whatever the key is, because a marketer types them, and Stripe makes
    /// the key.
    pub fn asks(&self, question: &Question) -> bool {
        match &question.asked_in {
            AskedIn::CustomField(key) => self.field_asks(key, question.words.as_deref()),
            AskedIn::Promotions => true,
        }
    }

    fn field_asks(&self, key: &str, label: Option<&str>) -> bool {
        names(&self.fields, key) || label.is_some_and(|label| self.language_of(label).is_some())
    }

    /// The language of a question of the policy, by its words; `None` when it is none of them.
    pub fn language_of(&self, question: &str) -> Option<&str> {
        let words = Words::of(question);
        let is_it = |known: &String| !words.is_empty() && Words::of(known) == words;
        let (language, _) = self.questions.iter().find(|(_, known)| known.all().iter().any(is_it))?;
        Some(language)
    }

    /// The first question of a language, as a page shall ask it.
    pub fn question_in(&self, language: &str) -> Option<&str> {
        self.questions.get(language)?.all().first().map(String::as_str)
    }

    /// The languages of the questions, and every question.
    pub fn questions(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.questions.iter().map(|(language, known)| (language.as_str(), known.all()))
    }

    /// The first words of yes and of no of a language, with a capital letter, as a page offers them.
    pub fn answers_in(&self, language: &str) -> Option<[String; 2]> {
        let first = |words: &AnswerWords| match words {
            AnswerWords::ByLanguage(languages) => languages.get(language)?.first().map(|word| capital(word)),
            AnswerWords::OfAnyLanguage(_) => None,
        };
        Some([first(&self.yes)?, first(&self.no)?])
    }

    /// Whether the policy does not say what a question asks about. It may be a question about marketing under a key
    /// that was not written into the policy.
    pub fn is_unknown(&self, question: &Question) -> bool {
        match &question.asked_in {
            AskedIn::CustomField(key) => self.is_unknown_field(key, question.words.as_deref()),
            AskedIn::Promotions => false,
        }
    }

    /// Whether the policy does not say what a custom field asks about, by the field's key and its label.
    pub fn is_unknown_field(&self, key: &str, label: Option<&str>) -> bool {
        !self.field_asks(key, label) && !names(&self.other_fields, key)
    }

    /// What an answer means; `None` when the question was left open, which is the same as not asked.
    ///
    /// What the customer read or typed decides. The value behind an option decides only where its label is not
    /// understood, and it makes no yes of a label that holds a word of no.
    pub fn understand(&self, question: &Question) -> Option<Answer> {
        let answer = question.answer.as_ref()?.expose();
        if question.asked_in == AskedIn::Promotions {
            return Some(match answer.trim().to_lowercase().as_str() {
                "opt_in" => Answer::Yes,
                "opt_out" => Answer::No,
                _ => Answer::NotUnderstood,
            });
        }
        let read = Words::of(answer);
        let by_words = self.meaning(&read);
        let Some(value) = question.option_value.as_ref().filter(|_| by_words == Answer::NotUnderstood) else {
            return Some(by_words);
        };
        Some(match self.meaning(&Words::of(value.expose())) {
            Answer::Yes if self.no.are_in(&read) => Answer::NotUnderstood,
            by_value @ (Answer::Yes | Answer::No | Answer::NotUnderstood) => by_value,
        })
    }

    /// What the answers on a page mean. Where the policy names none of its questions, a refusal under an unknown key is
    /// an answer that is not understood: it may be one about marketing.
    pub(crate) fn answers<'a>(&self, questions: &'a [Question]) -> Vec<(&'a Question, Answer)> {
        let asked = questions.iter().filter(|question| self.asks(question));
        let answered: Vec<_> =
            asked.filter_map(|question| Some((question, self.understand(question)?))).collect();
        if !answered.is_empty() {
            return answered;
        }
        let unknown = questions.iter().filter(|question| self.is_unknown(question));
        let refusals = unknown.filter(|question| self.might_refuse(question));
        refusals.map(|question| (question, Answer::NotUnderstood)).collect()
    }

    /// Whether an answer might be one to a question about marketing: it holds a word of yes or no in any place, or is
    /// one of the choices of a dropdown, which may say yes and no in any words.
    pub fn might_consent(&self, question: &Question) -> bool {
        self.might_refuse(question) || answers(question).any(|words| self.yes.are_in(&words))
    }

    /// Whether an answer might be a refusal: it holds a word of no in any place, or is one of the choices of a
    /// dropdown. Of a question that the policy does not name, that is enough to assume nothing.
    pub fn might_refuse(&self, question: &Question) -> bool {
        let is_chosen = question.is_choice && question.answer.is_some();
        is_chosen || answers(question).any(|words| self.no.are_in(&words))
    }

    /// The first of a page's texts that shows a version of the notice in any language.
    pub fn notice_shown<'a>(&self, version: &str, texts: &'a [PageText]) -> Option<&'a PageText> {
        let notices = self.notices.get(version)?;
        let shows_one = |text: &PageText| {
            notices.values().flat_map(Wordings::all).any(|notice| shows(&text.text, notice))
        };
        texts.iter().find(|text| shows_one(text))
    }

    /// Whether the policy has the words of a version of the notice.
    pub fn has_words_of(&self, version: &str) -> bool {
        self.notices.get(version).is_some_and(|languages| !languages.is_empty())
    }

    /// An answer that begins with a word of no is a no, whatever follows. A yes is a yes alone.
    fn meaning(&self, answer: &Words) -> Answer {
        if self.yes.are(answer) {
            Answer::Yes
        } else if self.no.begin(answer) {
            Answer::No
        } else {
            Answer::NotUnderstood
        }
    }

    /// Checks that answers are understood in these languages.
    pub(crate) fn check_languages<'a>(
        &self,
        languages: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), PolicyError> {
        for language in languages {
            for (words, name) in [(&self.yes, "yes"), (&self.no, "no")] {
                if words.lacks(language) {
                    return Err(PolicyError::new(format!(
                        "[marketing] `{name}` has no words in `{language}`, a language products are shown in; a \
                         customer's answer in it would not be understood"
                    )));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let wrong = |problem: String| Err(PolicyError::new(format!("[marketing] {problem}")));
        let fields = self.fields.iter().collect();
        for (list, name) in [(fields, "fields"), (self.yes.all(), "yes"), (self.no.all(), "no")] {
            if list.is_empty() || list.iter().any(|word| word.trim().is_empty()) {
                return wrong(format!("`{name}` must list at least one word, and no empty ones"));
            }
        }
        let no: Vec<_> = self.no.all().into_iter().map(|word| tidy(word)).collect();
        if let Some(word) = self.yes.all().into_iter().find(|yes| no.contains(&tidy(yes))) {
            return wrong(format!("\"{word}\" is listed as a yes and as a no; it cannot be both"));
        }
        for (language, known) in &self.questions {
            let texts = known.all();
            if texts.is_empty() || texts.iter().any(|text| Words::of(text).len() < 2) {
                return wrong(format!(
                    "`questions` in \"{language}\" must be the questions as customers read them, in two words at \
                     least"
                ));
            }
        }
        if let Some(key) = self.other_fields.iter().find(|key| names(&self.fields, key)) {
            return wrong(format!(
                "\"{key}\" is listed in `fields` and in `other_fields`; it cannot be both"
            ));
        }
        for (version, languages) in &self.notices {
            // A word or two stand in every text.
            let short = languages.iter().find(|(_, wordings)| {
                let texts = wordings.all();
                texts.is_empty() || texts.iter().any(|text| text.split_whitespace().count() < 3)
            });
            if let Some((language, _)) = short {
                return wrong(format!(
                    "notice \"{version}\" in \"{language}\" must be the words as the payment page shows them, at \
                     least three"
                ));
            }
        }
        Ok(())
    }
}

/// The words of an answer: those that the customer read or typed, and those of the option's value.
fn answers(question: &Question) -> impl Iterator<Item = Words> {
    let answers = [&question.answer, &question.option_value].into_iter().flatten();
    answers.map(|answer| Words::of(answer.expose()))
}

fn names(fields: &[String], key: &str) -> bool {
    fields.iter().any(|field| tidy(field) == tidy(key))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Case and spacing, forgiven.
fn tidy(typed: &str) -> String {
    typed.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests;
