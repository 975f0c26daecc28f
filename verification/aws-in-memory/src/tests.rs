use serde_json::json;

use super::*;

const NOW: i64 = 1_795_000_000_000;
const QUEUE: &str = "https://sqs.example/1/tasks";
const DLQ: &str = "https://sqs.example/1/tasks-dlq";

fn call(cloud: &Cloud, now_ms: i64, target: &str, input: &Value) -> (u16, Value) {
    let service = match target.split_once('.').unwrap().0 {
        "AmazonSQS" => Service::Sqs,
        "AWSEvents" => Service::EventBridge,
        "secretsmanager" => Service::SecretsManager,
        other => panic!("{other}"),
    };
    let request = Request {
        checksum_sha256: None,
        method: "POST".to_owned(),
        uri: "/".to_owned(),
        target: Some(target.to_owned()),
        service,
        body: input.to_string().into_bytes(),
    };
    let answer = cloud.answer(now_ms, &request);
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

fn rest(cloud: &Cloud, now_ms: i64, service: Service, method: &str, uri: &str, input: &Value) -> Response {
    let body = input.to_string().into_bytes();
    cloud.answer(
        now_ms,
        &Request {
            method: method.to_owned(),
            uri: uri.to_owned(),
            target: None,
            checksum_sha256: None,
            service,
            body,
        },
    )
}

fn queues() -> Cloud {
    let cloud = Cloud::new();
    let redrive = Redrive { dlq_url: DLQ.to_owned(), max_receive_count: 2 };
    for (url, redrive) in [(QUEUE, Some(redrive)), (DLQ, None)] {
        cloud.create_queue(QueueDefinition { url: url.to_owned(), visibility_ms: 60_000, redrive });
    }
    cloud
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

#[test]
fn a_message_is_hidden_while_a_consumer_has_it_and_comes_back() {
    let cloud = queues();
    cloud.send(NOW, QUEUE, "a", BTreeMap::new());
    cloud.send(NOW, QUEUE, "b", BTreeMap::new());
    assert_eq!(bodies(&cloud.receive(NOW, QUEUE, 1)), ["a"]);
    assert_eq!(bodies(&cloud.receive(NOW, QUEUE, 10)), ["b"]);
    assert_eq!(cloud.next_visible_ms(QUEUE), Some(NOW + 60_000));
    assert_eq!(bodies(&cloud.receive(NOW + 59_999, QUEUE, 10)), [""; 0]);
    let again = cloud.receive(NOW + 60_000, QUEUE, 10);
    assert_eq!(bodies(&again), ["a", "b"]);
    let record = again[0].lambda_record();
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "2");
    assert_eq!(record["attributes"]["SentTimestamp"], NOW.to_string());
    cloud.delete(QUEUE, &again[0].receipt_handle);
    assert_eq!(bodies(&cloud.messages(QUEUE)), ["b"]);
}

#[test]
fn a_message_received_too_often_goes_to_the_dlq_and_comes_back_as_another() {
    let cloud = queues();
    let id = cloud.send(NOW, QUEUE, "a", BTreeMap::new());
    for time in [NOW, NOW + 60_000] {
        assert_eq!(cloud.receive(time, QUEUE, 1).len(), 1);
    }
    assert!(cloud.receive(NOW + 120_000, QUEUE, 1).is_empty());
    let dead = cloud.messages(DLQ);
    assert_eq!((dead[0].message_id.as_str(), dead[0].sent_at_ms), (id.as_str(), NOW));
    assert_eq!(cloud.redrive(NOW + 130_000, DLQ, QUEUE), 1);
    let back = cloud.receive(NOW + 130_000, QUEUE, 1);
    assert_eq!((back[0].receive_count, back[0].body.as_str()), (1, "a"));
    assert_ne!(back[0].message_id, id);
    assert!(cloud.messages(DLQ).is_empty());
}

#[test]
fn visibility_changes_only_for_who_has_the_message() {
    let cloud = queues();
    cloud.send(NOW, QUEUE, "a", BTreeMap::new());
    let first = cloud.receive(NOW, QUEUE, 1).remove(0);
    let change = |now_ms, handle: &str, seconds: i64| {
        let input = json!({ "QueueUrl": QUEUE, "ReceiptHandle": handle, "VisibilityTimeout": seconds });
        let (status, answer) = call(&cloud, now_ms, "AmazonSQS.ChangeMessageVisibility", &input);
        (
            status,
            answer["__type"].as_str().unwrap_or_default().trim_start_matches("com.amazonaws.sqs#").to_owned(),
        )
    };
    let refused = |code: &str| (400, code.to_owned());
    assert_eq!(change(NOW, &first.receipt_handle, 120), (200, String::new()));
    assert_eq!(cloud.next_visible_ms(QUEUE), Some(NOW + 120_000));
    assert_eq!(change(NOW, &first.receipt_handle, 43_201), refused("InvalidParameterValue"));
    assert_eq!(change(NOW, "nonsense", 0), refused("ReceiptHandleIsInvalid"));
    assert_eq!(change(NOW + 120_000, &first.receipt_handle, 0), refused("MessageNotInflight"));
    let second = cloud.receive(NOW + 120_000, QUEUE, 1).remove(0);
    assert_eq!(change(NOW + 120_000, &first.receipt_handle, 0), refused("InvalidParameterValue"));
    cloud.delete(QUEUE, &first.receipt_handle);
    assert_eq!(cloud.messages(QUEUE).len(), 1, "an old handle deletes nothing");
    cloud.delete(QUEUE, &second.receipt_handle);
    cloud.delete(QUEUE, &second.receipt_handle);
    assert_eq!(change(NOW + 120_000, &second.receipt_handle, 0), refused("InvalidParameterValue"));
}

#[test]
fn sqs_refuses_what_no_message_may_hold() {
    let cloud = queues();
    let send = |url: &str, body: &str, attribute: &str| {
        let attribute = json!({ "DataType": "String", "StringValue": attribute });
        let input =
            json!({ "QueueUrl": url, "MessageBody": body, "MessageAttributes": { "cause": attribute } });
        let (_, answer) = call(&cloud, NOW, "AmazonSQS.SendMessage", &input);
        answer["__type"].as_str().unwrap_or("sent").trim_start_matches("com.amazonaws.sqs#").to_owned()
    };
    assert_eq!(send(QUEUE, "a", "b"), "sent");
    assert_eq!(send(QUEUE, "", "b"), "MissingParameter");
    assert_eq!(send(QUEUE, "a", ""), "InvalidParameterValue");
    assert_eq!(send(QUEUE, "a", "\u{1}"), "InvalidMessageContents");
    assert_eq!(send("https://sqs.example/1/none", "a", "b"), "QueueDoesNotExist");
    let input =
        json!({ "QueueUrl": QUEUE, "MessageAttributeNames": ["All"], "AttributeNames": ["SentTimestamp"] });
    let (_, received) = call(&cloud, NOW, "AmazonSQS.ReceiveMessage", &input);
    assert_eq!(received["Messages"][0]["MessageAttributes"]["cause"]["StringValue"], "b");
    assert_eq!(received["Messages"][0]["Attributes"], json!({ "SentTimestamp": NOW.to_string() }));
}

fn mail_to(address: &str) -> Value {
    json!({
        "FromEmailAddress": "Example <hello@example.org>", "ConfigurationSetName": "mails",
        "Destination": { "ToAddresses": [address] }, "EmailTags": [{ "Name": "payment", "Value": "pi_1" }],
        "Content": { "Simple": {
            "Subject": { "Data": "Thank you", "Charset": "UTF-8" },
            "Body": { "Html": { "Data": "<p>Hi" }, "Text": { "Data": "Hi" } },
            "Headers": [{ "Name": "X-Entity", "Value": "1" }]
        } }
    })
}

fn send_mail(cloud: &Cloud, now_ms: i64, mail: &Value) -> (u16, String) {
    let answer = rest(cloud, now_ms, Service::Ses, "POST", "/v2/email/outbound-emails", mail);
    let code = answer.headers.iter().find(|(name, _)| *name == "x-amzn-errortype");
    (answer.status, code.map_or("accepted", |(_, code)| code).to_owned())
}

#[test]
fn ses_keeps_what_it_accepted_and_nothing_else() {
    let cloud = Cloud::new();
    cloud.reject_mail_to("bad@example.org");
    assert_eq!(send_mail(&cloud, NOW, &mail_to("bad@example.org")), (400, "MessageRejected".to_owned()));
    for (pointer, value) in [
        ("/Destination/ToAddresses", json!([])),
        ("/Destination/ToAddresses/0", json!("no address")),
        ("/Destination/ToAddresses/0", json!("two words@example.org")),
        ("/EmailTags/0/Value", json!("a#b")),
        ("/Content/Simple/Subject/Data", json!("Thank\r\nBcc: all@example.org")),
        ("/Content/Simple/Body", json!({})),
    ] {
        let mut mail = mail_to("ada@example.org");
        *mail.pointer_mut(pointer).unwrap() = value;
        assert_eq!(send_mail(&cloud, NOW, &mail), (400, "BadRequestException".to_owned()), "{pointer}");
    }
    assert!(cloud.mails().is_empty());
    assert_eq!(send_mail(&cloud, NOW, &mail_to("ada@example.org")), (200, "accepted".to_owned()));
    let mail = cloud.mails().remove(0);
    assert_eq!((mail.to, mail.subject.as_str()), (vec!["ada@example.org".to_owned()], "Thank you"));
    assert_eq!((mail.html.as_deref(), mail.text.as_deref()), (Some("<p>Hi"), Some("Hi")));
    assert_eq!(mail.headers, [("X-Entity".to_owned(), "1".to_owned())]);
    assert_eq!((mail.tags["payment"].as_str(), mail.configuration_set.as_deref()), ("pi_1", Some("mails")));
}

#[test]
fn ses_counts_recipients_by_the_second_and_by_the_day() {
    let cloud = Cloud::new();
    cloud.set_mail_quota(Quota { per_second: Some(1), per_day: Some(2) });
    let statuses = [0, 999, 1000, 2000, 86_400_000 - 1, 86_400_000]
        .map(|ms| send_mail(&cloud, NOW + ms, &mail_to("ada@example.org")).0);
    assert_eq!(statuses, [200, 429, 200, 429, 429, 200]);
    assert_eq!(cloud.mails().len(), 3);
}

#[test]
fn a_bus_takes_good_entries_beside_bad_ones() {
    let cloud = Cloud::new();
    cloud.create_bus("acquisitions");
    let entry = |bus: &str, source: &str, detail: &str| json!({ "EventBusName": bus, "Source": source, "DetailType": "Paid", "Detail": detail });
    let put = |entries: &[Value]| call(&cloud, NOW, "AWSEvents.PutEvents", &json!({ "Entries": entries }));
    let (status, answer) = put(&[
        entry("acquisitions", "afterlink", "{\"a\":1}"),
        entry("acquisitions", "afterlink", "no json"),
        entry("acquisitions", "aws.partner/stripe.com/ed_1", "{}"),
        entry("nowhere", "afterlink", "{}"),
        entry("acquisitions", "", "{}"),
    ]);
    assert_eq!((status, &answer["FailedEntryCount"]), (200, &json!(3)));
    let codes: Vec<_> =
        answer["Entries"].as_array().unwrap().iter().map(|entry| entry["ErrorCode"].as_str()).collect();
    assert_eq!(
        codes,
        [
            None,
            Some("MalformedDetail"),
            Some("NotAuthorizedForSourceException"),
            None,
            Some("InvalidArgument")
        ]
    );
    let events = cloud.events("acquisitions");
    assert_eq!((events.len(), &events[0].detail), (1, &json!({ "a": 1 })));
    assert!(cloud.events("nowhere").is_empty(), "taken and lost");
    let eleven: Vec<_> = (0..11).map(|_| entry("acquisitions", "afterlink", "{}")).collect();
    assert_eq!(put(&eleven).1["__type"], "ValidationException");
}

#[test]
fn s3_lists_in_pages_and_gives_objects() {
    let cloud = Cloud::new();
    for n in 0..1001 {
        cloud.put_object("templates", &format!("t/{n:04}.txt"), n.to_string().as_bytes());
    }
    let get = |uri: &str| {
        let answer = rest(&cloud, NOW, Service::S3, "GET", uri, &Value::Null);
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let (_, page) = get("http://192.0.2.1/templates/?list-type=2");
    assert_eq!(page.matches("<Contents>").count(), 1000);
    let token = page.split("<NextContinuationToken>").nth(1).unwrap().split('<').next().unwrap();
    let token = token.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let (_, page) = get(&format!("/templates/?continuation-token={token}&list-type=2"));
    assert!(page.contains("<Key>t/1000.txt</Key>") && !page.contains("NextContinuationToken"), "{page}");
    assert_eq!(get("/templates/t/0007.txt"), (200, "7".to_owned()));
    for (uri, code) in [("/templates/t/none.txt", "NoSuchKey"), ("/none/?list-type=2", "NoSuchBucket")] {
        let (status, body) = get(uri);
        assert!(status == 404 && body.contains(&format!("<Code>{code}</Code>")), "{body}");
    }
}

#[test]
fn a_secret_is_read_by_its_name() {
    let cloud = Cloud::new();
    cloud.put_secret("stripe", "whsec_1");
    let get = |name: &str| call(&cloud, NOW, "secretsmanager.GetSecretValue", &json!({ "SecretId": name }));
    assert_eq!(get("stripe").1["SecretString"], "whsec_1");
    assert_eq!(get("none").1["__type"], "ResourceNotFoundException");
}

#[test]
fn what_it_does_not_know_stops_the_test_and_every_later_call() {
    let cloud = Cloud::new();
    let shared = cloud.clone();
    let asked = std::thread::spawn(move || call(&shared, NOW, "AmazonSQS.PurgeQueue", &json!({}))).join();
    let sentence = asked.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(*sentence, "the cloud in memory does not know SQS's PurgeQueue");
    assert!(std::panic::catch_unwind(|| cloud.mails()).is_err());
}
