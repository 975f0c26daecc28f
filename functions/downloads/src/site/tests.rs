//! The site over the real adapters: tables, bucket and secrets in memory, Stripe's API on loopback.

use aws_in_memory::{Cloud, sdk_config};
use download_claims::{PurchasesConfig, StripeConfig};
use fulfilment::{Contribution, Reading};
use serde_json::{Value, json};
use stripe_events::Event;
use testkit::aws::Endpoint;
use testkit::clock::ManualClock;
use testkit::stripe::{CorrectionEvent, SessionEvent as Session};
use testkit::stripe_api::{Fault, KEY, StripeApi};
use uuid::Uuid;

use super::*;
use crate::Config;

mod closed;
mod links;
mod sessions;

const TOKEN_KEY: &str = "0123456789abcdef0123456789abcdef0123456789";
const PAID_AT: i64 = 1_795_000_000;

struct Case {
    cloud: Cloud,
    clock: ManualClock,
    stripe: StripeApi,
    site: Site<ManualClock>,
}

fn case() -> Case {
    case_of(false)
}

fn case_of(livemode: bool) -> Case {
    let cloud = Cloud::with_tables();
    let clock = ManualClock::default();
    cloud.create_bucket("goods");
    cloud.put_secret("stripe-key", KEY);
    cloud.put_secret("token-keys", TOKEN_KEY);
    cloud.put_object("goods", "files/guide.pdf", b"the guide");
    let stripe = StripeApi::start(|| PAID_AT);
    let config = Config {
        stage: "local".to_owned(),
        livemode,
        contributions_table: "contributions".to_owned(),
        effects_table: "effects".to_owned(),
        origin_secret_name: None,
        purchases: PurchasesConfig {
            downloads_table: "downloads".to_owned(),
            files_bucket: "goods".to_owned(),
            token_keys_secret_name: "token-keys".to_owned(),
            stripe: StripeConfig {
                key_secret_name: "stripe-key".to_owned(),
                api_base_url: Some(stripe.url().to_owned()),
            },
        },
    };
    let sdk = sdk_config(&cloud, clock.clone());
    let network = Endpoint::unreachable().sdk_config();
    let site = crate::site(&config, &sdk, &network, clock.clone()).unwrap();
    Case { cloud, clock, stripe, site }
}

fn session(what: Session) -> Session {
    what.at(PAID_AT).metadata(json!({ "fulfilment": "download", "files": "guide.pdf" }))
}

fn refund(minor: i64) -> Value {
    CorrectionEvent::refund("Example", "re_1", "created").amount(minor, "gbp").at(PAID_AT + 1).to_json()
}

fn dispute(what: &str, status: &str) -> Value {
    CorrectionEvent::dispute("Example", "dp_1", what).status(status).at(PAID_AT + 2).to_json()
}

/// What happened to the payment, by a word.
fn history(name: &str) -> Vec<Value> {
    let paid = session(Session::paid()).to_json();
    match name {
        "pending" => vec![session(Session::unpaid()).to_json()],
        "paid" => vec![paid],
        "free" => {
            let free = session(Session::paid()).session("payment_status", json!("no_payment_required"));
            vec![free.amount(0, "gbp").to_json()]
        }
        "part refunded" => vec![paid, refund(500)],
        "refunded" => vec![paid, refund(1250)],
        "disputed" => vec![paid, dispute("created", "needs_response")],
        "lost" => vec![paid, dispute("closed", "lost")],
        "won" => vec![paid, dispute("created", "needs_response"), dispute("closed", "won")],
        "failed" => vec![session(Session::async_failed()).to_json()],
        _ => panic!("{name}"),
    }
}

impl Case {
    fn record_events(&self, events: &[Value]) {
        let mut record: Option<Contribution> = None;
        for json in events {
            let event = Event::from_value(json.clone()).unwrap();
            let event =
                Reading::from_event(&event, false).ok().and_then(Reading::into_payment_event).unwrap();
            let so_far = record.unwrap_or_else(|| Contribution::new(event.payment_id().clone()));
            record = Some(so_far.with_event(&event, &Uuid::nil()));
        }
        self.cloud.put_row("contributions", &serde_json::to_value(record.unwrap()).unwrap());
        // Stripe has all of it, and says what the link said.
        for event in events {
            self.stripe.record(&event.to_string());
        }
    }

    fn token(&self) -> String {
        TokenKeys::parse(TOKEN_KEY).unwrap().sign(&PaymentId::new("pi_Example"), 0)
    }

    async fn ask(&self, method: &str, path: &str, query: &str, body: Option<&str>) -> Answer {
        let request = json!({
            "rawPath": path, "rawQueryString": query, "headers": {}, "body": body, "isBase64Encoded": false,
            "requestContext": { "timeEpoch": 0, "http": { "method": method } },
        });
        let (response, counts) = self.site.answer(&serde_json::from_value(request).unwrap()).await;
        Answer { response, counts }
    }

    async fn thanks(&self) -> Answer {
        self.ask("GET", "/thanks", "session_id=cs_test_Example", None).await
    }

    async fn claim(&self) -> Answer {
        self.ask("GET", &format!("/d/{}", self.token()), "", None).await
    }

    async fn fetch(&self) -> Answer {
        self.ask("POST", &format!("/d/{}", self.token()), "", Some("file=1")).await
    }

    fn fetches(&self) -> i64 {
        let row = self.cloud.row("downloads", &["pi_Example"]).unwrap_or_default();
        row["fetches"].as_i64().unwrap_or_default()
    }
}

struct Answer {
    response: LambdaFunctionUrlResponse,
    counts: Counts,
}

impl Answer {
    fn heading(&self) -> String {
        let body = self.response.body.clone().unwrap_or_default();
        let heading = body.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next());
        heading.unwrap_or_default().to_owned()
    }

    fn location(&self) -> Option<&str> {
        self.response.headers.get("location").map(|value| value.to_str().unwrap())
    }

    /// The status and the heading.
    fn page(&self) -> (i64, String) {
        (self.response.status_code, self.heading())
    }

    fn offers(&self) -> usize {
        self.response.body.as_deref().unwrap_or_default().matches("<button").count()
    }
}

fn page(status: i64, heading: &str) -> (i64, String) {
    (status, heading.to_owned())
}

const FETCHED: (i64, &str) = (303, "");
const PENDING: (i64, &str) = (200, "Your payment is being confirmed");
const REFUNDED: (i64, &str) = (403, "This payment has been refunded");
const DISPUTED: (i64, &str) = (403, "Your bank is looking into this payment");
const EXPIRED: (i64, &str) = (410, "This link has expired");
const UNKNOWN: (i64, &str) = (404, "Page not found");

/// What each state of a payment gives for each way to ask.
#[tokio::test]
async fn every_state_of_a_payment_gives_what_it_should() {
    let thanks = (200, "Thank you");
    let claim = (200, "Your downloads");
    let failed = (200, "Your payment didn’t go through");
    for (name, on_thanks, on_claim, on_fetch) in [
        ("pending", PENDING, PENDING, PENDING),
        ("paid", thanks, claim, FETCHED),
        ("free", thanks, claim, FETCHED),
        ("part refunded", thanks, claim, FETCHED),
        ("refunded", REFUNDED, REFUNDED, REFUNDED),
        ("disputed", DISPUTED, DISPUTED, DISPUTED),
        ("lost", REFUNDED, REFUNDED, REFUNDED),
        ("won", thanks, claim, FETCHED),
        ("failed", failed, failed, failed),
    ] {
        let case = case();
        case.record_events(&history(name));
        assert_eq!(case.thanks().await.page(), page(on_thanks.0, on_thanks.1), "{name}");
        assert_eq!(case.claim().await.page(), page(on_claim.0, on_claim.1), "{name}");
        let fetched = case.fetch().await;
        assert_eq!(fetched.page(), page(on_fetch.0, on_fetch.1), "{name}");
        let gives = on_fetch == FETCHED;
        assert_eq!(fetched.location().is_some(), gives, "{name}");
        assert_eq!(case.fetches(), i64::from(gives), "{name}");
        let offered = [case.thanks().await.offers(), case.claim().await.offers()];
        assert_eq!(offered, [usize::from(gives); 2], "{name}");
    }
}

#[tokio::test]
async fn the_policys_time_ends_the_link_and_not_the_thanks_for_a_gift() {
    let case = case();
    case.record_events(&history("paid"));
    case.clock.advance_ms(365 * 86_400_000);
    for answer in [case.thanks().await, case.claim().await, case.fetch().await] {
        assert_eq!(answer.page(), page(EXPIRED.0, EXPIRED.1));
    }
    assert_eq!(case.fetches(), 0);
    let gift = Session::paid().at(PAID_AT).to_json();
    case.record_events(&[gift]);
    assert_eq!(case.thanks().await.page(), page(200, "Thank you"));
}

#[tokio::test]
async fn a_refund_is_noticed_by_the_very_next_fetch() {
    let case = case();
    case.record_events(&history("paid"));
    assert_eq!(case.fetch().await.response.status_code, 303);
    case.record_events(&history("refunded"));
    assert_eq!(case.fetch().await.page(), page(REFUNDED.0, REFUNDED.1));
    assert_eq!(case.fetches(), 1);
}

#[tokio::test]
async fn scanners_that_follow_links_use_nothing_up() {
    let case = case();
    case.record_events(&history("paid"));
    let path = format!("/d/{}", case.token());
    for _ in 0..50 {
        for method in ["GET", "HEAD"] {
            let answer = case.ask(method, &path, "", None).await;
            assert_eq!((answer.response.status_code, answer.location()), (200, None));
            assert_eq!(answer.response.body.is_none(), method == "HEAD");
            assert_eq!(answer.counts, [("Pages", 1)]);
        }
    }
    assert_eq!(case.fetches(), 0);
    assert_eq!(case.fetch().await.response.status_code, 303);
}

#[tokio::test]
async fn reloading_the_page_after_paying_sends_and_counts_nothing() {
    let case = case();
    case.record_events(&history("paid"));
    for _ in 0..5 {
        assert_eq!(case.thanks().await.page(), page(200, "Thank you"));
    }
    assert_eq!(case.fetches(), 0);
    assert!(case.cloud.rows("effects").is_empty() && case.cloud.mails().is_empty());
}

#[tokio::test]
async fn a_file_is_fetched_from_an_address_for_it_alone() {
    let case = case();
    case.record_events(&history("paid"));
    let answer = case.fetch().await;
    let address = answer.location().unwrap();
    assert!(address.starts_with("http://192.0.2.1/goods/files/guide.pdf?"), "{address}");
    assert!(
        address.contains("X-Amz-Expires=300") && address.contains("X-Amz-SignedHeaders=host"),
        "{address}"
    );
    assert!(address.contains("attachment%3B%20filename%3D%22guide.pdf%22"), "{address}");
    assert_eq!(answer.counts, [("Fetches", 1)]);
}

#[tokio::test]
async fn the_limit_holds_for_a_payment_and_can_be_reset() {
    let case = case();
    case.record_events(&history("paid"));
    for _ in 0..20 {
        assert_eq!(case.fetch().await.response.status_code, 303);
    }
    let answer = case.fetch().await;
    assert_eq!(answer.page(), page(429, "These files have been downloaded very often"));
    assert_eq!((answer.location(), answer.offers()), (None, 0));
    let mut row = case.cloud.row("downloads", &["pi_Example"]).unwrap();
    row["fetches"] = json!(0);
    case.cloud.put_row("downloads", &row);
    assert_eq!(case.fetch().await.response.status_code, 303);
}

#[tokio::test]
async fn a_token_that_is_not_ours_opens_nothing() {
    let case = case();
    case.record_events(&history("paid"));
    let token = case.token();
    let another =
        TokenKeys::parse(&TOKEN_KEY.replace('a', "b")).unwrap().sign(&PaymentId::new("pi_Example"), 0);
    let cut = &token[..token.len() - 1];
    for forged in ["", "v1", "pi_Example", cut, &another, &token.to_uppercase(), &format!("{token}%0a")] {
        for (method, body) in [("GET", None), ("POST", Some("file=1"))] {
            let answer = case.ask(method, &format!("/d/{forged}"), "", body).await;
            assert_eq!(answer.page(), page(UNKNOWN.0, UNKNOWN.1), "{forged}");
        }
    }
    // Ours, for an unknown payment.
    let nobodys = TokenKeys::parse(TOKEN_KEY).unwrap().sign(&PaymentId::new("pi_Nobody"), 0);
    let answer = case.ask("GET", &format!("/d/{nobodys}"), "", None).await;
    assert_eq!(answer.page(), page(UNKNOWN.0, UNKNOWN.1));
}

#[tokio::test]
async fn links_outlive_the_replacement_of_the_key() {
    let case = case();
    case.record_events(&history("paid"));
    let old = case.claim().await;
    assert_eq!(old.response.status_code, 200);
    let new = TOKEN_KEY.replace('a', "b");
    case.cloud.put_secret("token-keys", &format!("{new}\n{TOKEN_KEY}"));
    // A link of the new key may be opened before this instance has read it.
    case.clock.advance_ms(10_001);
    let token = TokenKeys::parse(&new).unwrap().sign(&PaymentId::new("pi_Example"), 0);
    assert_eq!(case.ask("GET", &format!("/d/{token}"), "", None).await.response.status_code, 200);
    assert_eq!(case.claim().await.response.status_code, 200);
}

#[tokio::test]
async fn a_customer_who_is_faster_than_the_event_gets_the_same() {
    let case = case();
    for (event, heading, offers) in [
        (session(Session::paid()), "Thank you", 1),
        (session(Session::unpaid()), "Your payment is being confirmed", 0),
    ] {
        case.stripe.record(&event.to_json().to_string());
        let answer = case.thanks().await;
        assert_eq!((answer.heading().as_str(), answer.offers()), (heading, offers));
    }
    case.stripe.record(&session(Session::paid()).to_json().to_string());
    assert_eq!(case.fetch().await.response.status_code, 303, "also before the record is there");
    assert!(case.cloud.rows("contributions").is_empty(), "nothing is written about payments here");
}

#[tokio::test]
async fn a_refund_that_is_known_before_its_payment_counts() {
    let case = case();
    case.record_events(&[refund(1250)]);
    case.stripe.record(&session(Session::paid()).to_json().to_string());
    assert_eq!(case.thanks().await.page(), page(REFUNDED.0, REFUNDED.1));
    assert_eq!(case.fetch().await.page(), page(REFUNDED.0, REFUNDED.1));
}

#[tokio::test]
async fn sessions_that_are_not_this_deployments_are_unknown() {
    let unknown = page(UNKNOWN.0, UNKNOWN.1);
    let paid = || session(Session::paid());
    for (what, event) in [
        ("another business", paid().without_marker()),
        ("real money at a test stage", paid().livemode()),
        ("not completed", paid().session("status", json!("open"))),
        ("expired", paid().session("status", json!("expired"))),
        ("nothing sold", paid().session("mode", json!("setup"))),
        ("a broken link", paid().metadata(json!({ "fulfilment": "donation" }))),
    ] {
        let case = case();
        case.stripe.record(&event.to_json().to_string());
        assert_eq!(case.thanks().await.page(), unknown, "{what}");
        assert_eq!(case.fetch().await.page(), unknown, "{what}");
    }
    let case = case();
    assert_eq!(case.thanks().await.page(), unknown, "a session of another account");
    let asked = case.stripe.requests().len();
    for id in ["cs_live_Example", "pi_Example", "", "{CHECKOUT_SESSION_ID}", "cs_test_%27"] {
        let answer = case.ask("GET", "/thanks", &format!("session_id={id}"), None).await;
        assert_eq!((answer.page(), answer.offers()), (page(200, "Thank you"), 0), "{id}");
    }
    assert_eq!(case.stripe.requests().len(), asked, "Stripe is not asked about what cannot be ours");
    // A stage with real money knows nothing of test payments.
    let live = case_of(true);
    live.stripe.record(&paid().to_json().to_string());
    assert_eq!(live.thanks().await.offers(), 0);
    assert_eq!(live.fetch().await.page(), unknown);
}

#[tokio::test]
async fn files_of_products_are_offered_as_they_were_bought() {
    let case = case();
    let keys: Vec<String> = (1..=20).map(|n| format!("part {n}.pdf")).collect();
    for key in &keys {
        case.cloud.put_object("goods", &format!("files/{key}"), b"part");
    }
    let items: Vec<Value> = keys
        .iter()
        .map(|key| {
            json!({ "id": format!("li_{key}"), "description": "A <Part>", "quantity": 2,
                "price": { "product": { "id": "prod_1", "metadata": { "file": key } } } })
        })
        .collect();
    case.stripe.put_line_items("cs_test_Example", &items);
    case.record_events(&[session(Session::paid()).metadata(json!({ "fulfilment": "download" })).to_json()]);
    let page = case.claim().await;
    assert_eq!(page.offers(), 20);
    let html = page.response.body.unwrap();
    assert!(html.contains("A &lt;Part&gt; (&times;&nbsp;2)"), "{html}");
    let path = format!("/d/{}", case.token());
    let last = case.ask("POST", &path, "", Some("file=20")).await;
    assert!(last.location().unwrap().contains("/files/part%2020.pdf?"));
    // A number that is none of this purchase's: what there is is shown, and nothing is given.
    let none = case.ask("POST", &path, "", Some("file=21")).await;
    assert_eq!((none.response.status_code, none.location()), (200, None));
    assert_eq!(case.fetches(), 1);
}

#[tokio::test]
async fn a_missing_file_is_promised_and_counted_for_an_alarm() {
    let case = case();
    let files = json!({ "fulfilment": "download", "files": "guide.pdf, audio.mp3" });
    case.record_events(&[session(Session::paid()).metadata(files).to_json()]);
    let answer = case.claim().await;
    assert_eq!((answer.offers(), &answer.counts[..]), (1, &[("Pages", 1), ("FilesMissing", 1)][..]));
    assert!(answer.response.body.as_deref().unwrap().contains("This file will follow"));
    let path = format!("/d/{}", case.token());
    assert_eq!(case.ask("POST", &path, "", Some("file=2")).await.location(), None);
    case.cloud.put_object("goods", "files/audio.mp3", b"the audio");
    assert!(case.ask("POST", &path, "", Some("file=2")).await.location().is_some());
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_not_denied() {
    let case = case();
    case.stripe.fail(std::iter::repeat_n(Some(Fault::Status(500)), 10));
    let answer = case.thanks().await;
    assert_eq!(answer.page(), page(503, "One moment, please"));
    assert_eq!(answer.response.headers["retry-after"], "60");
    assert_eq!(answer.counts, [("Pages", 1), ("Failed", 1)]);
}

#[tokio::test]
async fn anything_else_is_refused_in_the_way_of_the_web() {
    let case = case();
    let token = case.token();
    let check = async |method: &str, path: &str, body: Option<&str>, status: i64| {
        let answer = case.ask(method, path, "", body).await;
        assert_eq!(answer.response.status_code, status, "{method} {path}");
        answer
    };
    let put = check("PUT", &format!("/d/{token}"), None, 405).await;
    assert_eq!(put.response.headers["allow"], "GET, HEAD, POST");
    check("POST", "/thanks", None, 405).await;
    check("POST", &format!("/d/{token}"), None, 400).await;
    check("POST", &format!("/d/{token}"), Some("file=<script>"), 400).await;
    check("GET", "/", None, 404).await;
    check("GET", "/robots.txt", None, 404).await;
    check("GET", &format!("/d/{}", "A".repeat(8000)), None, 404).await;
}

/// The golden file is what the alarms are checked against.
#[tokio::test]
async fn counts_what_the_alarms_watch() {
    let case = case();
    case.record_events(&history("paid"));
    let fetched = case.fetch().await;
    let without = self::case();
    let event = session(Session::paid()).metadata(json!({ "fulfilment": "download", "files": "none.pdf" }));
    without.record_events(&[event.to_json()]);
    let missing = without.claim().await;
    let failed = self::case();
    failed.stripe.fail(std::iter::repeat_n(Some(Fault::Status(500)), 10));
    let failed = failed.thanks().await;
    let lines =
        [fetched, missing, failed].map(|answer| testkit::metrics::of_counts(crate::NAME, &answer.counts));
    testkit::metrics::assert_golden(&lines.concat(), include_str!("../../metrics.golden.json"));
}
