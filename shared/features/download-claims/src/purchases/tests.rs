//! Over the real adapters: tables and bucket in memory, Stripe's API on loopback.

use std::time::Duration;

use aws::CachedSecret;
use aws_in_memory::{Cloud, sdk_config};
use serde_json::{Value, json};
use testkit::aws::Endpoint;
use testkit::clock::ManualClock;
use testkit::silence::SilentAws;
use testkit::stripe::{InvoiceEvent, SessionEvent};
use testkit::stripe_api::{Fault, KEY, StripeApi};

use super::*;
use crate::{Downloads, Fetch, PurchasesConfig, StripeConfig};

struct Case {
    cloud: Cloud,
    clock: ManualClock,
    stripe: StripeApi,
    purchases: AwsPurchases<ManualClock>,
}

fn case() -> Case {
    let cloud = Cloud::with_tables();
    let clock = ManualClock::default();
    cloud.create_bucket("goods");
    cloud.put_secret("stripe-key", KEY);
    let stripe = StripeApi::start(|| 1_795_000_000);
    let sdk = sdk_config(&cloud, clock.clone());
    // The key comes from the cloud in memory; Stripe is asked over the network.
    let network = Endpoint::unreachable().sdk_config();
    let policy = Policy::compiled_in().unwrap();
    let config = PurchasesConfig {
        downloads_table: "downloads".to_owned(),
        files_bucket: "goods".to_owned(),
        token_keys_secret_name: "token-keys".to_owned(),
        stripe: StripeConfig {
            key_secret_name: "stripe-key".to_owned(),
            api_base_url: Some(stripe.url().to_owned()),
        },
    };
    let purchases = AwsPurchases::new(&config, &sdk, &network, &policy, clock.clone()).unwrap();
    Case { cloud, clock, stripe, purchases }
}

impl Case {
    fn upload(&self, key: &str, bytes: usize) {
        self.cloud.put_object("goods", key, &vec![b'x'; bytes]);
    }

    async fn files(&self, of_link: Option<&[&str]>) -> Vec<(String, i64, Option<i64>)> {
        let of_link: Option<Vec<String>> = of_link.map(|keys| keys.iter().map(ToString::to_string).collect());
        let purchase = Purchase {
            payment_id: &PaymentId::new("pi_Example"),
            session_id: "cs_test_Example",
            of_link: of_link.as_deref(),
        };
        let files = self.purchases.offer(&purchase).await.unwrap().files;
        files.into_iter().map(|offered| (offered.file.key, offered.file.quantity, offered.size)).collect()
    }

    async fn reset(&self, seen: &Downloads) -> Result<(), aws_sdk_dynamodb::Error> {
        let client = aws_sdk_dynamodb::Client::new(&sdk_config(&self.cloud, self.clock.clone()));
        let change = self.purchases.table().count_anew(&PaymentId::new("pi_Example"), seen).unwrap();
        client.transact_write_items().transact_items(change).send().await?;
        Ok(())
    }

    fn sells(&self, products: &[(i64, Value)]) {
        let items: Vec<Value> = products
            .iter()
            .enumerate()
            .map(|(n, (quantity, metadata))| {
                json!({ "id": format!("li_{n}"), "object": "item", "description": "Guide",
                    "quantity": quantity,
                    "price": { "id": "price_1", "product": { "id": "prod_1", "metadata": metadata } } })
            })
            .collect();
        self.stripe.put_line_items("cs_test_Example", &items);
    }
}

fn file(key: &str, quantity: i64, size: Option<i64>) -> (String, i64, Option<i64>) {
    (key.to_owned(), quantity, size)
}

#[tokio::test]
async fn a_file_is_found_in_whatever_form_its_name_is_written() {
    for (stored, named) in [
        ("Mu\u{308}ller.pdf", "Müller.pdf"),
        ("Müller.pdf", "Mu\u{308}ller.pdf"),
        ("a.pdf", "a.p\u{200b}df"),
        ("a+b.pdf", "s3://goods/files/a+b.pdf"),
        ("a b.pdf", "https://goods.s3.eu-west-1.amazonaws.com/files/a%20b.pdf?versionId=x"),
        ("Mu\u{308}ller.pdf", "https://s3.eu-west-1.amazonaws.com/goods/files/M%C3%BCller.pdf"),
        ("a.pdf", "arn:aws:s3:::goods/files/a.pdf"),
    ] {
        let case = case();
        case.upload(&format!("files/{stored}"), 12);
        // The files found are those that can be fetched.
        assert_eq!(case.files(Some(&[named])).await, [file(stored, 1, Some(12))], "{named}");
        assert_eq!(case.files(None).await, [file(stored, 1, Some(12))], "{named} from the table");
        let product = self::case();
        product.upload(&format!("files/{stored}"), 12);
        product.sells(&[(2, json!({ "file": named }))]);
        assert_eq!(product.files(Some(&[])).await, [file(stored, 2, Some(12))], "{named} of a product");
    }
}

#[tokio::test]
async fn a_file_of_another_bucket_or_with_a_strange_path_is_not_there_and_is_named() {
    let case = case();
    case.upload("files/a.pdf", 12);
    case.upload("a.pdf", 12);
    let named =
        ["s3://theirs/files/a.pdf", "../a.pdf", "./a.pdf", "a//a.pdf", "a.pdf", "s3://goods/files/a.pdf"];
    let expected = [
        file("s3://theirs/files/a.pdf", 1, None),
        file("../a.pdf", 1, None),
        file("./a.pdf", 1, None),
        file("a//a.pdf", 1, None),
        file("a.pdf", 1, Some(12)),
    ];
    assert_eq!(case.files(Some(&named)).await, expected);
}

#[tokio::test]
async fn a_link_that_names_its_files_is_believed_without_asking_stripe() {
    let case = case();
    case.upload("files/guide.pdf", 12);
    assert_eq!(
        case.files(Some(&["guide.pdf", "audio/guide.mp3"])).await,
        [file("guide.pdf", 1, Some(12)), file("audio/guide.mp3", 1, None)]
    );
    assert!(case.stripe.requests().is_empty());
    let row = &case.cloud.rows("downloads")[0];
    assert_eq!(row["decided_at"], 1_795_000_000);
    assert_eq!(row["expires_at"], 1_795_000_000 + 3653 * 86_400);
}

/// The files of a membership are those of its first payment; a renewal has no session.
#[tokio::test]
async fn the_session_of_a_subscriptions_first_payment_is_found_by_its_invoice() {
    let case = case();
    let session = SessionEvent::paid().subscription("Ada").to_json();
    for event in
        [session, InvoiceEvent::first("Ada").to_json(), InvoiceEvent::renewal("Ada", "Second").to_json()]
    {
        case.stripe.record(&event.to_string());
    }
    let one_off = include_str!("../../../../../verification/testkit/fixtures/invoice_paid_one_off.json");
    case.stripe.record(one_off);
    let one_off: Value = serde_json::from_str(one_off).unwrap();
    let session_of = async |invoice: &str| {
        let found = case.purchases.stripe().session_of(&PaymentId::new(invoice)).await.unwrap();
        found.map(|session| session.object.id)
    };
    assert_eq!(session_of("in_AdaFirst").await.as_deref(), Some("cs_test_Ada"));
    assert_eq!(session_of("in_AdaSecond").await, None, "the session is about the first payment only");
    assert_eq!(session_of(one_off["data"]["object"]["id"].as_str().unwrap()).await, None);
    assert_eq!(session_of("in_Unknown").await, None);
    let asked = case.stripe.requests();
    assert_eq!(asked.iter().filter(|line| line.contains("subscription=sub_Ada")).count(), 2);
    assert_eq!(asked.len(), 6, "{asked:?}");
}

#[tokio::test]
async fn products_are_asked_for_their_files_once() {
    let case = case();
    case.sells(&[(2, json!({ "file": "guide.pdf" })), (1, json!({ "files": "a.mp3, b.mp3" }))]);
    let expected = [file("guide.pdf", 2, None), file("a.mp3", 1, None), file("b.mp3", 1, None)];
    assert_eq!(case.files(Some(&[])).await, expected);
    let asked = case.stripe.requests().len();
    case.sells(&[(1, json!({ "file": "another.pdf" }))]);
    assert_eq!(case.files(Some(&[])).await, expected, "decided once, for mail and page");
    assert_eq!(case.stripe.requests().len(), asked);
}

#[tokio::test]
async fn every_page_of_line_items_is_read() {
    let case = case();
    let products: Vec<_> = (0..230).map(|n| (1, json!({ "file": format!("{n}.pdf") }))).collect();
    case.sells(&products);
    let files = case.files(Some(&[])).await;
    assert_eq!(files.len(), 230);
    assert_eq!((files[0].0.as_str(), files[229].0.as_str()), ("0.pdf", "229.pdf"));
    assert_eq!(case.stripe.requests().len(), 3);
}

#[tokio::test]
async fn a_page_without_the_session_asks_stripe_what_the_link_said() {
    let case = case();
    let event =
        SessionEvent::paid().metadata(json!({ "fulfilment": "download", "files": "files/guide.pdf" }));
    case.stripe.record(&event.to_json().to_string());
    assert_eq!(case.files(None).await, [file("guide.pdf", 1, None)]);
    let requests = case.stripe.requests();
    assert!(requests.len() == 1 && requests[0].starts_with("GET /v1/checkout/sessions/cs_test_Example"));
}

#[tokio::test]
async fn a_purchase_without_any_file_waits_until_the_product_is_fixed() {
    let case = case();
    case.sells(&[(1, json!({}))]);
    assert_eq!(case.files(Some(&[])).await, []);
    assert!(case.cloud.rows("downloads").is_empty(), "nothing is decided");
    case.sells(&[(1, json!({ "file": "guide.pdf" }))]);
    case.upload("files/guide.pdf", 3);
    assert_eq!(case.files(Some(&[])).await, [file("guide.pdf", 1, Some(3))]);
}

#[tokio::test]
async fn a_file_that_is_replaced_or_uploaded_later_is_there() {
    let case = case();
    assert_eq!(case.files(Some(&["guide.pdf"])).await, [file("guide.pdf", 1, None)]);
    case.upload("files/guide.pdf", 3);
    assert_eq!(case.files(Some(&["guide.pdf"])).await, [file("guide.pdf", 1, Some(3))]);
    case.upload("files/guide.pdf", 4);
    assert_eq!(case.files(Some(&["guide.pdf"])).await, [file("guide.pdf", 1, Some(4))]);
}

#[tokio::test]
async fn a_key_outside_the_folder_finds_nothing() {
    let case = case();
    case.upload("guide.pdf", 3);
    case.upload("secret/guide.pdf", 3);
    assert_eq!(case.files(Some(&["../guide.pdf"])).await, [file("../guide.pdf", 1, None)]);
    let case = self::case();
    case.upload("guide.pdf", 3);
    assert_eq!(case.files(Some(&["guide.pdf"])).await, [file("guide.pdf", 1, None)]);
}

#[tokio::test]
async fn stripe_that_does_not_answer_is_worth_another_try() {
    let case = case();
    case.stripe.withhold(Some("rak_product_read"));
    let payment_id = PaymentId::new("pi_Example");
    let purchase = Purchase { payment_id: &payment_id, session_id: "cs_test_Example", of_link: Some(&[]) };
    let error = case.purchases.offer(&purchase).await.unwrap_err();
    assert!(matches!(error, PurchasesError::Stripe(_)), "{error:?}");
    case.stripe.withhold(None);
    case.stripe.fail([Some(Fault::Status(503))]);
    case.sells(&[(1, json!({ "file": "guide.pdf" }))]);
    assert_eq!(case.files(Some(&[])).await.len(), 1, "a hiccup is nobody's business");
}

#[tokio::test]
async fn fetches_are_counted_up_to_the_limit_until_an_operator_resets_them() {
    let case = case();
    let payment_id = PaymentId::new("pi_Example");
    let fetch = async || case.purchases.table().count_fetch(&payment_id, 2, 1_795_000_001).await.unwrap();
    assert_eq!(fetch().await, Fetch::LimitReached, "nothing was decided, so nothing can be fetched");
    case.files(Some(&["guide.pdf"])).await;
    assert_eq!(fetch().await, Fetch::Counted(1));
    assert_eq!(fetch().await, Fetch::Counted(2));
    assert_eq!(fetch().await, Fetch::LimitReached);
    let seen = case.purchases.table().of_payment(&payment_id).await.unwrap().unwrap();
    assert_eq!((seen.fetches, seen.last_fetched_at), (2, Some(1_795_000_001)));
    assert!(case.reset(&seen).await.is_ok());
    assert!(case.reset(&seen).await.is_err(), "the count is another one since");
    assert_eq!(fetch().await, Fetch::Counted(1));
}

#[tokio::test]
async fn a_secret_is_fetched_again_when_it_is_old_or_turns_out_to_be() {
    let case = case();
    let sdk = sdk_config(&case.cloud, case.clock.clone());
    let secret = CachedSecret::stored(&sdk, "keys", case.clock.clone());
    assert!(secret.current().await.is_err());
    case.cloud.put_secret("keys", "one");
    assert_eq!(secret.current().await.unwrap(), "one");
    case.cloud.put_secret("keys", "two");
    assert_eq!(secret.fresh().await.unwrap(), "one", "it was fetched a moment ago");
    case.clock.advance_ms(10_001);
    assert_eq!(secret.current().await.unwrap(), "one");
    assert_eq!(secret.fresh().await.unwrap(), "two");
    case.cloud.put_secret("keys", "three");
    case.clock.advance_ms(300_001);
    assert_eq!(secret.current().await.unwrap(), "three");
}

#[tokio::test]
async fn the_names_of_what_was_sold_come_from_the_line_items() {
    let case = case();
    case.sells(&[(2, json!({ "file": "guide.pdf" }))]);
    let named =
        |sold: Vec<SoldItem>| sold.into_iter().map(|item| (item.name, item.quantity)).collect::<Vec<_>>();
    let guides = [("Guide".to_owned(), 2)];
    assert_eq!(named(case.purchases.sold("cs_test_Example").await.unwrap()), guides);
    // Where Stripe is asked for the files, it need not be asked again.
    let payment_id = PaymentId::new("pi_Example");
    let purchase = Purchase { payment_id: &payment_id, session_id: "cs_test_Example", of_link: Some(&[]) };
    assert_eq!(named(case.purchases.offer(&purchase).await.unwrap().sold), guides);
    case.stripe.withhold(Some("rak_product_read"));
    let error = case.purchases.sold("cs_test_Example").await.unwrap_err();
    assert!(matches!(error, PurchasesError::Stripe(_)), "{error:?}");
}

#[tokio::test]
async fn a_stripe_that_never_answers_is_given_up_after_three_seconds() {
    let stripe = SilentAws::start();
    let network = stripe.sdk_config();
    let cloud = Cloud::with_tables();
    cloud.put_secret("stripe-key", KEY);
    let clock = ManualClock::default();
    let api_base_url = network.endpoint_url().map(str::to_owned);
    let config = StripeConfig { key_secret_name: "stripe-key".to_owned(), api_base_url };
    let sdk = sdk_config(&cloud, clock.clone());
    let sessions = crate::StripeSessions::new(&config, &sdk, &network, clock).unwrap();
    // Each attempt has a timer of its own, by which attempts are counted.
    let attempt = stripe_client::Patience::QUEUED.attempt_timeout;
    let (sold, waited) = stripe.wait(attempt, sessions.sold("cs_test_Example")).await;
    assert!(matches!(sold, Err(SessionsError::TooSlow)), "{sold:?}");
    assert_eq!(waited.elapsed, Duration::from_secs(3));
}
