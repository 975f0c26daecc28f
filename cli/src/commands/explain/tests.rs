use download_claims::BoughtFile;
use effect_ledger::{Effect, EffectRow, EffectState, Verb};
use fulfilment::{AsOf, InvoiceFacts, PaymentEvent, RefundEvent, SessionEvent, SessionOutcome, effects};
use stripe_events::Event;
use testkit::stripe::{CorrectionEvent, SessionEvent as StripeEvent};
use uuid::Uuid;

use super::*;
use crate::page::plain;

const PAID_AT: i64 = 1_795_000_000;

fn read(json: &serde_json::Value) -> Event {
    Event::from_json(json.to_string().as_bytes()).unwrap()
}

fn contribution() -> Contribution {
    let paid = StripeEvent::paid().at(PAID_AT).customer("Ada Lovelace", "ada@example.org").to_json();
    let paid = PaymentEvent::from(SessionEvent::from_event(&read(&paid), false).unwrap());
    let refund = CorrectionEvent::refund("Example", "re_1", "created").at(PAID_AT + 600).to_json();
    let refund = PaymentEvent::from(RefundEvent::from_event(&read(&refund), false).unwrap());
    let namespace = Uuid::from_u128(1);
    let unknown = Contribution::new(PaymentId::new("pi_Example"));
    unknown.with_event(&paid, &namespace).with_event(&refund, &namespace)
}

fn row(effect: Effect, state: EffectState, first: i64, last: i64) -> EffectRow {
    EffectRow {
        event_id: Some("evt_Example_completed".to_owned()),
        first_at: Some((PAID_AT + first) * 1000),
        updated_at: Some((PAID_AT + last) * 1000),
        ..EffectRow::new(effect, state)
    }
}

fn explanation(privacy: Privacy) -> Explanation {
    let mail = row(effects::email("thank-you"), EffectState::Done, 1, 300);
    let mail =
        EffectRow { last_claim: Some(("req/m1".to_owned(), 2)), reference: Some("ses-1".to_owned()), ..mail };
    let resolved = OperatorAction {
        verb: Verb::Resolve,
        at: (PAID_AT + 200) * 1000,
        by: "arn:aws:iam::123456789012:user/grace".to_owned(),
        because: Some("not in her inbox".to_owned()),
        about: Some(effects::email("thank-you")),
        before: "unknown (lease_expired)".to_owned(),
        after: "retry".to_owned(),
    };
    let effects = vec![
        row(effects::contribution(SessionOutcome::Paid), EffectState::Done, 1, 1),
        mail,
        row(effects::acquisition(), EffectState::Parked { reason: "entry_refused".to_owned() }, 1, 1),
    ];
    let history = History { effects, actions: vec![resolved] };
    let guide = BoughtFile { key: "guide.pdf".to_owned(), quantity: 1, product: None };
    let downloads =
        Downloads { files: vec![guide], fetches: 2, last_fetched_at: Some(PAID_AT + 400), generation: 0 };
    let contribution = Some(contribution());
    let downloads = Some(downloads);
    let expected = expected_of(contribution.as_ref().unwrap());
    let paid_at = Some(PAID_AT);
    let read =
        Read { history, contribution, evidence: Vec::new(), downloads, at_stripe: None, expected, paid_at };
    let now = (PAID_AT + 3600) * 1000;
    Explanation { payments: vec![explain_payment(&PaymentId::new("pi_Example"), read, privacy, now)] }
}

#[test]
fn explains_in_order_with_reasons() {
    insta::assert_snapshot!(plain(&explanation(Privacy::Masked), 0), @r#"
    pi_Example
      part_refunded  12.50 GBP
      customer  A. L.  a***@e***.org  GB
      supporter 3be627a6-a6a0-5514-8a9d-2baa1ac9f97e
      session   ref_f0c575d96eb4  plink_1FixtureContribution
      files     guide.pdf  fetched 2 of 20 times, last at 2026-11-18T11:13:20Z

      when                  who        what
      2026-11-18T11:05:10Z  stripe     the customer opened the page
      2026-11-18T11:06:40Z  stripe     paid
      2026-11-18T11:06:41Z  afterlink  acquisition parked (entry_refused), from evt_Example_completed
      2026-11-18T11:06:41Z  afterlink  contribution#paid done, from evt_Example_completed
      2026-11-18T11:06:41Z  afterlink  email#thank-you first tried
      2026-11-18T11:10:00Z  operator   resolve email#thank-you: unknown (lease_expired) → retry, by arn:aws:iam::123456789012:user/grace because: not in her inbox
      2026-11-18T11:11:40Z  afterlink  email#thank-you done, from evt_Example_completed
      2026-11-18T11:16:40Z  stripe     re_1: a refund of 5.00 GBP (Succeeded)

      effect             state   tries  reason or reference  detail
      contribution#paid  done
      email#thank-you    done    2      ses-1
      acquisition        parked         entry_refused

      acquisition: EventBridge refuses the event for analysts as malformed (Afterlink's to fix). Next: deploy a version that knows it, or report it, then `afterlink retry pi_Example acquisition --because '…' --yes`
      consents: the ledger has nothing of it. soft-opt-ins has an unknown number messages waiting and an unknown number in its DLQ: if it does not run, `afterlink doctor` says so, and it is done once it does; else `afterlink reconcile` puts back what is missing
    "#);
}

#[test]
fn personal_data_is_shown_only_on_request() {
    for (privacy, expected) in [(Privacy::Masked, false), (Privacy::Shown, true)] {
        let json = serde_json::to_string(&explanation(privacy)).unwrap();
        for text in [json, plain(&explanation(privacy), 0)] {
            for personal in ["ada@example.org", "Lovelace"] {
                assert_eq!(text.contains(personal), expected, "{personal} in {text}");
            }
        }
    }
}

#[test]
fn what_is_parked_needs_somebody() {
    let mut explanation = explanation(Privacy::Masked);
    assert_eq!(explanation.verdict(), Verdict::NeedsYou);
    explanation.payments[0].effects.pop();
    assert_eq!(explanation.verdict(), Verdict::NeedsYou, "the consents are missing");
    explanation.payments[0].missing.clear();
    assert_eq!(explanation.verdict(), Verdict::Fine);
}

#[test]
fn a_renewal_and_a_fraud_warning_are_explained() {
    let as_of = AsOf { occurred_at: PAID_AT + 60, event_id: "evt_1".to_owned() };
    let mut contribution = contribution();
    contribution.session.subscription_id = Some("sub_1".to_owned());
    let invoice =
        InvoiceFacts { as_of: as_of.clone(), renewal: true, term_ends_at: Some(PAID_AT + 31_536_000) };
    contribution.invoice = Some(invoice);
    let warning = FraudWarningFacts {
        as_of,
        fraud_type: Some("made_with_stolen_card".to_owned()),
        actionable: Some(true),
        created_at: None,
    };
    contribution.fraud_warnings.insert("issfr_1".to_owned(), warning);
    let read = Read {
        history: History::default(),
        contribution: Some(contribution),
        evidence: Vec::new(),
        downloads: None,
        at_stripe: None,
        expected: Vec::new(),
        paid_at: None,
    };
    let payment = explain_payment(&PaymentId::new("in_1"), read, Privacy::Masked, 0);
    let said = plain(&Explanation { payments: vec![payment] }, 0);
    for expected in [
        "sub_1  a renewal  paid until 2027-11-18",
        "issfr_1: the card's issuer warns of fraud (made_with_stolen_card), and a refund can still prevent a dispute",
        "stripe  paid, a renewal",
    ] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
}
