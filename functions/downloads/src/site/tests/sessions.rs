//! What a session id opens, and what strangers can do with invented ones.

use super::*;

const DAY_MS: i64 = 86_400_000;

impl Case {
    async fn thanks_at(&self, path: &str, query: &str) -> Answer {
        self.ask("GET", path, query, None).await
    }

    fn stripe_requests(&self) -> usize {
        self.stripe.requests().len()
    }
}

fn welcome() -> (i64, String) {
    page(200, "Thank you")
}

#[tokio::test]
async fn the_page_after_the_payment_is_there_however_it_is_written() {
    let case = case();
    case.record_events(&history("paid"));
    for (path, action) in [
        ("/thanks", "action=\"d&#x2f;v1."),
        ("/thanks/", "action=\"..&#x2f;d&#x2f;v1."),
        ("//thanks", "action=\"..&#x2f;d&#x2f;v1."),
        ("/Thanks//", "action=\"..&#x2f;..&#x2f;d&#x2f;v1."),
    ] {
        let answer = case.thanks_at(path, "session_id=cs_test_Example").await;
        assert_eq!((answer.page(), answer.offers()), (welcome(), 1), "{path}");
        let body = answer.response.body.unwrap();
        assert!(body.contains(action), "{path}: {body}");
    }
}

#[tokio::test]
async fn without_a_session_customers_are_thanked_in_general() {
    let case = case();
    for path in ["/thanks", "/thanks/", "/THANKS"] {
        for query in
            ["", "session_id=", "session_id={CHECKOUT_SESSION_ID}", "utm_source=x", "session_id=pi_1"]
        {
            let answer = case.thanks_at(path, query).await;
            assert_eq!((answer.page(), answer.offers()), (welcome(), 0), "{path} {query}");
            let body = answer.response.body.unwrap();
            assert!(body.contains("an email with everything you need is on its way"), "{body}");
            assert!(!body.contains("incomplete") && !body.contains("<code>"), "{body}");
        }
    }
    assert_eq!(case.stripe_requests(), 0);
}

#[tokio::test]
async fn a_session_offers_files_for_a_day_and_then_the_mail_does() {
    let case = case();
    case.record_events(&history("paid"));
    case.clock.advance_ms(DAY_MS - 1000);
    assert_eq!(case.thanks().await.offers(), 1);
    case.clock.advance_ms(1000);
    let answer = case.thanks().await;
    assert_eq!((answer.page(), answer.offers()), (welcome(), 0));
    assert_eq!(answer.counts, [("Pages", 1)]);
    let body = answer.response.body.unwrap();
    assert!(body.contains("use the link in the email") && body.contains("hello@example.org"), "{body}");
    assert!(!body.contains("/d/") && !body.contains("d&#x2f;v1"), "no token: {body}");
    assert_eq!(case.fetch().await.response.status_code, 303, "the mail's link goes on");
}

#[tokio::test]
async fn a_bank_debit_has_its_day_when_its_money_comes() {
    let case = case();
    let opened = session(Session::unpaid()).session("created", json!(PAID_AT - 10 * 86_400)).to_json();
    let paid = session(Session::async_succeeded()).session("created", json!(PAID_AT - 10 * 86_400)).to_json();
    case.record_events(&[opened, paid]);
    assert_eq!(case.thanks().await.offers(), 1);
}

#[tokio::test]
async fn the_id_of_a_free_purchase_is_not_shown() {
    let case = case();
    let free = session(Session::paid())
        .session("payment_status", json!("no_payment_required"))
        .session("payment_intent", Value::Null)
        .amount(0, "gbp");
    case.record_events(&[free.to_json()]);
    let answer = case.thanks().await;
    assert_eq!(answer.offers(), 1);
    let body = answer.response.body.unwrap();
    assert!(body.contains("<code>ref_") && !body.contains("cs_test_Example"), "{body}");
}

#[tokio::test]
async fn one_invented_id_costs_stripe_one_call() {
    let case = case();
    for _ in 0..20 {
        let answer = case.thanks_at("/thanks", "session_id=cs_test_Invented").await;
        assert_eq!(answer.page(), page(UNKNOWN.0, UNKNOWN.1));
        assert!(!answer.response.body.unwrap().contains("incomplete"));
    }
    assert_eq!(case.stripe_requests(), 1);
    // Its record is looked for all the same: the answer changes as soon as there is one.
    let event = session(Session::paid()).payment("Invented").to_json();
    case.record_events(&[event]);
    assert_eq!(case.thanks_at("/thanks", "session_id=cs_test_Invented").await.page(), welcome());
}

#[tokio::test]
async fn a_session_that_is_still_open_is_looked_up_again_later() {
    let case = case();
    case.stripe.record(&session(Session::paid()).session("status", json!("open")).to_json().to_string());
    assert_eq!(case.thanks().await.page(), page(UNKNOWN.0, UNKNOWN.1));
    case.stripe.record(&session(Session::paid()).to_json().to_string());
    assert_eq!(case.thanks().await.page(), welcome());
}

#[tokio::test]
async fn many_invented_ids_do_not_use_up_stripes_rate_limit() {
    let case = case();
    let mut delayed = 0;
    for number in 0..40 {
        let answer = case.thanks_at("/thanks", &format!("session_id=cs_test_Invented{number}")).await;
        if answer.response.status_code == 503 {
            delayed += 1;
            assert_eq!(answer.page(), page(503, "One moment, please"));
            assert_eq!(answer.response.headers["retry-after"], "10");
            assert_eq!(answer.response.headers["refresh"], "10");
            assert_eq!(answer.counts, [("Pages", 1), ("Delayed", 1)]);
        }
    }
    assert_eq!((case.stripe_requests(), delayed), (10, 30));
    // Who has a record is not held up by strangers.
    case.record_events(&history("paid"));
    assert_eq!(case.thanks().await.page(), welcome());
    assert_eq!(case.fetch().await.response.status_code, 303);
    case.clock.advance_ms(2000);
    let later = case.thanks_at("/thanks", "session_id=cs_test_Another").await;
    assert_eq!(later.page(), page(UNKNOWN.0, UNKNOWN.1));
}

#[tokio::test]
async fn a_page_tries_stripe_twice_and_names_no_session_in_its_failure() {
    for status in [429, 500] {
        let case = case();
        case.stripe.fail(std::iter::repeat_n(Some(Fault::Status(status)), 8));
        let problem = case.site.thanks("cs_test_SECRETSESSION", 0).await.err().unwrap();
        assert_eq!(case.stripe_requests(), 2);
        let cause = cause_chain(&problem);
        assert!(cause.contains("/v1/checkout/sessions") && !cause.contains("SECRET"), "{cause}");
    }
}

#[tokio::test]
async fn an_id_that_is_too_short_for_real_money_reaches_neither_table_nor_stripe() {
    let live = case_of(true);
    for id in ["cs_live_", "cs_live_Example", "cs_test_Example"] {
        let answer = live.thanks_at("/thanks", &format!("session_id={id}")).await;
        assert_eq!(answer.page(), welcome(), "{id}");
    }
    assert_eq!(live.stripe_requests(), 0);
}

/// The record says it, and Stripe where there is no record yet.
#[tokio::test]
async fn the_page_after_paying_names_what_was_bought_and_for_how_much() {
    for (shown_as, product) in [(Some("The field guide"), "The field guide"), (None, "Download")] {
        let mut metadata = json!({ "fulfilment": "download", "files": "guide.pdf" });
        if let Some(shown_as) = shown_as {
            metadata["shown_as"] = json!(shown_as);
        }
        let bought = session(Session::paid()).metadata(metadata);
        let with_record = case();
        with_record.record_events(&[bought.to_json()]);
        let faster = case();
        faster.stripe.record(&bought.to_json().to_string());
        for case in [with_record, faster] {
            let body = case.thanks().await.response.body.unwrap();
            assert!(body.contains("<dd>£12.50</dd>"), "{body}");
            assert!(body.contains(&format!("<dd>{product}</dd>")), "{body}");
        }
    }
    let case = case();
    let shown = json!({ "presentment_amount": 1490, "presentment_currency": "eur" });
    case.record_events(&[session(Session::paid()).session("presentment_details", shown).to_json()]);
    assert!(case.thanks().await.response.body.unwrap().contains("<dd>€14.90</dd>"));
}
