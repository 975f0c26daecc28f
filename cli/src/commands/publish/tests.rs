mod prices;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_in_memory::{Cloud, sdk_config};
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use fulfilment::{Attribution, FulfilmentKind, LinkContract};
use serde_json::json;
use testkit::clock::ManualClock;
use testkit::stripe_api::{Fault, KEY, StripeApi};

use super::*;
use crate::page::plain;

/// Time in which pauses pass at once, and time-outs never.
#[derive(Debug)]
struct NoPause;

impl AsyncSleep for NoPause {
    fn sleep(&self, duration: std::time::Duration) -> Sleep {
        match duration.as_secs() {
            3 | 15 => Sleep::new(std::future::pending()),
            _ => Sleep::new(std::future::ready(())),
        }
    }
}

const GUIDE: &str = r#"
id = "guide"
name = "The guide"
description = "Forty walks"
image = "cover.png"
fulfilment = "download"
thank_you = "walkers"

[price]
amount = 1250
currency = "gbp"

[[files]]
path = "guide.pdf"

[[files]]
path = "guide.mp3"
key = "audio/guide.mp3"

[link]
campaign = "guide-launch"
labels = ["guide", "walks"]

[checkout]
promotion_codes = true
marketing = { question = "May we write to you?" }
"#;

/// A folder of a test's own, for as long as it lasts.
pub(super) struct Folder(std::path::PathBuf);

impl Folder {
    pub(super) fn with(files: &[(&str, &[u8])]) -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id();
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("afterlink-publish-{process}-{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        Self(folder)
    }
}

impl std::ops::Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Files that stay in the temporary folder do no harm.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// A Stripe account, a bucket, and a folder with the files to be sold.
struct Case {
    stripe: StripeApi,
    cloud: Cloud,
    folder: Folder,
    runs: AtomicU32,
}

impl Case {
    fn new() -> Self {
        let files: [(&str, &[u8]); 3] =
            [("cover.png", b"\x89PNG of a cover"), ("guide.pdf", b"the guide"), ("guide.mp3", b"la la")];
        let folder = Folder::with(&files);
        let cloud = Cloud::new();
        cloud.create_bucket("goods");
        Self { stripe: StripeApi::start(|| 1_795_000_000), cloud, folder, runs: AtomicU32::new(0) }
    }

    async fn publish(&self, text: &str) -> Result<Published> {
        self.with(text, async |shop| publish(&shop, |_| {}).await).await
    }

    async fn rehearse(&self, text: &str) -> Result<Published> {
        self.with(text, async |shop| rehearse(&shop).await).await
    }

    async fn with(
        &self,
        text: &str,
        act: impl AsyncFnOnce(Shop<'_>) -> Result<Published>,
    ) -> Result<Published> {
        let sdk = sdk_config(&self.cloud, ManualClock::default());
        let network = testkit::aws::Endpoint::unreachable().sdk_config();
        let http = network.http_client().unwrap();
        let sleep = SharedAsyncSleep::new(NoPause);
        let key = ApiKey::new(KEY).unwrap();
        let stripe = StripeClient::new(self.stripe.url(), key, http, sleep, BUDGET).unwrap();
        let files = FilesBucket::new(&sdk, "goods");
        let checked = Product::read(text, &self.folder, &Policy::compiled_in()?);
        let (product, _) = checked.sound(Path::new("guide.toml"))?;
        let place = Place { stage: "test".to_owned(), pages_url: "https://shop.example".to_owned() };
        let run = self.runs.fetch_add(1, Ordering::Relaxed).to_string();
        act(Shop { product: &product, place: &place, stripe: &stripe, files: &files, run: &run }).await
    }

    fn posts(&self) -> usize {
        self.stripe.requests().iter().filter(|line| line.starts_with("POST")).count()
    }

    fn active(&self, list: &str) -> Vec<Value> {
        let mut objects = self.stripe.objects(list);
        objects.retain(|object| object["active"] == true);
        objects
    }

    /// Whether some link is on, and its price is.
    fn can_be_bought(&self) -> bool {
        let links = self.active("/v1/payment_links");
        links.iter().any(|link| self.stripe.can_be_paid(link["id"].as_str().unwrap()))
    }

    /// A marketer makes a link without our metadata that sells these prices.
    fn make_own_link(&self, id: &str, prices: &[Value]) {
        let mut link = self.active("/v1/payment_links")[0].clone();
        (link["id"], link["url"]) = (id.into(), format!("https://buy.stripe.com/{id}").into());
        link["metadata"].as_object_mut().unwrap().remove("published_as");
        self.stripe.put(&link);
        let item = |price: &Value| json!({ "id": format!("li_{id}"), "object": "item", "quantity": 1, "price": price });
        self.stripe.put_line_items(id, &prices.iter().map(item).collect::<Vec<_>>());
    }

    /// One product, one price and one link are sold; their amount and the link's address.
    fn sold(&self) -> (i64, String) {
        let products = self.active("/v1/products");
        let prices = self.active("/v1/prices");
        let links = self.active("/v1/payment_links");
        assert_eq!((products.len(), prices.len(), links.len()), (1, 1, 1), "{prices:?} {links:?}");
        assert_eq!(prices[0]["lookup_key"], products[0]["id"]);
        (prices[0]["unit_amount"].as_i64().unwrap(), links[0]["url"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn publishes_a_link_that_keeps_the_contract_and_does_nothing_the_second_time() {
    let case = Case::new();
    let first = case.publish(GUIDE).await.unwrap();
    assert_eq!(case.sold(), (1250, first.url.clone().unwrap()));
    assert_eq!(case.cloud.object("goods", "files/guide/guide.pdf").unwrap(), b"the guide");
    assert_eq!(case.cloud.object("goods", "files/audio/guide.mp3").unwrap(), b"la la");
    let product = &case.active("/v1/products")[0];
    assert_eq!((&product["name"], &product["description"]), (&"The guide".into(), &"Forty walks".into()));
    let image = product["images"][0].as_str().unwrap();
    assert!(image.starts_with("https://files.stripe.com/links/"), "{image}");

    let link = &case.active("/v1/payment_links")[0];
    let metadata = serde_json::from_value(link["metadata"].clone()).unwrap();
    let contract = LinkContract::from_metadata(&metadata).unwrap().unwrap();
    assert_eq!(contract.kind, FulfilmentKind::Download);
    assert_eq!(contract.thank_you.unwrap().as_str(), "walkers");
    assert_eq!(contract.files, ["guide/guide.pdf", "audio/guide.mp3"]);
    let attribution = Attribution::read(&metadata, None);
    assert_eq!(attribution.campaign_codes, ["guide-launch"]);
    assert_eq!(attribution.labels, ["guide", "walks"]);
    assert_eq!(link["after_completion"]["type"], "redirect");
    let thanks = &link["after_completion"]["redirect"]["url"];
    assert_eq!(thanks, "https://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}");
    assert_eq!(link["allow_promotion_codes"], true);

    let posts = case.posts();
    let second = case.publish(GUIDE).await.unwrap();
    assert_eq!((second.steps, second.url), (Vec::new(), first.url));
    assert_eq!(case.posts(), posts);
}

#[test]
fn the_question_is_one_that_the_policy_knows() {
    let policy = fulfilment::Policy::compiled_in().unwrap();
    let question = |answer: &str| fulfilment::Question {
        asked_in: fulfilment::AskedIn::CustomField("marketing".to_owned()),
        words: None,
        option_value: None,
        is_choice: true,
        answer: Some(stripe_events::Personal::new(answer.to_owned())),
    };
    assert!(policy.marketing.asks(&question("yes")));
    assert_eq!(policy.marketing.understand(&question("yes")), Some(fulfilment::Answer::Yes));
    assert_eq!(policy.marketing.understand(&question("no")), Some(fulfilment::Answer::No));
}

#[tokio::test]
async fn another_price_is_a_new_price_and_a_new_link_and_the_way_back_is_the_old_ones() {
    let case = Case::new();
    let cheap = case.publish(GUIDE).await.unwrap();
    let dear = GUIDE.replace("1250", "1500");
    let rehearsed = case.rehearse(&dear).await.unwrap();
    let link = cheap.url.clone().unwrap();
    let old = case.active("/v1/prices")[0]["id"].as_str().unwrap().to_owned();
    let said = plain(&rehearsed, 0).replace(&link, "<the old link>").replace(&old, "<the old price>");
    insta::assert_snapshot!(said, @"
    A dry run: guide would be published by
      step        what
      create      the price 15.00 GBP, because Stripe changes no prices
      create      a NEW Payment Link for 15.00 GBP, because a link keeps its price
      switch off  the link <the old link>, which sells at another price: wherever it stands, put the new one
      archive     the price <the old price>, which is no longer asked

    The link is a new one. Without --dry-run it is made.
    ");
    let changed = case.publish(&dear).await.unwrap();
    assert_eq!(changed.steps, rehearsed.steps, "what was foretold");
    assert_eq!(case.sold(), (1500, changed.url.clone().unwrap()));
    assert_ne!(changed.url, cheap.url);

    let back = case.publish(GUIDE).await.unwrap();
    assert_eq!(case.sold(), (1250, back.url.clone().unwrap()));
    assert_eq!(back.url, cheap.url);
    assert_eq!(case.stripe.objects("/v1/payment_links").len(), 2);
    assert!(case.publish(GUIDE).await.unwrap().steps.is_empty());
}

#[tokio::test]
async fn changes_only_what_differs_and_leaves_other_fields_alone() {
    let case = Case::new();
    let link = case.publish(GUIDE).await.unwrap().url;
    let posts = case.posts();
    std::fs::write(case.folder.join("guide.pdf"), "the second edition").unwrap();
    let text = GUIDE
        .replace("campaign = \"guide-launch\"", "source = \"poster\"")
        .replace("Forty walks", "Fifty walks")
        .replace("promotion_codes = true", "");
    let printed = plain(&case.publish(&text).await.unwrap(), 0);
    let printed =
        printed.replace(&case.folder.display().to_string(), "…").replace(link.as_deref().unwrap(), "<link>");
    insta::assert_snapshot!(printed, @"
    guide is published
      step    what
      upload  …/guide.pdf (18 B) as files/guide/guide.pdf, in place of what is there: also for customers who bought it
      change  the product: change the description
      change  the Payment Link: `source` is now poster, take out `campaign`

    <link>
    ");
    assert_eq!(case.posts(), posts + 2);
    assert_eq!(case.cloud.object("goods", "files/guide/guide.pdf").unwrap(), b"the second edition");
    let changed = &case.active("/v1/payment_links")[0];
    assert_eq!(changed["url"].as_str(), link.as_deref());
    assert_eq!(changed["metadata"]["campaign"], Value::Null);
    assert_eq!(changed["metadata"]["source"], "poster");
    assert_eq!(changed["allow_promotion_codes"], true);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let case = Case::new();
    let rehearsed = case.rehearse(GUIDE).await.unwrap();
    let said = plain(&rehearsed, 0).replace(&case.folder.display().to_string(), "…");
    insta::assert_snapshot!(said, @r#"
    A dry run: guide would be published by
      step    what
      upload  …/guide.pdf (9 B) as files/guide/guide.pdf
      upload  …/guide.mp3 (5 B) as files/audio/guide.mp3
      upload  the image, to Stripe
      create  the product "The guide"
      create  the price 12.50 GBP
      create  the Payment Link

    The link is a new one. Without --dry-run it is made.
    "#);
    assert_eq!(case.posts(), 0);
    assert_eq!(case.cloud.object("goods", "files/guide/guide.pdf"), None);
    let report: Vec<_> = case.publish(GUIDE).await.unwrap().steps;
    assert_eq!(report, rehearsed.steps);
}

/// Ends a run at each of its requests in turn, by each way of failing, and runs again: at once, or after Stripe has
/// forgotten the idempotency keys.
async fn ends_well_wherever_it_is_interrupted(before: Option<&str>, text: &str, links: usize) {
    let refused = vec![Some(Fault::Status(400))];
    // The client tries four times.
    let lost = vec![Some(Fault::LostReply); 4];
    let lost_once = vec![Some(Fault::LostReply)];
    let kept = vec![Some(Fault::Kept(500))];
    for (how, fault) in [("refused", refused), ("lost", lost), ("lost once", lost_once), ("kept", kept)] {
        for later in [false, true] {
            for request in 0.. {
                let case = Case::new();
                if let Some(before) = before {
                    case.publish(before).await.unwrap();
                }
                let begun = case.stripe.requests().len();
                case.stripe.fail(vec![None; request].into_iter().chain(fault.clone()));
                let interrupted = case.publish(text).await;
                let reached = case.stripe.requests().len() - begun > request;
                case.stripe.forget_faults();
                assert!(before.is_none() || case.can_be_bought(), "{how} at request {request}");
                if later {
                    case.stripe.forget_idempotency_keys();
                }
                let what = format!("{how} at request {request}, later: {later}");
                // One more attempt brings a reply, and another key gets past a failure that is kept.
                let ends = ["refused", "lost"].contains(&how);
                assert_eq!(interrupted.is_err(), reached && ends, "{what}");
                let done = case.publish(text).await.expect(&what);
                let (amount, link) = case.sold();
                assert_eq!(Some(link), done.url, "{what}");
                assert!(text.contains(&amount.to_string()), "{what}");
                assert_eq!(case.stripe.objects("/v1/payment_links").len(), links, "{what}");
                assert_eq!(case.stripe.objects("/v1/prices").len(), links, "{what}");
                assert!(case.publish(text).await.unwrap().steps.is_empty(), "{what}");
                if !reached {
                    assert!(request > 3, "the runs were interrupted");
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_first_run_may_end_anywhere() {
    ends_well_wherever_it_is_interrupted(None, GUIDE, 1).await;
}

#[tokio::test]
async fn a_change_of_the_price_may_end_anywhere() {
    let dear = GUIDE.replace("1250", "1500");
    ends_well_wherever_it_is_interrupted(Some(GUIDE), &dear, 2).await;
}

#[tokio::test]
async fn leaves_what_others_made_and_turns_on_what_was_turned_off() {
    let case = Case::new();
    let ours = case.publish(GUIDE).await.unwrap().url;
    // A marketer's own link and price of the same product, without our word for it.
    let mut link = case.active("/v1/payment_links")[0].clone();
    (link["id"], link["url"]) = ("plink_own".into(), "https://buy.stripe.com/own".into());
    link["metadata"].as_object_mut().unwrap().remove("published_as");
    case.stripe.put(&link);
    let mut price = case.active("/v1/prices")[0].clone();
    (price["id"], price["metadata"], price["lookup_key"]) =
        ("price_own".into(), serde_json::json!({}), Value::Null);
    case.stripe.put(&price);
    assert!(case.publish(GUIDE).await.unwrap().steps.is_empty());

    let mut off =
        case.active("/v1/payment_links").into_iter().find(|link| link["id"] != "plink_own").unwrap();
    off["active"] = false.into();
    case.stripe.put(&off);
    let mut default = case.active("/v1/products")[0].clone();
    default["default_price"] = case.active("/v1/prices").last().unwrap()["id"].clone();
    case.stripe.put(&default);
    assert_eq!(case.publish(GUIDE).await.unwrap().url, ours);
    assert_eq!(case.active("/v1/payment_links").len(), 2);

    // The dashboard's default price is not in the way either.
    let changed = case.publish(&GUIDE.replace("1250", "1500")).await.unwrap();
    assert_ne!(changed.url, ours);
    let active = case.active("/v1/payment_links");
    assert!(active.iter().any(|link| link["id"] == "plink_own") && active.len() == 2, "{active:?}");
    assert!(case.active("/v1/prices").iter().any(|price| price["id"] == "price_own"));
}

#[tokio::test]
async fn says_what_the_key_lacks_and_how_far_it_came() {
    let case = Case::new();
    case.stripe.withhold(Some("rak_product_read"));
    let error = case.publish(GUIDE).await.unwrap_err();
    assert!(format!("{error:#}").contains("rak_product_read"), "{error:#}");
    case.stripe.withhold(None);
    case.stripe.fail([None, None, Some(Fault::Status(403))]);
    let error = format!("{:#}", case.publish(GUIDE).await.unwrap_err());
    assert!(error.contains("run it again to go on"), "{error}");
}

#[test]
fn takes_a_key_of_the_stages_mode_only() {
    let check = |livemode, text: Option<&str>, expected: &str| {
        let said = key(livemode, text.map(str::to_owned))
            .map_or_else(|error| error.to_string(), |_| "taken".to_owned());
        assert!(said.contains(expected), "{said}");
    };
    check(true, Some("rk_live_1"), "taken");
    check(false, Some("rk_test_1"), "taken");
    check(true, Some("rk_test_1"), "is a key of test mode, and this stage is of live mode");
    check(false, Some("sk_live_1"), "is a key of live mode, and this stage is of test mode");
    check(false, Some("whsec_1"), "STRIPE_API_KEY holds no key");
    check(false, None, "set the environment variable STRIPE_API_KEY");
}

/// The examples of the marketers' handbook: a download, a donation and a membership.
#[tokio::test]
async fn the_handbooks_examples_can_be_published() {
    let handbook = include_str!("../../../../docs/PAYMENT-LINKS.md");
    let blocks = handbook.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut kinds = Vec::new();
    for example in blocks.filter(|block| block.starts_with("id =")) {
        let case = Case::new();
        let checked = Product::read(example, &case.folder, &Policy::compiled_in().unwrap());
        assert_eq!(checked.problems, [], "an example is without blemish");
        kinds.push(checked.product.unwrap().metadata["fulfilment"].clone());
        assert!(case.publish(example).await.unwrap().url.is_some());
        assert!(case.can_be_bought());
    }
    assert_eq!(kinds, ["download", "contribution", "membership"]);
}

#[tokio::test]
async fn an_old_price_that_other_links_sell_stays_and_they_are_named() {
    let case = Case::new();
    let ours = case.publish(GUIDE).await.unwrap().url;
    let price = case.active("/v1/prices")[0].clone();
    case.make_own_link("plink_own", std::slice::from_ref(&price));
    // As the second of several items, beyond those that a list shows.
    let mut other = price.clone();
    (other["id"], other["metadata"]) = ("price_other".into(), json!({}));
    case.stripe.put(&other);
    let many: Vec<_> = std::iter::repeat_n(other, 11).chain([price.clone()]).collect();
    case.make_own_link("plink_many", &many);

    let dear = GUIDE.replace("1250", "1500");
    let rehearsed = case.rehearse(&dear).await.unwrap();
    let changed = case.publish(&dear).await.unwrap();
    assert_eq!((&changed.steps, &changed.kept), (&rehearsed.steps, &rehearsed.kept), "what was foretold");
    assert!(changed.steps.iter().all(|report| report.step != "archive"), "{:?}", changed.steps);
    assert_ne!(changed.url, ours);
    for link in ["plink_own", "plink_many"] {
        assert!(case.stripe.can_be_paid(link), "{link}");
    }
    let said = plain(&changed, 0);
    let expected = format!(
        "The price {} stays active, because links that were not published here sell it:\n  \
         https://buy.stripe.com/plink_many\n  https://buy.stripe.com/plink_own\n",
        price["id"].as_str().unwrap()
    );
    assert!(said.contains(&expected), "{said}");

    // Once they are off, the price goes too.
    for link in ["plink_own", "plink_many"] {
        let mut off =
            case.stripe.objects("/v1/payment_links").into_iter().find(|other| other["id"] == link).unwrap();
        off["active"] = false.into();
        case.stripe.put(&off);
    }
    let last = case.publish(&dear).await.unwrap();
    assert_eq!((last.steps.len(), last.steps[0].step, last.kept.len()), (1, "archive", 0));
}

#[tokio::test]
async fn an_optional_item_of_another_link_keeps_its_price_too() {
    let case = Case::new();
    case.publish(GUIDE).await.unwrap();
    let price = case.active("/v1/prices")[0]["id"].clone();
    let mut other = case.active("/v1/prices")[0].clone();
    (other["id"], other["metadata"]) = ("price_other".into(), json!({}));
    case.make_own_link("plink_own", &[other]);
    let mut link =
        case.active("/v1/payment_links").into_iter().find(|link| link["id"] == "plink_own").unwrap();
    link["optional_items"] = json!([{ "price": price, "quantity": 1, "adjustable_quantity": null }]);
    case.stripe.put(&link);
    let changed = case.publish(&GUIDE.replace("1250", "1500")).await.unwrap();
    assert_eq!(
        changed.kept,
        [KeptPrice {
            price: price.as_str().unwrap().to_owned(),
            links: vec!["https://buy.stripe.com/plink_own".to_owned()]
        }]
    );
}

#[tokio::test]
async fn a_price_that_stripe_says_it_made_is_taken_as_it_is_now() {
    let case = Case::new();
    let cheap = case.publish(GUIDE).await.unwrap();
    case.publish(&GUIDE.replace("1250", "1500")).await.unwrap();
    // The list does not show the old price, as Stripe's may for a while: Stripe repeats its first reply to the request
    // that made it, in which it is active.
    let mut old =
        case.stripe.objects("/v1/prices").into_iter().find(|price| price["unit_amount"] == 1250).unwrap();
    case.stripe.hide(old["id"].as_str().unwrap());
    let back = case.publish(GUIDE).await.unwrap();
    assert_eq!(back.url, cheap.url);
    assert!(case.can_be_bought(), "the price that the link sells is active again");
    assert_eq!(case.sold(), (1250, cheap.url.unwrap()));

    // One that a marketer took over is left alone, and a new one takes its place.
    case.publish(&GUIDE.replace("1250", "1500")).await.unwrap();
    old["metadata"] = json!({});
    old["active"] = false.into();
    case.stripe.put(&old);
    let again = case.publish(GUIDE).await.unwrap();
    assert_eq!(case.sold().0, 1250);
    assert_ne!(again.url, back.url);
    assert!(case.stripe.objects("/v1/prices").contains(&old));
}

#[tokio::test]
async fn a_refusal_that_stripe_keeps_is_asked_for_anew_and_its_reason_is_shown() {
    let case = Case::new();
    let text = GUIDE.replace("promotion_codes = true", "automatic_tax = true");
    case.stripe.set_up_tax(false);
    for _ in 0..6 {
        let error = format!("{:#}", case.publish(&text).await.unwrap_err());
        assert!(error.contains("Stripe says: You must have a valid head office address"), "{error}");
        assert!(error.contains("https://dashboard.stripe.com/test/logs/req_fake"), "{error}");
    }
    case.stripe.set_up_tax(true);
    let published = case.publish(&text).await.unwrap();
    assert_eq!(case.sold(), (1250, published.url.unwrap()));
}

#[tokio::test]
async fn a_price_archived_by_hand_is_turned_on_with_its_key() {
    let case = Case::new();
    case.publish(GUIDE).await.unwrap();
    let mut price = case.active("/v1/prices")[0].clone();
    price["active"] = false.into();
    case.stripe.put(&price);
    case.publish(GUIDE).await.unwrap();
    assert_eq!(case.sold().0, 1250);
}
