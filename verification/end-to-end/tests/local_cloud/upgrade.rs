//! A deployment over a stack with work in flight, while payments go on.
//!
//! The template is the running one, and every function's package is another: CloudFormation updates all of them. What
//! rows and messages of earlier versions look like to this one, `verification/simulation/tests/upgrade.rs` proves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::stripe::{CorrectionEvent, SessionEvent};
use xtask::aws::unix_now;
use xtask::checkout::Checkout;
use xtask::upgrade::Upgrade;

use crate::analysts::published;
use crate::downloads::{fetch_by, link, purchase, upload};
use crate::operator::json_of;
use crate::stack::{Cloud, address, of};

const MAIL: &str = "email#thank-you";
const MAIL_DONE: &str = "email#thank-you done";

/// How long the dead claims still hold when the deployment begins.
const LEASE: Duration = Duration::from_secs(20);

#[test]
fn a_deployment_over_work_in_flight_loses_nothing_and_does_nothing_twice() {
    let cloud = Cloud::alone();
    let checkout = Checkout::find().unwrap();
    let upgrade = Upgrade::prepare(&checkout, &cloud.stack).unwrap();

    cloud.post(&payment("BeforeUpgrade"));
    let old_link = mail_a_link(&cloud);
    leave_a_dead_letter(&cloud);
    leave_a_correction_waiting(&cloud);
    leave_dead_claims(&cloud);
    leave_a_retry(&cloud);

    let before = Identities::of(&cloud);
    let during = deploy_while_payments_go_on(&cloud, &upgrade);
    assert_eq!(Identities::of(&cloud), before, "a resource was replaced");

    let_the_retry_succeed(&cloud);
    cloud.post(&payment("AfterUpgrade"));
    let single = ["BeforeUpgrade", "Retrying", "AfterUpgrade"].map(str::to_owned);
    for payment in single.iter().chain(&during) {
        is_done_once(&cloud, payment);
    }
    assert_eq!(fetch_by(&link(&cloud, "Retrying")).0, "retried");
    dead_claims_end_as_the_ledger_says(&cloud);
    the_correction_finds_its_payment(&cloud);
    the_dead_letter_is_redriven(&cloud);
    assert_eq!(fetch_by(&old_link).0, "kept", "the link of a mail that was sent before");
}

fn payment(name: &str) -> SessionEvent {
    of(SessionEvent::paid(), name).marketing(Some("yes"))
}

/// A mail with a link to a file: the link.
fn mail_a_link(cloud: &Cloud) -> String {
    upload(cloud, "files/e2e/kept.txt", "kept");
    let metadata = json!({ "fulfilment": "download", "files": "e2e/kept.txt" });
    cloud.post(&purchase(SessionEvent::paid(), "OldLink", metadata));
    cloud.wait_for_effect("pi_OldLink", MAIL_DONE);
    link(cloud, "OldLink")
}

/// A purchase of a file that is not there: the message waits in the DLQ for it.
fn leave_a_dead_letter(cloud: &Cloud) {
    let metadata = json!({ "fulfilment": "download", "files": "e2e/after-upgrade.txt" });
    cloud.post(&purchase(SessionEvent::paid(), "DeadLetter", metadata));
    cloud.wait_for_effect("pi_DeadLetter", "email#files-ready parked (file_missing)");
    cloud.wait_for_dead_letter("ThankYouEmail", "pi_DeadLetter");
}

/// A refund whose payment comes after the deployment.
fn leave_a_correction_waiting(cloud: &Cloud) {
    let refund = CorrectionEvent::refund("PaidLater", "re_PaidLater", "created").amount(500, "gbp");
    cloud.post_json(&refund.to_json());
    cloud.wait_for_effect("pi_PaidLater", "contribution#refund#re_PaidLater done");
    cloud.wait_for_effect("pi_PaidLater", "acquisition#refund#re_PaidLater retry (payment_unknown)");
}

/// Claims of executors that died before their call: of the mail, which is made at most once, and of the publication,
/// which is made at least once. The messages are received again until the lease has run out.
fn leave_dead_claims(cloud: &Cloud) {
    let lease_until = (u128::from(unix_now()) * 1000 + LEASE.as_millis()).to_string();
    for effect in [MAIL, "acquisition"] {
        let item = json!({
            "payment_id": { "S": "pi_DeadClaim" }, "effect": { "S": effect }, "state": { "S": "claimed" },
            "owner": { "S": "died/m1" }, "attempt": { "N": "1" }, "lease_until": { "N": lease_until },
            "event_id": { "S": "evt_DeadClaim_completed" }, "updated_at": { "N": "1795000000000" }
        });
        let input = json!({ "TableName": cloud.stack.output("EffectsTableName").unwrap(), "Item": item });
        cloud.stack.aws.json("dynamodb", "DynamoDB_20120810.PutItem", &input).unwrap();
    }
    cloud.post(&payment("DeadClaim"));
    cloud.wait_for_effect("pi_DeadClaim", "contribution#paid done");
}

/// A mail whose message is received again, because Stripe's reply about what was bought cannot be read.
fn leave_a_retry(cloud: &Cloud) {
    cloud.stack.bought("cs_test_Retrying", &json!([{ "id": "li_Retrying", "price": "price_1" }])).unwrap();
    cloud.post(&purchase(payment("Retrying"), "Retrying", json!({ "fulfilment": "download" })));
    let is_retried = |line: &String| line.contains("pi_Retrying") && line.contains("purchase_unavailable");
    cloud.wait_until(true, || cloud.stack.log("thank-you-email").unwrap().iter().any(is_retried));
}

/// Stripe's reply can be read again.
fn let_the_retry_succeed(cloud: &Cloud) {
    upload(cloud, "files/e2e/retried.txt", "retried");
    let product = json!({ "id": "prod_1", "metadata": { "file": "e2e/retried.txt" } });
    let item = json!({ "id": "li_Retrying", "object": "item", "quantity": 1,
        "price": { "id": "price_1", "product": product } });
    cloud.stack.bought("cs_test_Retrying", &json!([item])).unwrap();
}

/// Deploys, and sends a payment every other second until that is done, again and again until it is taken, as Stripe
/// does. Returns their names.
fn deploy_while_payments_go_on(cloud: &Cloud, upgrade: &Upgrade<'_>) -> Vec<String> {
    let mut sent = Vec::new();
    let outputs = std::thread::scope(|scope| {
        let deployment = scope.spawn(|| upgrade.deploy().unwrap());
        while !deployment.is_finished() {
            let name = format!("During{}", sent.len());
            let event = payment(&name).to_json().to_string();
            cloud.wait_until(Some(200), || cloud.stack.post(&event).ok().map(|(status, _)| status));
            sent.push(name);
            std::thread::sleep(Duration::from_secs(2));
        }
        deployment.join().unwrap()
    });
    for (name, value) in &outputs {
        assert_eq!(
            cloud.stack.output(name).ok(),
            value.as_str(),
            "Stripe, customers and operators use {name}"
        );
    }
    assert!(sent.len() > 1, "the deployment was over at once");
    sent
}

/// Every effect of a payment is there, and once.
fn is_done_once(cloud: &Cloud, name: &str) {
    let payment_id = format!("pi_{name}");
    for effect in ["contribution#paid done", "consents done", "acquisition done"] {
        cloud.wait_for_effect(&payment_id, effect);
    }
    assert_eq!(cloud.contribution(&payment_id).unwrap()["status"], "paid", "{name}");
    assert_eq!(cloud.supporter_rows(&payment_id).len(), 1, "{name}");
    // By the id that analysts count by: what is published at least once may come twice.
    let published: BTreeSet<_> =
        published(cloud, &payment_id).iter().map(|event| event["event_id"].to_string()).collect();
    assert_eq!(published.len(), 1, "{name}");

    // The local cloud ends a function's processes in the middle of an invocation, which AWS lets finish. A mail that
    // was in hand then is not sent again, and the ledger reports it as `unknown` for an operator to resolve.
    let in_hand = format!("{MAIL} unknown (lease_expired)");
    let mail = || cloud.ledger(&payment_id).into_iter().find(|row| row.starts_with(MAIL)).unwrap_or_default();
    cloud.wait_until(true, || [MAIL_DONE, &in_hand].contains(&mail().as_str()));
    let mails = cloud.mails_to(&address(name)).len();
    assert!(mails == 1 || mails == 0 && mail() == in_hand, "{name} has {mails} mails");
}

fn dead_claims_end_as_the_ledger_says(cloud: &Cloud) {
    cloud.wait_for_effect("pi_DeadClaim", "acquisition done");
    assert_eq!(published(cloud, "pi_DeadClaim").len(), 1);
    cloud.wait_for_effect("pi_DeadClaim", &format!("{MAIL} unknown (lease_expired)"));
    assert!(cloud.mails_to(&address("DeadClaim")).is_empty());
    json_of(&["resolve", "pi_DeadClaim", MAIL, "--not-sent", "--yes", "--because", "its process died"]);
    is_done_once(cloud, "DeadClaim");
}

fn the_correction_finds_its_payment(cloud: &Cloud) {
    cloud.post(&payment("PaidLater"));
    for effect in ["acquisition done", "acquisition#refund#re_PaidLater done", MAIL_DONE] {
        cloud.wait_for_effect("pi_PaidLater", effect);
    }
    cloud
        .wait_until(json!("part_refunded"), || cloud.contribution("pi_PaidLater").unwrap()["status"].clone());
    let kept: i64 =
        published(cloud, "pi_PaidLater").iter().map(|event| event["amount"].as_i64().unwrap()).sum();
    assert_eq!(kept, 750);
}

fn the_dead_letter_is_redriven(cloud: &Cloud) {
    assert_eq!(cloud.dead_letters("ThankYouEmail", "pi_DeadLetter").len(), 1, "it stayed where it was");
    upload(cloud, "files/e2e/after-upgrade.txt", "after");
    let redrive = ["redrive", "--task", "thank-you-email", "--reason", "file_missing"];
    json_of(&[&redrive[..], &["--yes", "--because", "the file is there"]].concat());
    cloud.wait_for_effect("pi_DeadLetter", "email#files-ready done");
    assert_eq!(fetch_by(&link(cloud, "DeadLetter")).0, "after");
    assert_eq!(cloud.mails_to(&address("DeadLetter")).len(), 2, "the promise, and the files");
}

/// What says that a resource is the same one, and not another of its name.
#[derive(Debug, PartialEq, Eq)]
struct Identities {
    /// Physical ids by stack and logical id.
    resources: BTreeMap<String, String>,
    /// By the name of the output, what the service gave the table, the queue or the bus when it was created.
    created: BTreeMap<String, String>,
}

impl Identities {
    fn of(cloud: &Cloud) -> Self {
        let mut resources = BTreeMap::new();
        for stack in ["afterlink-local-data", "afterlink-local-pipeline"] {
            let form = format!("Action=ListStackResources&Version=2010-05-15&StackName={stack}");
            let listed = cloud.stack.aws.query("cloudformation", &form).unwrap();
            assert!(!listed.contains("<NextToken>"), "{stack} has more resources than one page");
            for member in listed.split("<member>").skip(1) {
                let key = format!("{stack} {}", element(member, "LogicalResourceId"));
                resources.insert(key, element(member, "PhysicalResourceId").to_owned());
            }
        }
        let file: Value = serde_json::from_slice(&std::fs::read(&cloud.stack.file).unwrap()).unwrap();
        let outputs = file["outputs"].as_object().unwrap();
        let created: BTreeMap<_, _> = outputs
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), creation(cloud, name, value.as_str()?)?)))
            .collect();
        assert!(resources.len() > created.len() && created.len() > 15, "{resources:?} {created:?}");
        Self { resources, created }
    }
}

/// What the service says of the creation of the table, queue or bus in this output; `None` for any other output.
fn creation(cloud: &Cloud, output: &str, value: &str) -> Option<String> {
    let call =
        |service: &str, target: &str, input: Value| cloud.stack.aws.json(service, target, &input).unwrap();
    let answer = if output.ends_with("TableName") {
        let described = call("dynamodb", "DynamoDB_20120810.DescribeTable", json!({ "TableName": value }));
        described["Table"]["TableId"].clone()
    } else if output.ends_with("QueueUrl") || output.ends_with("DlqUrl") {
        let input = json!({ "QueueUrl": value, "AttributeNames": ["CreatedTimestamp"] });
        call("sqs", "AmazonSQS.GetQueueAttributes", input)["Attributes"]["CreatedTimestamp"].clone()
    } else if output.ends_with("BusName") {
        call("events", "AWSEvents.DescribeEventBus", json!({ "Name": value }))["CreationTime"].clone()
    } else {
        return None;
    };
    assert!(!answer.is_null(), "{output} does not say when it was created");
    Some(answer.to_string())
}

/// The text of the first element of this name.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let text = xml.split_once(&format!("<{name}>")).unwrap().1;
    text.split_once("</").unwrap().0
}
