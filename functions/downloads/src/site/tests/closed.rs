//! A closed purchase stays closed, in whichever way its record is lost.

use super::*;

const DAY_MS: i64 = 86_400_000;

impl Case {
    /// By TTL, or by an operator who erases it.
    fn record_goes(&self) {
        let mut row = self.cloud.row("contributions", &["pi_Example"]).unwrap();
        row["expires_at"] = json!(1);
        self.cloud.put_row("contributions", &row);
        self.cloud.expire(1_900_000_000_000);
        assert!(self.cloud.rows("contributions").is_empty());
    }

    fn ledger_has(&self, effect: &str, state: &str) {
        let row = json!({ "payment_id": "pi_Example", "effect": effect, "state": state });
        self.cloud.put_row("effects", &row);
    }

    async fn gives_no_file(&self, status: i64) {
        for answer in [self.claim().await, self.fetch().await] {
            assert_eq!(answer.response.status_code, status);
            assert_eq!((answer.location(), answer.offers()), (None, 0));
        }
        let thanks = self.thanks().await;
        assert_eq!((thanks.location(), thanks.offers()), (None, 0));
        assert_eq!(self.fetches(), 0);
    }
}

#[tokio::test]
async fn a_link_that_has_ended_stays_ended_without_the_record() {
    let case = case();
    case.record_events(&history("paid"));
    case.clock.advance_ms(366 * DAY_MS);
    case.gives_no_file(410).await;
    case.record_goes();
    case.gives_no_file(410).await;
    case.clock.advance_ms(3000 * DAY_MS);
    case.gives_no_file(410).await;
}

#[tokio::test]
async fn a_refunded_purchase_stays_closed_without_the_record() {
    for name in ["refunded", "lost"] {
        let case = case();
        case.record_events(&history(name));
        case.gives_no_file(403).await;
        case.record_goes();
        case.gives_no_file(403).await;
        case.clock.advance_ms(4 * DAY_MS);
        case.gives_no_file(410).await;
    }
}

#[tokio::test]
async fn an_erased_purchase_stays_closed_also_on_its_first_day() {
    for outcome in ["paid", "pending", "failed"] {
        let case = case();
        case.record_events(&history("paid"));
        case.ledger_has(&format!("contribution#{outcome}"), "done");
        case.record_goes();
        case.gives_no_file(410).await;
        let body = case.claim().await.response.body.unwrap();
        assert!(body.contains("no longer have this order on record"), "{body}");
    }
}

/// The table came back as it was before the refund; the ledger did not.
#[tokio::test]
async fn a_record_restored_to_before_its_refund_opens_nothing() {
    for (name, corrections, status) in [
        ("refunded", ["contribution#refund#re_1", "acquisition#refund#re_1"], 403),
        ("disputed", ["contribution#dispute#dp_1", "acquisition#dispute#dp_1"], 403),
        ("lost", ["contribution#dispute#dp_1", "acquisition#dispute#dp_1"], 403),
    ] {
        let case = case();
        case.record_events(&history(name));
        case.record_events(&history("paid"));
        case.ledger_has("contribution#paid", "done");
        for effect in corrections {
            case.ledger_has(effect, "done");
        }
        case.gives_no_file(status).await;
        assert_eq!(case.thanks().await.response.status_code, status, "{name}");
    }
}

/// The task that keeps the records is parked, another one has acted on the refund.
#[tokio::test]
async fn a_refund_that_no_record_holds_yet_closes_the_purchase() {
    for (effect, state) in [
        ("contribution#refund#re_1", "parked"),
        ("contribution#refund#re_1", "retry"),
        ("acquisition#refund#re_1", "done"),
    ] {
        let case = case();
        case.record_events(&history("paid"));
        case.stripe.record(&refund(1250).to_string());
        case.ledger_has(effect, state);
        case.gives_no_file(403).await;
    }
    // A refund of a part leaves the files with the customer, as ever.
    let case = case();
    case.record_events(&history("paid"));
    case.stripe.record(&refund(500).to_string());
    case.ledger_has("acquisition#refund#re_1", "done");
    assert_eq!(case.fetch().await.response.status_code, 303);
}

#[tokio::test]
async fn without_an_answer_of_stripe_nothing_opens_that_the_ledger_doubts() {
    let case = case();
    case.record_events(&history("paid"));
    case.ledger_has("acquisition#refund#re_1", "done");
    case.stripe.fail(std::iter::repeat_n(Some(Fault::Status(500)), 10));
    assert_eq!(case.fetch().await.response.status_code, 503);
}

/// No event has come at all; Stripe's session stays `paid` after a refund.
#[tokio::test]
async fn what_stripe_says_of_the_charge_counts_while_there_is_no_record() {
    for (event, status) in
        [(refund(1250), 403), (dispute("created", "needs_response"), 403), (refund(500), 303)]
    {
        let case = case();
        case.stripe.record(&session(Session::paid()).to_json().to_string());
        case.stripe.record(&event.to_string());
        assert_eq!(case.fetch().await.response.status_code, status);
    }
}

#[tokio::test]
async fn a_session_opens_nothing_once_it_is_older_than_stripe_delivers_events() {
    let case = case();
    let event = session(Session::paid()).session("created", json!(PAID_AT)).to_json();
    case.stripe.record(&event.to_string());
    case.clock.advance_ms(3 * DAY_MS);
    assert_eq!(case.claim().await.response.status_code, 200, "three days");
    case.clock.advance_ms(1000);
    case.gives_no_file(410).await;
}

#[tokio::test]
async fn a_mail_that_was_faster_than_the_record_opens_the_files() {
    let case = case();
    case.stripe.record(&session(Session::paid()).to_json().to_string());
    for (effect, state) in
        [("email#thank-you", "done"), ("acquisition", "done"), ("contribution#paid", "claimed")]
    {
        case.ledger_has(effect, state);
    }
    assert_eq!(case.fetch().await.response.status_code, 303);
}

/// A record without the fields that are not read gives the same page in the same language.
#[tokio::test]
async fn the_pages_read_nothing_of_who_paid() {
    let case = case();
    case.record_events(&history("refunded"));
    let record =
        case.site.payments.records.contribution(&PaymentId::new("pi_Example")).await.unwrap().unwrap();
    let session = &record.session;
    assert_eq!((&session.email, &session.name, &session.postal_code), (&None, &None, &None));
    assert_eq!((&session.supporter_id, &session.customer_id), (&None, &None));
    let row = case.cloud.row("contributions", &["pi_Example"]).unwrap();
    assert!(row["email"].is_string(), "{row}");
    let whole: Contribution = serde_json::from_value(row).unwrap();
    assert_eq!(record.status(), whole.status());
    assert_eq!((&session.locale, &session.country), (&whole.session.locale, &whole.session.country));
}
