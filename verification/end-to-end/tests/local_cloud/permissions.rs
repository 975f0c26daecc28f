//! The functions hold only what the template grants: the calls are made with their own credentials.

use serde_json::{Value, json};
use testkit::stripe::SessionEvent;
use xtask::aws::{Aws, http};

use crate::operator::afterlink;
use crate::processes::processes_of;
use crate::stack::{Cloud, of};

/// Whether a call is denied; anything else, also a complaint about its input, means that it was allowed.
pub(crate) fn denied(aws: &Aws, service: &str, target: &str, input: &Value) -> bool {
    match aws.json(service, target, input) {
        Ok(_) => false,
        Err(error) => format!("{error:#}").contains("AccessDenied"),
    }
}

pub(crate) fn credentials_of(cloud: &Cloud, function: &str) -> Aws {
    // A function that has not been called has no process to ask.
    cloud.post(&of(SessionEvent::paid(), "Permissions"));
    cloud.wait_for_ledger("pi_Permissions", &["contribution#paid done", "email#thank-you done"]);
    processes_of(cloud, function).first().unwrap().aws(cloud)
}

#[test]
fn contribution_records_may_write_its_tables_and_nothing_else() {
    let cloud = Cloud::shared();
    let aws = credentials_of(&cloud, "contribution-records");
    let table = |output: &str| cloud.stack.output(output).unwrap().to_owned();
    let effect = json!({ "payment_id": { "S": "pi_P" }, "effect": { "S": "test" } });
    let update = json!({ "TableName": table("EffectsTableName"), "Key": effect,
        "UpdateExpression": "SET x = :x", "ExpressionAttributeValues": { ":x": { "S": "x" } } });
    assert!(!denied(&aws, "dynamodb", "DynamoDB_20120810.UpdateItem", &update));
    let scan = |output: &str| json!({ "TableName": table(output) });
    for output in ["EffectsTableName", "ContributionsTableName", "SupportersTableName", "ConsentsTableName"] {
        assert!(denied(&aws, "dynamodb", "DynamoDB_20120810.Scan", &scan(output)), "{output}");
    }
    let consent = json!({ "TableName": table("ConsentsTableName"),
        "Item": { "supporter_id": { "S": "s" }, "record": { "S": "r" } } });
    assert!(denied(&aws, "dynamodb", "DynamoDB_20120810.PutItem", &consent));
    let secret = json!({ "SecretId": table("SigningSecretName") });
    assert!(denied(&aws, "secretsmanager", "secretsmanager.GetSecretValue", &secret));
    let entry = json!({ "Entries": [{ "EventBusName": table("FulfilmentBusName"), "Source": "x", "DetailType": "x", "Detail": "{}" }] });
    assert!(denied(&aws, "events", "AWSEvents.PutEvents", &entry));
}

#[test]
fn thank_you_email_may_claim_and_send_and_touch_no_record() {
    let cloud = Cloud::shared();
    let aws = credentials_of(&cloud, "thank-you-email");
    let table = |output: &str| cloud.stack.output(output).unwrap().to_owned();
    let contribution =
        json!({ "TableName": table("ContributionsTableName"), "Item": { "payment_id": { "S": "pi_P" } } });
    assert!(denied(&aws, "dynamodb", "DynamoDB_20120810.PutItem", &contribution));
    let delete = json!({ "TableName": table("EffectsTableName"),
        "Key": { "payment_id": { "S": "pi_P" }, "effect": { "S": "email#thank-you" } } });
    assert!(denied(&aws, "dynamodb", "DynamoDB_20120810.DeleteItem", &delete));
    let other_queue = json!({ "QueueUrl": table("ContributionRecordsQueueUrl") });
    assert!(denied(&aws, "sqs", "AmazonSQS.ReceiveMessage", &other_queue));
}

#[test]
fn the_webhook_may_put_events_on_its_bus_only() {
    let cloud = Cloud::shared();
    let aws = credentials_of(&cloud, "stripe-webhook");
    let entry = |bus: &str| json!({ "Entries": [{ "EventBusName": cloud.stack.output(bus).unwrap(), "Source": "x", "DetailType": "x", "Detail": "{}" }] });
    assert!(!denied(&aws, "events", "AWSEvents.PutEvents", &entry("FulfilmentBusName")));
    assert!(denied(&aws, "events", "AWSEvents.PutEvents", &entry("AcquisitionBusName")));
    let scan = json!({ "TableName": cloud.stack.output("ContributionsTableName").unwrap() });
    assert!(denied(&aws, "dynamodb", "DynamoDB_20120810.Scan", &scan));
}

#[test]
fn downloads_may_read_what_is_sold_and_count_and_nothing_else() {
    let cloud = Cloud::shared();
    let table = |output: &str| cloud.stack.output(output).unwrap().to_owned();
    let bucket = table("FilesBucketName");
    // Texts that are JSON, because that is how they are read here.
    cloud.stack.aws.put_object(&bucket, "files/permissions.json", "1").unwrap();
    cloud.stack.aws.put_object(&bucket, "drafts/permissions.json", "1").unwrap();
    cloud.stack.aws.put_object(&table("TemplatesBucketName"), "permissions.json", "1").unwrap();
    http().get(cloud.stack.pages_url().unwrap()).call().unwrap();
    let aws = processes_of(&cloud, "downloads").first().unwrap().aws(&cloud);
    let s3_denied = |method: &str, path: &str| match aws.rest("s3", method, path, None) {
        Ok(_) => false,
        Err(error) => format!("{error:#}").contains("AccessDenied"),
    };
    assert!(!s3_denied("GET", &format!("/{bucket}/files/permissions.json")));
    assert!(s3_denied("GET", &format!("/{bucket}/drafts/permissions.json")));
    assert!(s3_denied("GET", &format!("/{bucket}?list-type=2")));
    assert!(s3_denied("DELETE", &format!("/{bucket}/files/permissions.json")));
    assert!(s3_denied("PUT", &format!("/{bucket}/files/other.json")));
    assert!(s3_denied("GET", &format!("/{}/permissions.json", table("TemplatesBucketName"))));
    let put =
        json!({ "TableName": table("ContributionsTableName"), "Item": { "payment_id": { "S": "pi_P" } } });
    assert!(denied(&aws, "dynamodb", "DynamoDB_20120810.PutItem", &put));
    for output in ["ContributionsTableName", "DownloadsTableName", "EffectsTableName"] {
        let scan = json!({ "TableName": table(output) });
        assert!(denied(&aws, "dynamodb", "DynamoDB_20120810.Scan", &scan), "{output}");
    }
    let secret = |output: &str| json!({ "SecretId": table(output) });
    for output in ["TokenKeysName", "StripePagesKeyName"] {
        assert!(
            !denied(&aws, "secretsmanager", "secretsmanager.GetSecretValue", &secret(output)),
            "{output}"
        );
    }
    assert!(denied(&aws, "secretsmanager", "secretsmanager.GetSecretValue", &secret("StripeKeyName")));
    assert!(denied(&aws, "secretsmanager", "secretsmanager.GetSecretValue", &secret("SigningSecretName")));
}

/// An operator with the policies of the template, and nothing else.
struct Operator {
    stack_file: std::path::PathBuf,
}

impl Operator {
    fn hire(cloud: &Cloud, name: &str) -> Self {
        let iam = |form: &str| cloud.stack.aws.query("iam", &format!("Version=2010-05-08&{form}")).unwrap();
        iam(&format!("Action=CreateUser&UserName={name}"));
        let keys = iam(&format!("Action=CreateAccessKey&UserName={name}"));
        let between = |tag: &str| {
            let (_, after) = keys.split_once(&format!("<{tag}>")).unwrap();
            after.split('<').next().unwrap().to_owned()
        };
        let mut stack: Value = serde_json::from_slice(&std::fs::read(&cloud.stack.file).unwrap()).unwrap();
        stack["access_key_id"] = between("AccessKeyId").into();
        stack["secret_access_key"] = between("SecretAccessKey").into();
        let stack_file = cloud.stack.file.with_file_name(format!("{name}.json"));
        std::fs::write(&stack_file, stack.to_string()).unwrap();
        Self { stack_file }
    }

    /// What the program says, with these words after its name.
    fn says(&self, arguments: &[&str]) -> String {
        let output = afterlink().arg("--stack-file").arg(&self.stack_file).args(arguments).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

fn attach(cloud: &Cloud, name: &str, output: &str) {
    let arn = cloud.stack.output(output).unwrap();
    let form = format!("Version=2010-05-08&Action=AttachUserPolicy&UserName={name}&PolicyArn={arn}");
    cloud.stack.aws.query("iam", &form).unwrap();
}

/// The two policies of the template are those that an operator attaches by cli/README.md.
#[test]
fn an_operators_documented_rights_are_enough() {
    const NAME: &str = "documented-operator";
    let cloud = &Cloud::shared();
    cloud.post(&of(SessionEvent::paid(), "Operated"));
    cloud.wait_for_ledger("pi_Operated", &["contribution#paid done", "email#thank-you done"]);
    let operator = Operator::hire(cloud, NAME);
    let is_denied = |arguments: &[&str]| operator.says(arguments).contains("AccessDenied");
    let looks: [&[&str]; 6] = [
        &["status"],
        &["tasks"],
        &["doctor"],
        &["explain", "pi_Operated"],
        &["redrive", "--task", "thank-you-email"],
        &["reconcile", "--since", "1h"],
    ];
    assert!(is_denied(looks[1]), "without a policy");
    attach(cloud, NAME, "OperatorReadPolicyArn");
    for look in looks {
        assert!(!is_denied(look), "{look:?}: {}", operator.says(look));
    }
    let again = ["resend", "pi_Operated", "--template", "thank-you", "--because", "asked for it", "--yes"];
    assert!(is_denied(&again), "looking is not acting");
    attach(cloud, NAME, "OperatorActPolicyArn");
    for act in [&again[..], &["reconcile", "--since", "1h", "--because", "a look", "--yes"]] {
        let output = operator.says(act);
        assert!(!output.contains("AccessDenied"), "{act:?}: {output}");
    }
}
