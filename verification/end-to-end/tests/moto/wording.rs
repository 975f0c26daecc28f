//! A campaign's own wording, read from the bucket of templates.

use serde_json::json;
use testkit::stripe::SessionEvent;

use crate::account::{Account, address, of};

#[test]
fn a_campaigns_own_wording_wins_and_a_broken_one_loses_no_mail() {
    let account = Account::new();
    let bucket = account.output("TemplatesBucketName");
    let upload = |file: &str, text: &str| account.aws.put_object(&bucket, file, text).unwrap();
    let campaign = |payment: &str, template: &str| {
        of(SessionEvent::paid(), payment)
            .metadata(json!({ "fulfilment": "contribution", "thank_you": template }))
            .customer("Ada <Example>", &address(payment))
    };
    // The function starts before there is any wording, with an empty bucket.
    account.post(&campaign("Plain", "moto-campaign"));
    assert!(account.mails_to("Plain")[0].html.contains("Example Project"), "the built-in wording was used");

    upload("moto-campaign/en.subject.txt", "You did it");
    upload("moto-campaign/en.txt", "Dear {{ customer.name }}, {{ amount }} plants a tree.");
    upload("moto-campaign/en.html", "<p>Dear {{ customer.name }}, {{ amount }} plants a tree.</p>");
    upload("moto-broken/en.subject.txt", "Hello");
    upload("moto-broken/en.txt", "Hello {{ customer.nmae }}");
    upload("moto-broken/en.html", "{% if %}");
    // It lists the bucket when it starts, and then every few minutes.
    account.end("thank-you-email");
    account.post(&campaign("Worded", "moto-campaign"));
    let mail = &account.mails_to("Worded")[0];
    assert_eq!(mail.subject, "You did it");
    assert_eq!(mail.html, "<p>Dear Ada &lt;Example&gt;, £12.50 plants a tree.</p>");
    account.post(&campaign("Broken", "moto-broken"));
    assert!(account.mails_to("Broken")[0].html.contains("Example Project"), "the built-in wording was used");
}
