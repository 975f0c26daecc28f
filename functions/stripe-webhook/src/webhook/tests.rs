use std::cell::{Cell, RefCell};

use aws::CachedSecret;
use serde_json::json;
use testkit::clock::ManualClock;
use testkit::stripe::{SessionEvent, signature_header};

use super::*;

const CURRENT: &str = "whsec_current-secret";
const PREVIOUS: &str = "whsec_previous-secret";

/// A bus that remembers what it took.
#[derive(Default)]
struct InMemoryBus {
    taken: RefCell<Vec<(String, String)>>,
    refuses: bool,
}

impl EventBus for InMemoryBus {
    async fn put(&self, event_type: &str, event: &str) -> Result<(), NotPut> {
        if self.refuses {
            return Err(NotPut::EntriesRefused { count: 1, code: "ThrottlingException".to_owned() });
        }
        self.taken.borrow_mut().push((event_type.to_owned(), event.to_owned()));
        Ok(())
    }
}

/// A secret that can be rolled, or be out of reach.
#[derive(Default)]
struct InMemorySecret {
    text: RefCell<Option<String>>,
    fetched: Cell<u32>,
}

impl SecretSource for &InMemorySecret {
    fn name(&self) -> &str {
        "signing-secret"
    }

    async fn fetch(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        self.fetched.set(self.fetched.get() + 1);
        self.text.borrow().clone().ok_or_else(|| "out of reach".into())
    }
}

struct Served<'a> {
    webhook: Webhook<InMemoryBus, &'a InMemorySecret, ManualClock>,
    clock: ManualClock,
}

impl<'a> Served<'a> {
    fn with(secret: &'a InMemorySecret, bus: InMemoryBus) -> Self {
        let clock = ManualClock::default();
        let secrets = SigningSecrets(CachedSecret::new(secret, clock.clone()));
        Self { webhook: Webhook { bus, secrets, clock: clock.clone() }, clock }
    }

    fn signed(&self, secret: &str, body: &str) -> LambdaFunctionUrlRequest {
        request("POST", Some(&signature_header(secret, self.clock.now_ms() / 1000, body)), Some(body), false)
    }

    async fn answer(&self, request: LambdaFunctionUrlRequest) -> Answer {
        self.webhook.answer(request).await
    }

    fn taken(&self) -> usize {
        self.webhook.bus.taken.borrow().len()
    }
}

fn secret(text: &str) -> InMemorySecret {
    InMemorySecret { text: RefCell::new(Some(text.to_owned())), fetched: Cell::new(0) }
}

fn request(
    method: &str,
    signature: Option<&str>,
    body: Option<&str>,
    base64: bool,
) -> LambdaFunctionUrlRequest {
    let headers = signature.map_or_else(|| json!({}), |value| json!({ "stripe-signature": value }));
    serde_json::from_value(json!({
        "version": "2.0", "headers": headers, "body": body, "isBase64Encoded": base64,
        "requestContext": { "timeEpoch": 0, "http": { "method": method, "path": "/" } }
    }))
    .unwrap()
}

fn event() -> String {
    SessionEvent::paid().to_json().to_string()
}

/// The golden file is what the alarms are checked against.
#[test]
fn counts_every_answer() {
    let answers = [Answer::Accepted, Answer::Ignored, Answer::Refused, Answer::Unsupported, Answer::Failed];
    let lines =
        answers.map(|answer| testkit::metrics::of_counts(env!("CARGO_PKG_NAME"), &[(answer.metric(), 1)]));
    testkit::metrics::assert_golden(&lines.concat(), include_str!("../../metrics.golden.json"));
    assert_eq!(Answer::WrongMethod.metric(), "Refused");
    assert_eq!(Answer::ConnectedAccount.metric(), "Unsupported");
}

#[tokio::test]
async fn passes_a_signed_event_on_verbatim() {
    let secret = secret(CURRENT);
    let served = Served::with(&secret, InMemoryBus::default());
    // Spacing and key order are Stripe's: the signed bytes are passed on.
    let body = event().replace("{\"", "{ \"");
    assert_eq!(served.answer(served.signed(CURRENT, &body)).await, Answer::Accepted);
    let expected = ("checkout.session.completed".to_owned(), body);
    assert_eq!(*served.webhook.bus.taken.borrow(), [expected]);
}

#[tokio::test]
async fn passes_half_of_a_surrogate_pair_on_as_the_replacement_character() {
    let secret = secret(CURRENT);
    let served = Served::with(&secret, InMemoryBus::default());
    let body = event().replace("Ada Example", r"Ada \ud83d\ude00 \ud83d");
    assert_eq!(served.answer(served.signed(CURRENT, &body)).await, Answer::Accepted);
    let passed_on = served.webhook.bus.taken.borrow()[0].1.clone();
    assert_eq!(passed_on, event().replace("Ada Example", r"Ada \ud83d\ude00 \ufffd"));
}

#[tokio::test]
async fn an_event_of_a_connected_account_is_acknowledged_and_goes_no_further() {
    let secret = secret(CURRENT);
    let served = Served::with(&secret, InMemoryBus::default());
    for (account, expected, taken) in [
        (json!("acct_1"), Answer::ConnectedAccount, 0),
        (json!(null), Answer::Accepted, 1),
        (json!(""), Answer::Accepted, 2),
    ] {
        let mut event = SessionEvent::paid().to_json();
        event["account"] = account;
        assert_eq!(served.answer(served.signed(CURRENT, &event.to_string())).await, expected);
        assert_eq!(served.taken(), taken);
    }
    assert_eq!(Answer::ConnectedAccount.into_response().status_code, 200);
}

#[tokio::test]
async fn reads_base64_bodies() {
    let secret = secret(CURRENT);
    let served = Served::with(&secret, InMemoryBus::default());
    let signature = signature_header(CURRENT, served.clock.now_ms() / 1000, &event());
    let encoded = BASE64.encode(event());
    assert_eq!(
        served.answer(request("POST", Some(&signature), Some(&encoded), true)).await,
        Answer::Accepted
    );
    assert_eq!(served.answer(request("POST", Some(&signature), Some("%%%"), true)).await, Answer::Refused);
    assert_eq!(served.taken(), 1);
}

#[tokio::test]
async fn refuses_what_stripe_did_not_sign() {
    let secret = secret(CURRENT);
    let served = Served::with(&secret, InMemoryBus::default());
    let now = served.clock.now_ms() / 1000;
    let stale = signature_header(CURRENT, now - 301, &event());
    let too_large = format!("{{\"object\":\"event\",\"x\":\"{}\"}}", "x".repeat(MAX_BODY_BYTES));
    let not_json = "supporter@example.org";
    for (name, request) in [
        ("no signature", request("POST", None, Some(&event()), false)),
        ("another's secret", served.signed("whsec_of-another-account", &event())),
        ("stale", request("POST", Some(&stale), Some(&event()), false)),
        ("no body", request("POST", Some(&stale), None, false)),
        ("empty body", request("POST", Some(&stale), Some(""), false)),
        ("too large", served.signed(CURRENT, &too_large)),
        ("not JSON", served.signed(CURRENT, not_json)),
        ("not an event", served.signed(CURRENT, r#"{"object":"charge","id":"ch_1"}"#)),
        ("not an object", served.signed(CURRENT, "[1]")),
        ("no type", served.signed(CURRENT, r#"{"object":"event","id":"evt_1"}"#)),
    ] {
        assert_eq!(served.answer(request).await, Answer::Refused, "{name}");
    }
    assert_eq!(served.taken(), 0);
}

#[tokio::test]
async fn other_methods_are_refused_with_405() {
    let secret = secret(CURRENT);
    let served = Served::with(&secret, InMemoryBus::default());
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let answer = served.answer(request(method, None, None, false)).await;
        assert_eq!(answer, Answer::WrongMethod);
        let response = answer.into_response();
        assert_eq!(response.status_code, 405);
        assert_eq!(response.headers["allow"], "POST");
    }
}

#[tokio::test]
async fn acknowledges_thin_events_without_passing_them_on() {
    let secret = secret(CURRENT);
    let served = Served::with(&secret, InMemoryBus::default());
    let thin = json!({ "id": "evt_1", "object": "v2.core.event", "type": "v1.checkout.session.completed" });
    let answer = served.answer(served.signed(CURRENT, &thin.to_string())).await;
    assert_eq!(answer, Answer::Unsupported);
    assert_eq!(answer.into_response().status_code, 200);
    assert_eq!(served.taken(), 0);
}

/// The tasks park it with its payload; refusing it here would make Stripe give up on it.
#[tokio::test]
async fn passes_on_events_whose_object_it_cannot_read() {
    let secret = secret(CURRENT);
    let served = Served::with(&secret, InMemoryBus::default());
    let odd = SessionEvent::paid().session("amount_total", json!("twelve")).to_json().to_string();
    assert_eq!(served.answer(served.signed(CURRENT, &odd)).await, Answer::Accepted);
}

#[tokio::test]
async fn asks_stripe_to_send_again_what_the_bus_did_not_take() {
    let secret = secret(CURRENT);
    let served = Served::with(&secret, InMemoryBus { refuses: true, ..InMemoryBus::default() });
    let answer = served.answer(served.signed(CURRENT, &event())).await;
    assert_eq!(answer, Answer::Failed);
    assert_eq!(answer.into_response().status_code, 500);
}

#[tokio::test]
async fn accepts_both_secrets_while_one_is_rolled() {
    let secret = secret(&format!("{PREVIOUS}\n{CURRENT}\n"));
    let served = Served::with(&secret, InMemoryBus::default());
    for signed_with in [CURRENT, PREVIOUS] {
        assert_eq!(served.answer(served.signed(signed_with, &event())).await, Answer::Accepted);
    }
}

#[tokio::test]
async fn notices_a_rolled_secret_without_a_deployment() {
    let secret = secret(PREVIOUS);
    let served = Served::with(&secret, InMemoryBus::default());
    assert_eq!(served.answer(served.signed(PREVIOUS, &event())).await, Answer::Accepted);
    *secret.text.borrow_mut() = Some(CURRENT.to_owned());
    // A moment after the last fetch a mismatch is only a mismatch: no flood of calls.
    assert_eq!(served.answer(served.signed(CURRENT, &event())).await, Answer::Refused);
    assert_eq!(secret.fetched.get(), 1);
    served.clock.advance_ms(10_000);
    assert_eq!(served.answer(served.signed(CURRENT, &event())).await, Answer::Accepted);
    assert_eq!(secret.fetched.get(), 2);
}

#[tokio::test]
async fn fails_rather_than_refuses_while_it_has_no_secret_to_check_with() {
    let secret = InMemorySecret::default();
    let served = Served::with(&secret, InMemoryBus::default());
    assert_eq!(served.answer(served.signed(CURRENT, &event())).await, Answer::Failed);
    *secret.text.borrow_mut() = Some(CURRENT.to_owned());
    assert_eq!(served.answer(served.signed(CURRENT, &event())).await, Answer::Accepted);
    // Old secrets are better than none.
    *secret.text.borrow_mut() = None;
    served.clock.advance_ms(3_600_000);
    assert_eq!(served.answer(served.signed(CURRENT, &event())).await, Answer::Accepted);
}

#[tokio::test]
async fn a_placeholder_lets_nothing_in() {
    let secret = secret("put the signing secret here");
    let served = Served::with(&secret, InMemoryBus::default());
    assert_eq!(served.answer(served.signed(CURRENT, &event())).await, Answer::Refused);
}

/// Other businesses of the Stripe account have customers too, who never dealt with this one.
#[tokio::test]
async fn keeps_nothing_of_what_no_task_reacts_to() {
    let secret = secret(CURRENT);
    let served = Served::with(&secret, InMemoryBus::default());
    let another = SessionEvent::paid().metadata(json!({ "order": "1" })).to_json().to_string();
    let customer = json!({ "object": "event", "id": "evt_1", "type": "customer.created",
        "data": { "object": { "object": "customer", "email": "ada@example.org" } } });
    for body in [another, customer.to_string()] {
        assert_eq!(served.answer(served.signed(CURRENT, &body)).await, Answer::Ignored);
    }
    assert_eq!(served.taken(), 0);
    assert_eq!(Answer::Ignored.into_response().status_code, 200, "Stripe is not to send it again");
    // Without Stripe's signature it is refused before it is looked at.
    let forged = served.signed("whsec_forged-by-a-stranger", &event());
    assert_eq!(served.answer(forged).await, Answer::Refused);
}
