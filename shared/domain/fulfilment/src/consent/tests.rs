use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use stripe_events::Event;
use uuid::Uuid;

use super::*;
use crate::{ConsentForm, Currency, Money};

static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::compiled_in().unwrap());
static PAID: LazyLock<SessionEvent> = LazyLock::new(|| read(fixture()));

fn supporter() -> SupporterId {
    SupporterId::of_email(&Uuid::from_u128(7), "ada@example.org")
}

/// A paid download from London whose page asked for marketing, with "no" for an answer, and for two other things.
fn fixture() -> Value {
    let path = format!(
        "{}/../../../verification/testkit/fixtures/session_custom_fields.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn read(event: Value) -> SessionEvent {
    SessionEvent::from_event(&Event::from_value(event).unwrap(), false).unwrap()
}

fn consents(event: &SessionEvent) -> Consents {
    Consents::of(event, &POLICY, &supporter())
}

fn field(kind: &str, answer: Value) -> Value {
    json!({
        "key": "marketing", "type": kind, "label": { "type": "custom", "custom": "May we write to you?" },
        "optional": true, kind: { "value": answer }
    })
}

/// A paid session from a country, with these answers.
fn session(kind: &str, country: &str, field: Option<Value>, promotions: Value) -> Value {
    let mut event = fixture();
    let session = &mut event["data"]["object"];
    session["metadata"] = json!({ "fulfilment": kind });
    session["customer_details"]["address"]["country"] = json!(country);
    session["custom_fields"] = json!(field.into_iter().collect::<Vec<_>>());
    session["consent"] = json!({ "promotions": promotions });
    event
}

/// `similar_products yes soft_opt_in`, for each state.
fn states(event: Value) -> Vec<String> {
    let states = consents(&read(event)).states;
    let text = |state: &ConsentState| {
        let state = json!(state);
        let [consent, answer, basis] = ["consent", "answer", "basis"].map(|field| &state[field]);
        [consent, answer, basis].map(|value| value.as_str().unwrap().to_owned()).join(" ")
    };
    states.iter().map(text).collect()
}

#[test]
fn an_answer_is_recorded_with_its_evidence() {
    let consents = consents(&read(fixture()));
    // The fixture's customer said no twice: in the custom field and in Stripe's box.
    let [box_, field] = &consents.evidence[..] else { panic!("{:?}", consents.evidence) };
    assert_eq!(
        json!(field),
        json!({
            "supporter_id": supporter(),
            "record": "evidence#similar_products#1795000000#pi_3FixtureCustomFields#custom_field:marketing",
            "consent": "similar_products", "answer": "no", "basis": "explicit",
            "answer_given": "No, thank you", "option_value": "no", "notice_in": null,
            "asked_in": "custom_field:marketing",
            "words_shown": "May we write to you about similar guides?", "wording": "2025-01",
            "kind": "download", "locale": "en-GB", "country": "GB",
            "payment_link_id": "plink_1FixtureDownload", "session_id": "cs_test_a1FixtureCustomFields",
            "payment_id": "pi_3FixtureCustomFields", "answered_at": 1_795_000_000,
        })
    );
    assert_eq!(box_.asked_in.as_deref(), Some("consent.promotions"));
    assert_eq!((box_.wording.as_str(), &box_.words_shown), ("stripe", &None));
    let [state] = &consents.states[..] else { panic!("{:?}", consents.states) };
    assert_eq!((state.record.as_str(), state.answer), ("state#similar_products", Answer::No));
    assert_eq!(state.evidence, field.record, "the greater of two equal answers, everywhere the same");
    assert_eq!(state.rank, format!("1#1795000000#1#{}", field.record), "as rows of earlier versions have it");
}

#[test]
fn an_assumption_is_recorded_with_the_notice_that_allows_it() {
    let event = session("download", "GB", Some(field("dropdown", json!(null))), json!(null));
    let consents = consents(&read(event));
    let [evidence] = &consents.evidence[..] else { panic!("{:?}", consents.evidence) };
    assert_eq!(evidence.record, "evidence#similar_products#1795000000#pi_3FixtureCustomFields#soft_opt_in");
    assert_eq!((evidence.answer, evidence.basis), (Answer::Yes, Basis::SoftOptIn));
    assert_eq!((&evidence.answer_given, evidence.wording.as_str()), (&None, "2025-01"));
    assert_eq!(evidence.asked_in.as_deref(), Some("custom_field:marketing"), "asked, and left open");
    let notice = evidence.words_shown.as_deref().unwrap();
    assert!(notice.starts_with("We write to you about similar guides."), "{notice}");
    assert_eq!(evidence.notice_in.as_deref(), Some("custom_text.submit"));
}

#[test]
fn answers_and_assumptions_by_kind_and_country() {
    let yes = || Some(field("dropdown", json!("yes")));
    let no = || Some(field("text", json!(" NEIN ")));
    let open = || Some(field("dropdown", json!(null)));
    let newsletter = |rest: &str| format!("supporter_newsletter {rest}");
    let similar = |rest: &str| format!("similar_products {rest}");
    let nothing = Vec::<String>::new;
    for (kind, country, field, promotions, expected) in [
        // Asked and answered: for everything the kind names, wherever the customer lives.
        ("contribution", "GB", yes(), json!(null), vec![newsletter("yes explicit")]),
        ("contribution", "DE", no(), json!(null), vec![newsletter("no explicit")]),
        ("membership", "FR", yes(), json!(null), vec![similar("yes explicit"), newsletter("yes explicit")]),
        ("membership", "GB", no(), json!(null), vec![similar("no explicit"), newsletter("no explicit")]),
        ("download", "US", None, json!("opt_in"), vec![similar("yes explicit")]),
        ("download", "US", None, json!("opt_out"), vec![similar("no explicit")]),
        // Not asked, or left open: assumed where the policy says so.
        ("download", "GB", None, json!(null), vec![similar("yes soft_opt_in")]),
        ("download", "GB", open(), json!(null), vec![similar("yes soft_opt_in")]),
        ("membership", "GB", None, json!(null), vec![similar("yes soft_opt_in")]),
        ("contribution", "GB", None, json!(null), nothing()),
        ("download", "DE", None, json!(null), nothing()),
        ("download", "", None, json!(null), nothing()),
        // Two answers to one question: the customer said no.
        ("download", "US", yes(), json!("opt_out"), vec![similar("no explicit")]),
        ("download", "US", no(), json!("opt_in"), vec![similar("no explicit")]),
    ] {
        let asked = format!("{kind} {country} {field:?} {promotions}");
        assert_eq!(states(session(kind, country, field, promotions)), expected, "{asked}");
    }
}

#[test]
fn what_is_not_understood_is_recorded_and_changes_nothing() {
    for (field, promotions) in [
        (Some(field("text", json!("only on Sundays"))), json!(null)),
        (Some(field("numeric", json!("1"))), json!(null)),
        (None, json!("opt_sideways")),
    ] {
        let consents = consents(&read(session("download", "GB", field, promotions)));
        let [evidence] = &consents.evidence[..] else { panic!("{:?}", consents.evidence) };
        assert_eq!((evidence.answer, evidence.basis), (Answer::NotUnderstood, Basis::Explicit));
        assert!(evidence.answer_given.is_some());
        assert!(consents.states.is_empty(), "an answer we cannot read may have been a no");
    }
}

#[test]
fn nothing_is_assumed_from_what_was_given_away() {
    let mut free = session("download", "GB", None, json!(null));
    free["data"]["object"]["amount_total"] = json!(0);
    free["data"]["object"]["payment_status"] = json!("no_payment_required");
    assert!(consents(&read(free.clone())).is_empty());
    // A trial is a sale all the same.
    free["data"]["object"]["subscription"] = json!("sub_1");
    assert_eq!(states(free.clone()), ["similar_products yes soft_opt_in"]);
    // And an answer is an answer.
    free["data"]["object"]["subscription"] = json!(null);
    free["data"]["object"]["custom_fields"] = json!([field("dropdown", json!("yes"))]);
    assert_eq!(states(free), ["similar_products yes explicit"]);
}

/// The notice went on the page on 1 January 2025.
#[test]
fn no_consent_is_assumed_before_the_policy_began() {
    let mut sale = session("download", "GB", None, json!(null));
    sale["created"] = json!(1_735_689_600);
    assert_eq!(states(sale.clone()), ["similar_products yes soft_opt_in"]);
    sale["created"] = json!(1_735_689_599);
    assert!(consents(&read(sale)).is_empty());
}

#[test]
fn a_guest_and_a_customer_are_the_same_supporter() {
    let guest = fixture();
    let mut signed_in = fixture();
    signed_in["data"]["object"]["customer"] = json!("cus_1");
    assert_eq!(consents(&read(guest)), consents(&read(signed_in)));
}

/// A bank debit opened on Monday and paid on Friday must not undo Wednesday's answer.
#[test]
fn an_answer_is_as_old_as_the_page_it_was_given_on() {
    let answered_at = |event| consents(&read(event)).states[0].answered_at;
    let mut event = fixture();
    event["created"] = json!(1_795_000_300);
    event["data"]["object"]["created"] = json!(1_795_000_000);
    assert_eq!(answered_at(event.clone()), 1_795_000_300);
    event["type"] = json!("checkout.session.async_payment_succeeded");
    event["created"] = json!(1_795_400_000);
    assert_eq!(answered_at(event.clone()), 1_795_000_000);
    // A page cannot be opened after its payment.
    event["data"]["object"]["created"] = json!(1_795_500_000);
    assert_eq!(answered_at(event), 1_795_400_000);
}

/// A sale with these custom fields and words on its page.
fn page(fields: Value, text: Value) -> Value {
    let mut event = session("download", "GB", None, json!(null));
    event["data"]["object"]["custom_fields"] = fields;
    event["data"]["object"]["custom_text"] = text;
    event
}

fn notice() -> Value {
    json!({ "submit": { "message": "We write to you about similar guides. Rather not?" } })
}

#[test]
fn an_answer_counts_before_the_money_and_an_assumption_does_not() {
    let unpaid = |mut event: Value| {
        event["data"]["object"]["payment_status"] = json!("unpaid");
        event
    };
    let no = session("download", "GB", Some(field("text", json!("no"))), json!(null));
    assert_eq!(states(unpaid(no)), ["similar_products no explicit"]);
    let sale = session("download", "GB", None, json!(null));
    assert_eq!(states(sale.clone()), ["similar_products yes soft_opt_in"]);
    assert!(consents(&read(unpaid(sale))).is_empty());
}

#[test]
fn nothing_is_assumed_of_a_page_that_does_not_show_the_notice() {
    let delivery = json!({ "message": "Your files come by mail." });
    for text in [
        json!(null),
        json!({}),
        json!({ "submit": null }),
        json!({ "submit": delivery, "after_submit": delivery }),
        json!({ "submit": { "message": "We write to you about similar guides." } }),
        // Words beside an address or a box that the page did not have.
        json!({ "shipping_address": notice()["submit"], "terms_of_service_acceptance": notice()["submit"] }),
    ] {
        assert!(consents(&read(page(json!([]), text.clone()))).is_empty(), "{text}");
    }
}

#[test]
fn the_notice_may_stand_in_every_text_of_the_page() {
    let found = |event: Value| {
        let consents = consents(&read(event));
        let [evidence] = &consents.evidence[..] else { panic!("{:?}", consents.evidence) };
        assert_eq!((evidence.basis, evidence.wording.as_str()), (Basis::SoftOptIn, "2025-01"));
        (evidence.notice_in.clone().unwrap(), evidence.words_shown.clone())
    };
    for place in ["submit", "after_submit", "shipping_address", "terms_of_service_acceptance"] {
        let mut text = json!({ "submit": { "message": "Your files come by mail." } });
        text[place] = notice()["submit"].clone();
        let mut event = page(json!([]), text);
        event["data"]["object"]["shipping_address_collection"] = json!({ "allowed_countries": ["GB"] });
        event["data"]["object"]["consent"] = json!({ "terms_of_service": "accepted" });
        let words = notice()["submit"]["message"].as_str().map(str::to_owned);
        assert_eq!(found(event), (format!("custom_text.{place}"), words));
    }
    let mut open = field("dropdown", json!(null));
    open["label"]["custom"] = json!("Wir schreiben Ihnen über ähnliche Angebote – lieber nicht?");
    let (place, words) = found(page(json!([open]), json!(null)));
    assert_eq!(place, "custom_field:marketing");
    assert!(words.unwrap().starts_with("Wir schreiben"));
}

#[test]
fn a_link_may_assert_a_notice_that_no_event_shows() {
    for (marker, asserted) in
        [("shown", true), (" Shown. ", true), ("", false), ("no", false), ("not shown", false)]
    {
        let mut event = page(json!([]), json!({ "submit": { "message": "Your files come by mail." } }));
        event["data"]["object"]["metadata"] = json!({ "fulfilment": "download", "soft_opt_in": marker });
        let evidence = consents(&read(event)).evidence;
        assert_eq!(evidence.len(), usize::from(asserted), "{marker:?}");
        for evidence in evidence {
            assert_eq!(evidence.notice_in.as_deref(), Some("metadata.soft_opt_in"));
            assert_eq!(evidence.words_shown, None, "other words are not the notice");
        }
    }
}

#[test]
fn a_refusal_under_an_unknown_key_is_kept_and_nothing_is_assumed() {
    let asked = |kind: &str, answer: Value| {
        let mut field = field(kind, answer);
        field["key"] = json!("maywewritetoyou");
        if kind == "dropdown" {
            field["dropdown"]["options"] =
                json!([{ "label": "Yes", "value": "1" }, { "label": "No, thanks", "value": "2" }]);
        }
        page(json!([field]), notice())
    };
    for (kind, answer, given) in [
        ("dropdown", "2", "No, thanks"),
        ("dropdown", "no", "no"),
        ("text", "NEIN!", "NEIN!"),
        ("text", "please do not", "please do not"),
    ] {
        let consents = consents(&read(asked(kind, json!(answer))));
        let [evidence] = &consents.evidence[..] else { panic!("{:?}", consents.evidence) };
        assert_eq!((evidence.answer, evidence.basis), (Answer::NotUnderstood, Basis::Explicit), "{answer}");
        assert_eq!(evidence.answer_given.as_ref().unwrap().expose(), given);
        assert_eq!(evidence.words_shown.as_deref(), Some("May we write to you?"));
        assert_eq!(evidence.asked_in.as_deref(), Some("custom_field:maywewritetoyou"));
        assert_eq!(evidence.wording, "unknown");
        assert!(consents.states.is_empty(), "it may have been another question");
        assert_eq!(consents.unknown_questions, ["maywewritetoyou"]);
    }
    // A yes that was typed is reported and not recorded; any other word is another question's answer.
    for (kind, answer, unknown) in
        [("text", "yes", 1), ("text", "XL", 0), ("numeric", "42", 0), ("text", " ", 0)]
    {
        let event = asked(kind, json!(answer));
        let consents = consents(&read(event.clone()));
        assert_eq!(consents.unknown_questions.len(), unknown, "{answer}");
        assert_eq!(states(event), ["similar_products yes soft_opt_in"], "{answer}");
    }
}

/// What a dropdown offers may be said in any words, so none of them is taken for another question's.
#[test]
fn nothing_is_assumed_beside_any_choice_under_an_unknown_key() {
    let chosen = |answer: Value| {
        let mut field = field("dropdown", answer);
        field["key"] = json!("letters");
        field["label"]["custom"] = json!("Post from us?");
        field["dropdown"]["options"] = json!([
            { "label": "Sure thing!", "value": "1" }, { "label": "Spare me", "value": "2" },
            { "label": "Yes", "value": "3" }, { "label": "M", "value": "m" },
        ]);
        page(json!([field]), notice())
    };
    for (value, label) in [("1", "Sure thing!"), ("2", "Spare me"), ("3", "Yes"), ("m", "M")] {
        let consents = consents(&read(chosen(json!(value))));
        let [evidence] = &consents.evidence[..] else { panic!("{:?}", consents.evidence) };
        assert_eq!(evidence.answer, Answer::NotUnderstood, "{label}");
        assert_eq!(evidence.answer_given.as_ref().unwrap().expose(), label);
        assert_eq!(evidence.words_shown.as_deref(), Some("Post from us?"));
        assert!(consents.states.is_empty(), "{label}");
        assert_eq!(consents.unknown_questions, ["letters"], "{label}");
    }
    // Left open, it was not answered, and the notice holds.
    assert_eq!(states(chosen(json!(null))), ["similar_products yes soft_opt_in"]);
}

#[test]
fn a_question_of_the_policy_counts_whatever_key_stripe_gave_it() {
    let asked = |value: &str| {
        let mut field = field("dropdown", json!(value));
        field["key"] = json!("maywewritetoyouaboutsimilarguides");
        field["label"]["custom"] = json!("May we write to you about  similar guides?");
        field["dropdown"]["options"] =
            json!([{ "label": "Yes", "value": "1" }, { "label": "No", "value": "2" }]);
        page(json!([field]), notice())
    };
    assert_eq!(states(asked("1")), ["similar_products yes explicit"]);
    assert_eq!(states(asked("2")), ["similar_products no explicit"]);
    let consents = consents(&read(asked("2")));
    let evidence = &consents.evidence[0];
    assert_eq!(
        evidence.words_shown.as_deref(),
        Some("May we write to you about  similar guides?"),
        "as they stood there"
    );
    assert_eq!((evidence.wording.as_str(), &consents.unknown_questions[..]), ("2025-01", &[][..]));
}

#[test]
fn an_answer_to_a_known_question_counts_beside_one_to_an_unknown_question() {
    let mut gift = field("dropdown", json!("no"));
    gift["key"] = json!("giftwrapped");
    for (answer, expected) in [
        (json!("yes"), vec!["similar_products yes explicit".to_owned()]),
        (json!("no"), vec!["similar_products no explicit".to_owned()]),
        (json!(null), Vec::new()),
    ] {
        let event = page(json!([gift, field("dropdown", answer.clone())]), notice());
        assert_eq!(states(event), expected, "{answer}");
    }
}

#[test]
fn a_blank_answer_is_none() {
    let event = page(json!([field("text", json!(" \u{200b}"))]), notice());
    assert_eq!(states(event), ["similar_products yes soft_opt_in"]);
}

#[test]
fn an_answer_that_begins_with_a_word_of_no_ends_a_yes() {
    for answer in [
        "No.",
        "NO!!",
        "Nein!",
        "« non »",
        "no thanks",
        "nein danke",
        "Non, merci",
        "No, never",
        "Not really",
    ] {
        let mut table = Table::default();
        table.apply(&read(session("download", "DE", Some(field("dropdown", json!("yes"))), json!(null))));
        let mut later = session("download", "DE", Some(field("text", json!(answer))), json!(null));
        later["created"] = json!(1_795_000_100);
        later["data"]["object"]["payment_intent"] = json!("pi_Later");
        table.apply(&read(later));
        assert_eq!(table.states["state#similar_products"].answer, Answer::No, "{answer}");
    }
}

#[test]
fn evidence_of_before_the_new_fields_can_be_read() {
    let consents = consents(&read(fixture()));
    let mut row = json!(consents.evidence[0]);
    row.as_object_mut().unwrap().retain(|field, _| field != "option_value" && field != "notice_in");
    let row: Evidence = serde_json::from_value(row).unwrap();
    assert_eq!((row.option_value, row.notice_in), (None, None));
}

#[test]
fn a_record_is_never_there_twice() {
    let mut event = fixture();
    let again = event["data"]["object"]["custom_fields"][0].clone();
    event["data"]["object"]["custom_fields"].as_array_mut().unwrap().push(again);
    let consents = consents(&read(event));
    let records: Vec<_> = consents.evidence.iter().map(|evidence| &evidence.record).collect();
    assert_eq!(records.len(), 2, "{records:?}");
}

#[test]
fn never_prints_what_a_person_typed() {
    let mut event = fixture();
    event["data"]["object"]["custom_fields"] = json!([field("text", json!("write to ada@example.org"))]);
    let event = read(event);
    let printed = format!("{event:?} {:?}", consents(&event));
    assert!(!printed.contains("ada@"), "{printed}");
}

/// The table, with the two conditions its writes have.
#[derive(Debug, Default, PartialEq)]
struct Table {
    evidence: BTreeMap<String, Evidence>,
    states: BTreeMap<String, ConsentState>,
}

impl Table {
    fn after(events: &[SessionEvent]) -> Self {
        let mut table = Self::default();
        events.iter().for_each(|event| table.apply(event));
        table
    }

    fn apply(&mut self, event: &SessionEvent) {
        let consents = consents(event);
        for evidence in consents.evidence {
            self.evidence.entry(evidence.record.clone()).or_insert(evidence);
        }
        for state in consents.states {
            let current = self.states.get(&state.record);
            if current.is_none_or(|current| current.rank < state.rank) {
                self.states.insert(state.record.clone(), state);
            }
        }
    }

    /// The rules of the design once more, in other words: from all evidence at once.
    fn expected(&self, consent: &ConsentName) -> Option<(Answer, Basis, i64)> {
        let about = |basis| {
            self.evidence
                .values()
                .filter(move |evidence| evidence.consent == *consent && evidence.basis == basis)
                .filter(|evidence| evidence.answer != Answer::NotUnderstood)
                .collect::<Vec<_>>()
        };
        let explicit = about(Basis::Explicit);
        let assumed = about(Basis::SoftOptIn);
        let (answers, basis) =
            if explicit.is_empty() { (assumed, Basis::SoftOptIn) } else { (explicit, Basis::Explicit) };
        let newest = answers.iter().map(|evidence| evidence.answered_at).max()?;
        let refused = answers.iter().any(|e| e.answered_at == newest && e.answer == Answer::No);
        Some((if refused { Answer::No } else { Answer::Yes }, basis, newest))
    }
}

fn any_event() -> impl Strategy<Value = SessionEvent> {
    let answers = ["yes", "no", "No.", "no thanks", "perhaps"].map(|answer| ("marketing", answer));
    let answers = [&answers[..], &[("tshirt", "M"), ("mayweemail", "No"), ("mayweemail", "Yes")]].concat();
    let answer = || prop::option::of(prop::sample::select(answers.clone()));
    let outcome = prop::sample::select(vec![SessionOutcome::Paid, SessionOutcome::Pending]);
    let promotions = prop::option::of(prop::sample::select(vec!["opt_in", "opt_out", "opt_other"]));
    let kind = prop::sample::select(FulfilmentKind::ALL.to_vec());
    let country = prop::option::of(prop::sample::select(vec!["GB", "DE"]));
    // Few payments and times, so that ties are common. What a payment's page said follows from the payment, as
    // it does at Stripe: only the time may differ, when it is reported twice.
    (0i64..4, kind, country, answer(), promotions, 0i64..2, outcome, any::<bool>()).prop_map(
        |(at, kind, country, answer, promotions, amount, outcome, notice)| {
            let mut event = PAID.clone();
            let question = |asked_in, answer: &str| Question {
                asked_in,
                words: None,
                answer: Some(Personal::new(answer.to_owned())),
                option_value: None,
                is_choice: false,
            };
            let field = answer.map(|(key, answer)| question(AskedIn::CustomField(key.to_owned()), answer));
            let promotions_ = promotions.map(|answer| question(AskedIn::Promotions, answer));
            event.consent_form = ConsentForm {
                answered_at: 1_795_000_000 + at,
                questions: field.into_iter().chain(promotions_).collect(),
                texts: Vec::new(),
                notice_asserted: notice,
            };
            event.outcome = outcome;
            event.link.kind = kind;
            event.country = country.map(str::to_owned);
            event.amount = Money::new(amount, Currency::try_from("gbp").unwrap());
            event.payment_id =
                PaymentId::new(format!("pi_{kind}{country:?}{answer:?}{promotions:?}{amount}{notice}"));
            event
        },
    )
}

proptest! {
    #[test]
    fn any_order_and_any_duplication_give_the_same_consents(
        events in proptest::collection::vec(any_event(), 1..8),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        order in any::<u64>(),
    ) {
        let mut shuffled = events.clone();
        shuffled.extend(again.iter().map(|index| index.get(&events).clone()));
        // A deterministic shuffle that proptest can shrink.
        shuffled.sort_by_key(|event| {
            let mut key = order;
            for byte in format!("{}{}", event.payment_id, event.consent_form.answered_at).bytes() {
                key = key.rotate_left(7) ^ u64::from(byte).wrapping_mul(0x9E37_79B9);
            }
            key
        });
        prop_assert_eq!(Table::after(&shuffled), Table::after(&events));
    }

    #[test]
    fn the_state_is_what_all_evidence_together_says(
        events in proptest::collection::vec(any_event(), 1..8),
    ) {
        let table = Table::after(&events);
        for name in ["supporter_newsletter", "similar_products"] {
            let name = ConsentName::try_from(name.to_owned()).unwrap();
            let state = table.states.get(&format!("state#{name}"));
            let state = state.map(|state| (state.answer, state.basis, state.answered_at));
            prop_assert_eq!(state, table.expected(&name));
        }
        for state in table.states.values() {
            prop_assert!(table.evidence.contains_key(&state.evidence));
        }
    }

    #[test]
    fn an_assumption_never_changes_an_explicit_answer(
        history in proptest::collection::vec(any_event(), 1..8),
        mut sale in any_event(),
    ) {
        let before = Table::after(&history);
        sale.consent_form.questions.clear();
        sale.country = Some("GB".to_owned());
        sale.link.kind = FulfilmentKind::Membership;
        sale.outcome = SessionOutcome::Paid;
        sale.consent_form.notice_asserted = true;
        let mut after = Table::after(&history);
        after.apply(&sale);
        for (record, state) in &before.states {
            if state.basis == Basis::Explicit {
                prop_assert_eq!(&after.states[record], state);
            }
        }
    }

    #[test]
    fn a_newer_explicit_answer_wins(
        history in proptest::collection::vec(any_event(), 0..8),
        answer in prop::sample::select(vec![("yes", Answer::Yes), ("no", Answer::No)]),
    ) {
        let mut newest = read(session("membership", "DE", Some(field("dropdown", json!(answer.0))), json!(null)));
        newest.consent_form.answered_at = 1_795_000_010;
        let table = Table::after(&[history, vec![newest]].concat());
        for name in ["supporter_newsletter", "similar_products"] {
            let state = &table.states[&format!("state#{name}")];
            prop_assert_eq!((state.answer, state.basis), (answer.1, Basis::Explicit));
        }
    }
}
