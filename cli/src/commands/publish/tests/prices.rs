//! Prices that customers choose, and subscriptions: published on the fake, which keeps Stripe's rules of them.

use fulfilment::SubscriptionContract;

use super::*;

const GIFT: &str = r#"
id = "appeal"
name = "The autumn appeal"
fulfilment = "contribution"

[price]
currency = "gbp"
customer_chooses = { preset = 1500, minimum = 500 }

[link]
campaign = "autumn-2026"
"#;

const FRIENDS: &str = r#"
id = "friends"
name = "Friends of the walks"
fulfilment = "membership"

[price]
amount = 500
currency = "gbp"
every = "month"
trial_days = 14

[link]
campaign = "friends-2026"
"#;

fn link(case: &Case) -> Value {
    let links = case.active("/v1/payment_links");
    assert_eq!(links.len(), 1, "{links:?}");
    links[0].clone()
}

fn price(case: &Case) -> Value {
    let prices = case.active("/v1/prices");
    assert_eq!(prices.len(), 1, "{prices:?}");
    prices[0].clone()
}

/// Two terms, and the way back, which finds the first link again.
async fn changes_its_link_with_its_price(first: &str, second: &str) {
    let case = Case::new();
    let one = case.publish(first).await.unwrap();
    assert!(case.publish(first).await.unwrap().steps.is_empty(), "{first}");
    let rehearsed = case.rehearse(second).await.unwrap();
    let two = case.publish(second).await.unwrap();
    assert_eq!(two.steps, rehearsed.steps, "what was foretold");
    assert_ne!(one.url, two.url, "{second}");
    assert_eq!(
        (&link(&case)["url"], price(&case)["active"].as_bool()),
        (&two.url.unwrap().into(), Some(true))
    );
    assert!(case.publish(second).await.unwrap().steps.is_empty(), "{second}");
    assert_eq!(case.publish(first).await.unwrap().url, one.url);
    price(&case);
    link(&case);
}

#[tokio::test]
async fn a_donation_is_published_at_a_price_that_customers_choose() {
    let case = Case::new();
    let published = case.publish(GIFT).await.unwrap();
    insta::assert_snapshot!(plain(&published, 0).replace(&published.url.clone().unwrap(), "<the link>"), @r#"
    appeal is published
      step    what
      create  the product "The autumn appeal"
      create  a price that the customer chooses (at least 5.00 GBP, suggested 15.00 GBP)
      create  the Payment Link

    <the link>
    "#);
    let price = price(&case);
    assert_eq!(
        (&price["custom_unit_amount"], &price["unit_amount"], &price["recurring"]),
        (&json!({ "preset": 1500, "minimum": 500, "maximum": null }), &Value::Null, &Value::Null)
    );
    let metadata = serde_json::from_value(link(&case)["metadata"].clone()).unwrap();
    let contract = LinkContract::from_metadata(&metadata).unwrap().unwrap();
    assert_eq!(
        (contract.kind, contract.shown_as.as_deref()),
        (FulfilmentKind::Contribution, Some("The autumn appeal"))
    );
}

#[tokio::test]
async fn other_limits_are_another_price() {
    let higher = GIFT.replace("500 }", "600 }");
    changes_its_link_with_its_price(GIFT, &higher).await;
    let fixed = GIFT.replace("customer_chooses = { preset = 1500, minimum = 500 }", "amount = 1500");
    changes_its_link_with_its_price(GIFT, &fixed).await;
    let any = GIFT.replace("{ preset = 1500, minimum = 500 }", "true");
    changes_its_link_with_its_price(&any, GIFT).await;
}

/// Stripe may complete what was not said.
#[tokio::test]
async fn limits_that_stripe_adds_change_nothing() {
    let case = Case::new();
    let first = case.publish(GIFT).await.unwrap();
    let mut price = price(&case);
    price["custom_unit_amount"]["maximum"] = 1_000_000.into();
    case.stripe.put(&price);
    let again = case.publish(GIFT).await.unwrap();
    assert_eq!((again.steps, again.url), (Vec::new(), first.url));
}

#[tokio::test]
async fn a_membership_is_published_with_what_its_renewals_are_known_by() {
    let case = Case::new();
    let published = case.publish(FRIENDS).await.unwrap();
    insta::assert_snapshot!(plain(&published, 0).replace(&published.url.clone().unwrap(), "<the link>"), @r#"
    friends is published
      step    what
      create  the product "Friends of the walks"
      create  the price 5.00 GBP every month
      create  the Payment Link

    <the link>
    "#);
    let price = price(&case);
    assert_eq!((&price["unit_amount"], &price["type"]), (&json!(500), &json!("recurring")));
    assert_eq!(
        (&price["recurring"]["interval"], &price["recurring"]["interval_count"]),
        (&json!("month"), &json!(1))
    );
    let subscription = &link(&case)["subscription_data"];
    assert_eq!(subscription["trial_period_days"], 14);
    assert_eq!(
        subscription["metadata"],
        link(&case)["metadata"],
        "the subscription says the same as its link"
    );
    let metadata = serde_json::from_value(subscription["metadata"].clone()).unwrap();
    let contract = SubscriptionContract::of_subscription(&metadata).unwrap().unwrap();
    assert_eq!(contract.kind, FulfilmentKind::Membership);
    assert_eq!(contract.attribution.campaign_codes, ["friends-2026"]);
    assert_eq!(
        (contract.shown_as.as_deref(), contract.item.as_deref()),
        (Some("Friends of the walks"), Some("friends"))
    );
}

#[tokio::test]
async fn another_amount_or_interval_is_another_price() {
    for other in [
        FRIENDS.replace("amount = 500", "amount = 600"),
        FRIENDS.replace("\"month\"", "\"3 months\""),
        FRIENDS.replace("\"month\"", "\"year\""),
        FRIENDS.replace("every = \"month\"\ntrial_days = 14", ""),
    ] {
        changes_its_link_with_its_price(FRIENDS, &other).await;
    }
}

#[tokio::test]
async fn what_subscriptions_say_follows_the_file_and_leaves_other_keys_alone() {
    let case = Case::new();
    let first = case.publish(FRIENDS).await.unwrap();
    let mut own = link(&case);
    own["subscription_data"]["metadata"]["crm"] = "4711".into();
    case.stripe.put(&own);
    assert!(case.publish(FRIENDS).await.unwrap().steps.is_empty(), "another tool's key is left alone");

    let changed =
        FRIENDS.replace("trial_days = 14", "").replace("campaign = \"friends-2026\"", "source = \"poster\"");
    let rehearsed = case.rehearse(&changed).await.unwrap();
    let published = case.publish(&changed).await.unwrap();
    assert_eq!((&published.steps, &published.url), (&rehearsed.steps, &first.url), "the same link");
    insta::assert_snapshot!(published.steps[0].what, @"the Payment Link: `source` is now poster, take out `campaign`, say the same of its subscriptions, take the trial out");
    let subscription = &link(&case)["subscription_data"];
    assert_eq!(subscription["trial_period_days"], Value::Null);
    let metadata = &subscription["metadata"];
    assert_eq!((&metadata["source"], &metadata["crm"]), (&json!("poster"), &json!("4711")));
    assert_eq!(metadata.get("campaign"), None, "{metadata}");
    assert!(case.publish(&changed).await.unwrap().steps.is_empty());
}

#[tokio::test]
async fn every_kind_of_price_may_be_interrupted_anywhere() {
    ends_well_wherever_it_is_interrupted_at(&GIFT.replace("{ preset = 1500, minimum = 500 }", "true")).await;
    ends_well_wherever_it_is_interrupted_at(FRIENDS).await;
}

/// Each request of a first run fails once, by a reply that is lost: the next run ends with one price and one link.
async fn ends_well_wherever_it_is_interrupted_at(text: &str) {
    for request in 0.. {
        let case = Case::new();
        case.stripe.fail(vec![None; request].into_iter().chain(vec![Some(Fault::LostReply); 4]));
        let begun = case.stripe.requests().len();
        let _interrupted = case.publish(text).await;
        let reached = case.stripe.requests().len() - begun > request;
        case.stripe.forget_faults();
        let done = case.publish(text).await.unwrap();
        assert_eq!(link(&case)["url"].as_str(), done.url.as_deref(), "request {request}");
        price(&case);
        if !reached {
            assert!(request > 3, "the run was interrupted");
            break;
        }
    }
}
