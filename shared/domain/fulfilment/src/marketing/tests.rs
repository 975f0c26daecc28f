use stripe_events::Personal;

use super::*;
use crate::Policy;

fn policy() -> MarketingPolicy {
    Policy::compiled_in().unwrap().marketing
}

fn field(key: &str, answer: Option<&str>) -> Question {
    question(AskedIn::CustomField(key.to_owned()), answer, None)
}

fn question(asked_in: AskedIn, answer: Option<&str>, value: Option<&str>) -> Question {
    let personal = |text: &str| Personal::new(text.to_owned());
    let option_value = value.map(personal);
    let is_choice = option_value.is_some();
    Question { asked_in, words: None, answer: answer.map(personal), option_value, is_choice }
}

#[test]
fn understands_yes_and_no_in_every_language_of_the_mails() {
    use Answer::{No, NotUnderstood, Yes};
    for (answer, expected) in [
        ("yes", Yes),
        ("  YES\u{a0}", Yes),
        ("Yes.", Yes),
        ("¡Yes!", Yes),
        ("\u{feff}Yes", Yes),
        ("Ｙｅｓ", Yes),
        ("Yes 👍", Yes),
        ("Ja", Yes),
        ("« oui »", Yes),
        ("no", No),
        ("No.", No),
        ("NO!!", No),
        ("Nein!", No),
        ("“Non”", No),
        ("No\n", No),
        ("n\u{200b}o", No),
        ("ＮＯ", No),
        ("no thanks", No),
        ("No, never", No),
        ("nein danke", No),
        ("Non, merci.", No),
        ("Not really", No),
        ("never", No),
        ("Don’t", No),
        ("do not write to me", No),
        ("no, yes, no", No),
        ("yes please", NotUnderstood),
        ("yes but not on Sundays", NotUnderstood),
        ("yes no", NotUnderstood),
        ("yes / no", NotUnderstood),
        ("notable", NotUnderstood),
        ("nobody", NotUnderstood),
        ("noon", NotUnderstood),
        ("1", NotUnderstood),
        ("true", NotUnderstood),
        ("opt_in", NotUnderstood),
        ("👎", NotUnderstood),
        ("?", NotUnderstood),
    ] {
        assert_eq!(policy().understand(&field("marketing", Some(answer))), Some(expected), "{answer}");
    }
    assert_eq!(policy().understand(&field("marketing", None)), None);
    let box_ = |answer: &str| policy().understand(&question(AskedIn::Promotions, Some(answer), None));
    assert_eq!([box_("opt_in"), box_("opt_out"), box_("yes")], [Some(Yes), Some(No), Some(NotUnderstood)]);
}

#[test]
fn what_the_customer_read_decides_before_the_value_behind_it() {
    use Answer::{No, NotUnderstood, Yes};
    for (label, value, expected) in [
        ("Yes", "1", Yes),
        ("No", "no2", No),
        ("No", "yes", No),
        ("Yes", "no", Yes),
        ("Yes, please", "yes", Yes),
        ("Keep me posted", "yes", Yes),
        ("Rather by post", "no", No),
        ("Please, no mails", "yes", NotUnderstood),
        ("I would not", "yes", NotUnderstood),
        ("No, thank you", "2", No),
        ("Maybe", "2", NotUnderstood),
    ] {
        let chosen = question(AskedIn::CustomField("marketing".to_owned()), Some(label), Some(value));
        assert_eq!(policy().understand(&chosen), Some(expected), "{label} {value}");
    }
}

#[test]
fn words_that_the_policy_lists_are_understood_as_they_stand() {
    let text = "fields = ['marketing']\nyes = ['no problem', '1', '👍']\nno = ['no', '👎']";
    let policy: MarketingPolicy = toml::from_str(text).unwrap();
    policy.check().unwrap();
    for (answer, expected) in [
        ("No problem!", Answer::Yes),
        ("1", Answer::Yes),
        ("👍🏽", Answer::Yes),
        ("no", Answer::No),
        ("👎", Answer::No),
    ] {
        assert_eq!(policy.understand(&field("marketing", Some(answer))), Some(expected), "{answer}");
    }
}

#[test]
fn only_the_fields_the_policy_names_ask_about_marketing() {
    let mut policy = policy();
    let asks = |key: &str| policy.asks(&field(key, Some("yes")));
    assert!(asks("marketing") && asks("Marketing"));
    assert!(!asks("company") && !asks("marketing2") && !asks(""));
    assert!(policy.asks(&question(AskedIn::Promotions, None, None)));
    let unknown = |policy: &MarketingPolicy, key: &str| policy.is_unknown(&field(key, None));
    assert!(unknown(&policy, "tshirt") && !unknown(&policy, "marketing"));
    assert!(!policy.is_unknown(&question(AskedIn::Promotions, None, None)));
    policy.other_fields = vec!["TShirt".to_owned()];
    assert!(!unknown(&policy, "tshirt"));
}

#[test]
fn a_question_is_known_by_its_words() {
    let mut policy = policy();
    let asked = |key: &str, label: &str| Question {
        words: Some(label.to_owned()),
        ..question(AskedIn::CustomField(key.to_owned()), Some("No"), Some("2"))
    };
    for label in [
        "May we write to you about similar guides?",
        "MAY WE WRITE TO YOU ABOUT SIMILAR GUIDES",
        "  May we write to you\u{a0}about “similar guides”? ",
        "Dürfen wir Ihnen über ähnliche Angebote schreiben?",
    ] {
        let asked = asked("maywewritetoyouaboutsimilarguides", label);
        assert!(policy.asks(&asked) && !policy.is_unknown(&asked), "{label}");
        assert_eq!(policy.understand(&asked), Some(Answer::No), "{label}");
    }
    for label in ["May we write to you about similar guides and events?", "May we write?", "Size?", ""] {
        let asked = asked("maywewrite", label);
        assert!(!policy.asks(&asked) && policy.is_unknown(&asked), "{label}");
    }
    // What customers read counts before what somebody wrote about a key.
    policy.other_fields = vec!["maywewrite".to_owned()];
    assert!(policy.asks(&asked("maywewrite", "May we write to you about similar guides?")));
}

#[test]
fn a_page_can_be_asked_in_every_language_of_the_questions() {
    let policy = policy();
    for (language, questions) in policy.questions() {
        assert_eq!(policy.question_in(language), questions.first().map(String::as_str));
        let [yes, no] = policy.answers_in(language).unwrap();
        for (label, expected) in [(yes, Answer::Yes), (no, Answer::No)] {
            assert_eq!(policy.understand(&field("marketing", Some(&label))), Some(expected), "{label}");
        }
        assert!(questions.iter().all(|question| policy.language_of(question) == Some(language)));
    }
    assert_eq!(policy.answers_in("de").unwrap(), ["Ja", "Nein"]);
    assert!(policy.question_in("pl").is_none() && policy.answers_in("pl").is_none());
}

#[test]
fn a_word_of_no_in_any_place_might_be_a_refusal() {
    for (answer, value, refuses, consents) in [
        ("No", None, true, true),
        ("Please, no mails", None, true, true),
        ("Rather by post", Some("no"), true, true),
        ("Yes", None, false, true),
        ("Sure thing!", Some("1"), true, true),
        ("Rather not", Some("2"), true, true),
        ("Yes", Some("1"), true, true),
        ("M", Some("m"), true, true),
        ("M", None, false, false),
        ("nobody", None, false, false),
    ] {
        let asked = question(AskedIn::CustomField("unknown".to_owned()), Some(answer), value);
        assert_eq!(
            (policy().might_refuse(&asked), policy().might_consent(&asked)),
            (refuses, consents),
            "{answer}"
        );
    }
    assert!(!policy().might_refuse(&field("unknown", None)));
}
