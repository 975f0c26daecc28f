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
    let path = format!("{}/../testkit/fixtures/session_custom_fields.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn read(event: Value) -> SessionEvent {
    SessionEvent::read(&Event::from_value(event).unwrap(), false).unwrap()
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
            "consent": "similar_products", "answer": "no", "basis": "explicit", "answer_given": "no",
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
fn nothing_is_assumed_of_a_customer_who_was_not_told_yet() {
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
    assert_eq!(answered_at(event), 1_795_000_000);
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
        let (explicit, assumed) = (about(Basis::Explicit), about(Basis::SoftOptIn));
        let (answers, basis) =
            if explicit.is_empty() { (assumed, Basis::SoftOptIn) } else { (explicit, Basis::Explicit) };
        let newest = answers.iter().map(|evidence| evidence.answered_at).max()?;
        let refused = answers.iter().any(|e| e.answered_at == newest && e.answer == Answer::No);
        Some((if refused { Answer::No } else { Answer::Yes }, basis, newest))
    }
}

fn any_event() -> impl Strategy<Value = SessionEvent> {
    let answer = || prop::option::of(prop::sample::select(vec!["yes", "no", "perhaps"]));
    let promotions = prop::option::of(prop::sample::select(vec!["opt_in", "opt_out", "opt_other"]));
    let kind = prop::sample::select(FulfilmentKind::ALL.to_vec());
    let country = prop::option::of(prop::sample::select(vec!["GB", "DE"]));
    // Few payments and times, so that ties are common. What a payment's page said follows from the payment, as
    // it does at Stripe: only the time may differ, when it is told of twice.
    (0i64..4, kind, country, answer(), promotions, 0i64..2).prop_map(
        |(at, kind, country, answer, promotions, amount)| {
            let mut event = PAID.clone();
            let question = |asked_in, answer: &str| Question {
                asked_in,
                words: None,
                answer: Some(Personal::new(answer.to_owned())),
            };
            let field = answer.map(|answer| question(AskedIn::CustomField("marketing".into()), answer));
            let promotions_ = promotions.map(|answer| question(AskedIn::Promotions, answer));
            event.consent_form = ConsentForm {
                answered_at: 1_795_000_000 + at,
                questions: field.into_iter().chain(promotions_).collect(),
                notice: None,
            };
            event.link.kind = kind;
            event.country = country.map(str::to_owned);
            event.amount = Money::new(amount, Currency::try_from("gbp").unwrap());
            event.payment_id =
                PaymentId::new(format!("pi_{kind}{country:?}{answer:?}{promotions:?}{amount}"));
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
