//! A template is checked when it is uploaded, and its owner is informed.

use serde_json::json;

use crate::stack::Cloud;

const OWNER: &str = "uploads@example.org";

/// The whole way: S3, the account's default bus, the rule, the queue, the function with its own rights, the mail.
#[test]
fn an_uploaded_template_is_checked_and_its_owner_gets_one_mail_with_file_and_line() {
    let cloud = Cloud::shared();
    let bucket = cloud.stack.output("TemplatesBucketName").unwrap();
    let upload = |file: &str, text: &str| {
        cloud.stack.aws.put_object(bucket, &format!("e2e-upload/{file}"), text).unwrap();
    };
    let html = |block: &str| {
        format!(
            "{{% extends \"layout/en.html\" %}}\n{{% block {block} %}}<p>{{{{ amount }}}}</p>{{% endblock %}}\n"
        )
    };
    upload("owner.txt", OWNER);
    upload("en.subject.txt", "Thank you");
    upload("en.txt", "{{ amount }}");
    upload("en.html", &html("body"));
    let subjects = || cloud.mails_to(OWNER).iter().map(|mail| mail.subject.clone()).collect::<Vec<_>>();
    cloud.wait_until(1, || subjects().len());
    let mail = &cloud.mails_to(OWNER)[0];
    assert!(mail.subject.contains("to fix in e2e-upload"), "{}", mail.subject);
    assert!(mail.html.contains("e2e-upload/en.html, line 2"), "{}", mail.html);

    // Fixed and uploaded again, it is ready; and nothing came in between.
    upload("en.html", &html("message"));
    cloud.wait_until(2, || subjects().len());
    assert!(subjects()[1].starts_with("e2e-upload is ready to use: en"), "{:?}", subjects());

    // A stranger cannot be written to by an upload.
    upload("owner.txt", "stranger@example.net");
    cloud.wait_until(true, || {
        let log = cloud.stack.log("wording-check").unwrap().join("\n");
        log.matches("\"outcome\":\"done\"").count() >= 3
    });
    assert!(cloud.mails_to("stranger@example.net").is_empty());
    let input = json!({
        "QueueUrl": cloud.stack.output("WordingCheckDlqUrl").unwrap(),
        "AttributeNames": ["ApproximateNumberOfMessages"]
    });
    let dlq = cloud.stack.aws.json("sqs", "AmazonSQS.GetQueueAttributes", &input).unwrap();
    assert_eq!(dlq["Attributes"]["ApproximateNumberOfMessages"], "0");
}
