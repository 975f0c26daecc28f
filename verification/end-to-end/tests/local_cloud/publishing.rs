//! From a product file to the file in the customer's hands.

use std::path::Path;

use serde_json::{Value, json};
use testkit::stripe::SessionEvent;
use testkit::stripe_api::KEY;
use xtask::aws::http;

use crate::downloads::{fetch, purchase};
use crate::operator::{afterlink, text};
use crate::stack::Cloud;

/// Runs `afterlink --local publish …`.
fn publish(arguments: &[&str]) -> Value {
    let output = afterlink().env("STRIPE_API_KEY", KEY).args(["--json", "publish"]).args(arguments).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The Payment Link at an address, as Stripe has it.
fn payment_link(cloud: &Cloud, url: &Value) -> Value {
    let links = format!("{}/v1/payment_links?limit=100", cloud.stack.output("stripe_api").unwrap());
    let mut answer = http().get(links).header("authorization", format!("Bearer {KEY}")).call().unwrap();
    let links: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    links["data"].as_array().unwrap().iter().find(|link| link["url"] == *url).unwrap().clone()
}

fn write_product(folder: &Path, amount: u32) -> String {
    let file = folder.join("product.toml");
    let text = format!(
        "id = \"e2e-guide\"\nname = \"The guide\"\nimage = \"cover.gif\"\nfulfilment = \"download\"\n\
         price = {{ amount = {amount}, currency = \"gbp\" }}\nfiles = [{{ path = \"The guide.pdf\" }}]\n\
         link = {{ campaign = \"e2e\" }}\n"
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn what_is_published_can_be_bought_and_fetched() {
    let cloud = Cloud::shared();
    let folder = std::env::temp_dir().join(format!("afterlink-e2e-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // Large enough to go in several pieces.
    let guide = "All the walks. ".repeat(20_000);
    std::fs::write(folder.join("The guide.pdf"), &guide).unwrap();
    std::fs::write(folder.join("cover.gif"), "GIF89a of a cover").unwrap();
    let product = write_product(&folder, 1250);

    let rehearsed = publish(&[&product, "--dry-run"]);
    assert_eq!((&rehearsed["acted"], &rehearsed["url"]), (&json!(false), &Value::Null));
    let published = publish(&[&product]);
    assert_eq!(published["steps"], rehearsed["steps"]);
    let link = payment_link(&cloud, &published["url"]);
    let thanks = link["after_completion"]["redirect"]["url"].as_str().unwrap();
    assert!(thanks.ends_with("/thanks?session_id={CHECKOUT_SESSION_ID}"), "{link}");

    cloud.post(&purchase(SessionEvent::paid(), "Published", link["metadata"].clone()));
    cloud.wait_for_ledger("pi_Published", &["contribution#paid done", "email#thank-you done"]);
    let (file, disposition) = fetch(&cloud, "Published");
    assert!(file == guide, "{} bytes", file.len());
    assert!(disposition.contains("filename=\"The guide.pdf\""), "{disposition}");

    let again = publish(&[&product]);
    assert_eq!((&again["steps"], &again["url"]), (&json!([]), &published["url"]));
    let dearer = publish(&[&write_product(&folder, 1500)]);
    assert_eq!(payment_link(&cloud, &dearer["url"])["active"], true);
    assert_eq!(payment_link(&cloud, &published["url"])["active"], false);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn nothing_is_published_without_a_key_that_may_write() {
    let _cloud = Cloud::shared();
    let card = std::env::temp_dir().join(format!("afterlink-card-{}.toml", std::process::id()));
    let product = "id = \"e2e-card\"\nname = \"A card\"\nfulfilment = \"membership\"\n\
                   price = { amount = 500, currency = \"eur\" }\n";
    std::fs::write(&card, product).unwrap();
    for (key, expected) in [
        ("", "holds no key"),
        ("rk_live_other", "a key of live mode"),
        ("rk_test_other", "Stripe refuses the key"),
    ] {
        let output =
            afterlink().env("STRIPE_API_KEY", key).args(["publish", card.to_str().unwrap()]).output();
        let output = output.unwrap();
        let stderr = text(&output.stderr);
        assert!(output.status.code() == Some(1) && stderr.contains(expected), "{stderr}");
        assert!(key.is_empty() || !stderr.contains(key), "no key is ever shown");
    }
    std::fs::remove_file(&card).unwrap();
}
