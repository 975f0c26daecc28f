//! An account of one test's own, with what the template says is in it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) use end_to_end::{address, of};
use lambda_fake::Process;
use lambda_fake::events::{UrlRequest, sqs_record};
use serde_json::{Map, Value, json};
use testkit::stripe::{SessionEvent, signature_header};
use testkit::stripe_api::{self, StripeApi};
use xtask::aws::{Aws, http, unix_now};
use xtask::stack::plain_item;

use crate::gate::Gate;
use crate::template::Template;

const REGION: &str = "us-east-1";
const SIGNING_SECRET: &str = "whsec_motomotomotomotomotomotomotomoto";
const TOKEN_KEYS: &str = "motomotomotomotomotomotomotomotomotomoto";
/// Where the mails say that the pages are.
const PAGES: &str = "https://pages.example.org/";
/// How long messages may wait for their next try.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mail that was accepted. Of a mail with two parts moto keeps the HTML.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) subject: String,
    pub(crate) html: String,
}

/// A task: its function and its queues.
#[derive(Debug)]
struct Task {
    function: String,
    queue: String,
    queue_arn: String,
    batch_size: u64,
}

/// The account.
pub(crate) struct Account {
    pub(crate) aws: Aws,
    pub(crate) gate: Gate,
    /// Stripe, as far as functions ask it.
    pub(crate) stripe: StripeApi,
    template: Template,
    tasks: Vec<Task>,
    binaries: Map<String, Value>,
    operator: PathBuf,
    running: RefCell<BTreeMap<String, Rc<Process>>>,
    logs: PathBuf,
}

impl Account {
    /// An empty account, named after the test that runs.
    pub(crate) fn new() -> Self {
        let reported: Value = serde_json::from_slice(&std::fs::read(moto_file()).unwrap()).unwrap();
        let test = std::thread::current().name().unwrap().replace("::", "-");
        let mut hasher = DefaultHasher::new();
        test.hash(&mut hasher);
        let id = format!("{:012}", hasher.finish() % 1_000_000_000_000);
        let gate = Gate::default();
        let aws = Aws {
            endpoint: gate.open(reported["endpoint"].as_str().unwrap(), &id),
            region: REGION.to_owned(),
            access_key_id: "AKIAEXAMPLE".to_owned(),
            secret_access_key: "example".to_owned(),
            session_token: None,
        };
        let logs = moto_file().with_file_name("logs").join(test);
        std::fs::create_dir_all(&logs).unwrap();
        let mut account = Self {
            aws,
            gate,
            stripe: StripeApi::start(now),
            template: Template::read(&reported["templates"]),
            tasks: Vec::new(),
            binaries: reported["functions"].as_object().unwrap().clone(),
            operator: reported["operator"].as_str().unwrap().into(),
            running: RefCell::default(),
            logs,
        };
        account.make_data(&id);
        account.make_pipeline(&id);
        account
    }

    fn make_data(&mut self, id: &str) {
        for (name, table) in self.template.of_type("AWS::DynamoDB::Table") {
            let expiry = &table["TimeToLiveSpecification"];
            let mut input = json!({ "TableName": name });
            // The rest of a table's properties are no part of `CreateTable`.
            for property in ["AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode"] {
                if !table[property].is_null() {
                    input[property] = table[property].clone();
                }
            }
            self.dynamodb("CreateTable", &input);
            if !expiry.is_null() {
                let input = json!({ "TableName": name, "TimeToLiveSpecification": expiry });
                self.dynamodb("UpdateTimeToLive", &input);
            }
            self.template.made(&name, &name);
        }
        for (name, _) in self.template.of_type("AWS::S3::Bucket") {
            // A bucket's name is one among all accounts'.
            let bucket = format!("{}-{id}", name.to_lowercase());
            self.aws.create_bucket(&bucket).unwrap();
            self.template.made(&name, &bucket);
        }
        for (secret, properties) in self.template.of_type("AWS::SecretsManager::Secret") {
            let text = match secret.as_str() {
                secret if secret.starts_with("SigningSecret") => SIGNING_SECRET,
                secret if secret.starts_with("TokenKeys") => TOKEN_KEYS,
                _ => stripe_api::KEY,
            };
            let input = json!({ "Name": properties["Name"], "SecretString": text });
            self.aws.json("secretsmanager", "secretsmanager.CreateSecret", &input).unwrap();
        }
        for (_, identity) in self.template.of_type("AWS::SES::EmailIdentity") {
            self.aws.rest("ses", "POST", "/v2/email/identities", Some(&identity)).unwrap();
        }
    }

    fn make_pipeline(&mut self, id: &str) {
        for (_, set) in self.template.of_type("AWS::SES::ConfigurationSet") {
            let input = json!({
                "ConfigurationSetName": set["Name"], "DeliveryOptions": set["DeliveryOptions"],
                "ReputationOptions": set["ReputationOptions"], "SuppressionOptions": set["SuppressionOptions"]
            });
            self.aws.rest("ses", "POST", "/v2/email/configuration-sets", Some(&input)).unwrap();
        }
        for (bus, properties) in self.template.of_type("AWS::Events::EventBus") {
            self.events("CreateEventBus", &json!({ "Name": properties["Name"] }));
            self.template.made(&bus, properties["Name"].as_str().unwrap());
        }
        // A queue's dead-letter queue before the queue.
        let mut queues = self.template.of_type("AWS::SQS::Queue");
        queues.sort_by_key(|(_, queue)| !queue["RedrivePolicy"].is_null());
        for (queue, properties) in queues {
            self.make_queue(id, &queue, properties);
        }
        for (_, rule) in self.template.of_type("AWS::Events::Rule") {
            let rule = self.template.resolve(&rule);
            let name = json!({ "Name": rule["Name"], "EventBusName": rule["EventBusName"].as_str().unwrap_or("default") });
            let mut input = name.clone();
            input["EventPattern"] = rule["EventPattern"].to_string().into();
            self.events("PutRule", &input);
            let targets = json!({
                "Rule": name["Name"], "EventBusName": name["EventBusName"], "Targets": rule["Targets"]
            });
            let failed = self.events("PutTargets", &targets)["FailedEntryCount"].clone();
            assert_eq!(failed, 0, "{name}");
        }
        for (url, _) in self.template.of_type("AWS::Lambda::Url") {
            self.template.has(&url, "FunctionUrl", PAGES);
        }
        let functions: BTreeMap<_, _> = self.template.of_type("AWS::Lambda::Function").into_iter().collect();
        for (_, mapping) in self.template.of_type("AWS::Lambda::EventSourceMapping") {
            let queue_id = &mapping["EventSourceArn"]["Fn::GetAtt"][0];
            let function = &functions[mapping["FunctionName"]["Ref"].as_str().unwrap()];
            let text = |value: &Value| self.template.resolve(value).as_str().unwrap().to_owned();
            self.tasks.push(Task {
                function: text(&function["FunctionName"]).replace("afterlink-local-", ""),
                queue: text(&json!({ "Ref": queue_id })),
                queue_arn: text(&mapping["EventSourceArn"]),
                batch_size: mapping["BatchSize"].as_u64().unwrap(),
            });
        }
        assert_eq!(
            self.tasks.len(),
            catalogue::queued().count(),
            "every function behind a queue has its own"
        );
    }

    fn make_queue(&mut self, account: &str, id: &str, mut properties: Value) {
        let name = properties["QueueName"].as_str().unwrap().to_owned();
        // Attributes are text, in CloudFormation as in SQS, but for numbers and documents.
        let attributes = properties.as_object_mut().unwrap();
        attributes.remove("QueueName");
        let attributes: Map<String, Value> = attributes
            .iter()
            .map(|(name, value)| {
                let value = self.template.resolve(value);
                (name.clone(), json!(value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            })
            .collect();
        let made = self.sqs("CreateQueue", &json!({ "QueueName": name, "Attributes": attributes }));
        self.template.made(id, made["QueueUrl"].as_str().unwrap());
        self.template.has(id, "Arn", &format!("arn:aws:sqs:{REGION}:{account}:{name}"));
    }

    fn dynamodb(&self, operation: &str, input: &Value) -> Value {
        self.aws.json("dynamodb", &format!("DynamoDB_20120810.{operation}"), input).unwrap()
    }

    fn events(&self, operation: &str, input: &Value) -> Value {
        self.aws.json("events", &format!("AWSEvents.{operation}"), input).unwrap()
    }

    pub(crate) fn sqs(&self, operation: &str, input: &Value) -> Value {
        self.aws.json("sqs", &format!("AmazonSQS.{operation}"), input).unwrap()
    }

    /// An output of the template.
    pub(crate) fn output(&self, name: &str) -> String {
        self.template.output(name)
    }

    /// The operator's command line, which finds this account as it finds the local cloud.
    pub(crate) fn afterlink(&self) -> Command {
        let mut stack = self.template.outputs();
        for (name, value) in [
            ("endpoint", self.aws.endpoint.as_str()),
            ("region", REGION),
            ("access_key_id", &self.aws.access_key_id),
            ("secret_access_key", &self.aws.secret_access_key),
            ("stripe_api", self.stripe.url()),
            ("signing_secret", SIGNING_SECRET),
        ] {
            stack.insert(name.to_owned(), value.into());
        }
        let file = self.logs.join("stack.json");
        std::fs::write(&file, serde_json::to_vec(&stack).unwrap()).unwrap();
        let mut command = Command::new(&self.operator);
        command.args(["--local", "--stack-file"]).arg(file);
        command
    }

    /// Starts a process of a function, in the environment that the template gives it.
    pub(crate) fn start(&self, function: &str) -> Process {
        let functions = self.template.of_type("AWS::Lambda::Function");
        let name = format!("afterlink-local-{function}");
        let (_, properties) = functions.iter().find(|(_, it)| it["FunctionName"] == name).unwrap();
        let variables = self.template.resolve(&properties["Environment"]["Variables"]);
        let variables = variables.as_object().unwrap();
        let mut command = Command::new(self.binaries[function].as_str().unwrap());
        command
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value.as_str().unwrap())))
            .env("AWS_ENDPOINT_URL", &self.aws.endpoint)
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", &self.aws.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &self.aws.secret_access_key)
            .env("STRIPE_API_BASE_URL", self.stripe.url());
        let process = Process::start(command, self.logs.join(format!("{function}.log"))).unwrap();
        process.first_poll().unwrap();
        process
    }

    /// Hands an event to a function, and hands back its answer.
    pub(crate) fn invoke(&self, function: &str, event: &Value) -> Value {
        let running = self.running.borrow().get(function).cloned();
        let process = running.unwrap_or_else(|| {
            let process = Rc::new(self.start(function));
            self.running.borrow_mut().insert(function.to_owned(), Rc::clone(&process));
            process
        });
        invoke(&process, event)
    }

    /// Ends a function's process; the next event starts another.
    pub(crate) fn end(&self, function: &str) {
        self.running.borrow_mut().remove(function);
    }

    /// Asks a function's URL.
    pub(crate) fn ask(&self, function: &str, method: &str, path: &str, query: &str, body: &str) -> Value {
        let headers = match function {
            "stripe-webhook" => json!({
                "content-type": "application/json; charset=utf-8",
                "stripe-signature": signature_header(SIGNING_SECRET, now(), body)
            }),
            _ => json!({ "accept-language": "en-GB", "content-type": "application/x-www-form-urlencoded" }),
        };
        let request = UrlRequest { method, path, query, headers: &headers, body, at_ms: now() * 1000 };
        self.invoke(function, &request.to_event())
    }

    /// It happens at Stripe, which posts it to the webhook.
    pub(crate) fn put_event(&self, event: &Value) {
        let body = event.to_string();
        self.stripe.record(&body);
        let answer = self.ask("stripe-webhook", "POST", "/", "", &body);
        assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(200), &json!("ok")), "{answer}");
    }

    /// The same, and what the tasks make of it until nothing is left to do.
    pub(crate) fn post(&self, event: &SessionEvent) {
        self.post_json(&event.to_json());
    }

    /// As [`Account::post`], for any event.
    pub(crate) fn post_json(&self, event: &Value) {
        self.put_event(event);
        self.settle();
    }

    /// Lets the tasks work until their queues are empty.
    pub(crate) fn settle(&self) {
        let begun = instant();
        loop {
            let mut handled = false;
            for task in &self.tasks {
                let messages = self.receive(&task.function, task.batch_size);
                if !messages.is_empty() {
                    let answer = self.invoke(&task.function, &self.batch(&task.function, &messages));
                    self.delete(&task.function, &messages, &answer);
                    handled = true;
                }
            }
            if !handled {
                let left: Vec<_> = self.tasks.iter().filter(|task| self.depth(&task.queue) > 0).collect();
                if left.is_empty() {
                    return;
                }
                // What failed is invisible until its pause is over.
                assert!(instant() < begun + PATIENCE, "messages are left of {left:?}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    fn task(&self, function: &str) -> &Task {
        self.tasks.iter().find(|task| task.function == function).unwrap()
    }

    /// Takes messages off a task's queue, as Lambda's poller does.
    pub(crate) fn receive(&self, function: &str, max: u64) -> Vec<Value> {
        let input = json!({
            "QueueUrl": self.task(function).queue, "MaxNumberOfMessages": max,
            "AttributeNames": ["All"], "MessageAttributeNames": ["All"]
        });
        self.sqs("ReceiveMessage", &input)["Messages"].as_array().cloned().unwrap_or_default()
    }

    /// What Lambda makes of a task's messages.
    pub(crate) fn batch(&self, function: &str, messages: &[Value]) -> Value {
        let arn = &self.task(function).queue_arn;
        let records = messages.iter().map(|message| sqs_record(message, arn, REGION));
        json!({ "Records": records.collect::<Vec<_>>() })
    }

    /// Deletes what a task's answer does not name as failed.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting>
    pub(crate) fn delete(&self, function: &str, messages: &[Value], answer: &Value) {
        let failures = answer["batchItemFailures"].as_array().unwrap();
        for message in messages {
            if failures.iter().all(|failure| failure["itemIdentifier"] != message["MessageId"]) {
                let queue = &self.task(function).queue;
                let input = json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] });
                self.sqs("DeleteMessage", &input);
            }
        }
    }

    fn depth(&self, queue: &str) -> u64 {
        let input = json!({
            "QueueUrl": queue,
            "AttributeNames": ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed"],
        });
        let answer = self.sqs("GetQueueAttributes", &input);
        let numbers = answer["Attributes"].as_object().unwrap().values();
        numbers.map(|number| number.as_str().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Every message of a queue without a consumer, taken off it.
    fn take(&self, output: &str) -> Vec<Value> {
        let input = json!({
            "QueueUrl": self.output(output), "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]
        });
        let receive = || self.sqs("ReceiveMessage", &input)["Messages"].as_array().cloned();
        std::iter::from_fn(receive).take_while(|messages| !messages.is_empty()).flatten().collect()
    }

    /// What the acquisition bus delivered since this was last asked, oldest first.
    pub(crate) fn take_published(&self) -> Vec<Value> {
        let messages = self.take("AcquisitionBusQueueUrl");
        let envelopes = messages.iter().map(|message| {
            serde_json::from_str::<Value>(message["Body"].as_str().unwrap()).unwrap()["detail"].clone()
        });
        let mut events: Vec<Value> = envelopes.collect();
        for event in &events {
            assert_eq!(testkit::acquisition::violations(event), Vec::<String>::new());
        }
        events.sort_by_key(|event| event["occurred_at"].as_str().unwrap_or_default().to_owned());
        events
    }

    /// Bodies and reasons of the messages that a task gave up since this was last asked.
    pub(crate) fn take_dead_letters(&self, task: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let messages = self.take(&format!("{task}DlqUrl"));
        let messages = messages.iter().map(|message| {
            (text(&message["Body"]), text(&message["MessageAttributes"]["reason"]["StringValue"]))
        });
        messages.collect()
    }

    /// The rows of a table that are about a payment.
    pub(crate) fn rows(&self, output: &str, payment_id: &str) -> Vec<Value> {
        let scanned = self.dynamodb("Scan", &json!({ "TableName": self.output(output) }));
        let mut rows: Vec<_> = scanned["Items"].as_array().unwrap().iter().map(plain_item).collect();
        rows.retain(|row| row["payment_id"] == payment_id);
        rows
    }

    /// The contribution of a payment.
    pub(crate) fn contribution(&self, payment_id: &str) -> Value {
        let rows = self.rows("ContributionsTableName", payment_id);
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows[0].clone()
    }

    /// The effects begun for a payment.
    pub(crate) fn ledger(&self, payment_id: &str) -> Vec<String> {
        end_to_end::effects(&self.rows("EffectsTableName", payment_id))
    }

    /// The mails that the customer of a payment got.
    pub(crate) fn mails_to(&self, payment: &str) -> Vec<Mail> {
        let url = format!("{}/moto-api/data.json", self.aws.endpoint);
        let reported = http().get(url).call().unwrap().body_mut().read_to_string().unwrap();
        let reported: Value = serde_json::from_str(&reported).unwrap();
        // moto keeps the mails of all accounts in one place.
        let ours = self.gate.answers("/v2/email/outbound-emails");
        let mails = reported["ses"]["Message"].as_array().expect("moto says what mails it has");
        let mails = mails.iter().filter(|mail| ours.iter().any(|answer| answer["MessageId"] == mail["id"]));
        let to = json!([address(payment)]);
        let mails = mails.filter(|mail| mail["destinations"]["ToAddresses"] == to);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        mails.map(|mail| Mail { subject: text(&mail["subject"]), html: text(&mail["body"]) }).collect()
    }
}

/// Hands an event to a process.
pub(crate) fn invoke(process: &Process, event: &Value) -> Value {
    let answer = process.invoke(event.to_string().into_bytes()).unwrap().answer;
    serde_json::from_slice(&answer).unwrap()
}

/// The kinds of the published events, in order, and the money kept by them.
pub(crate) fn kinds_and_sum(events: &[Value]) -> (Vec<&str>, i64) {
    let mut kinds: Vec<_> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    (kinds, events.iter().map(|event| event["amount"].as_i64().unwrap()).sum())
}

/// Unix seconds.
pub(crate) fn now() -> i64 {
    unix_now().try_into().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test that waits for a real queue needs the real time")]
fn instant() -> Instant {
    Instant::now()
}

/// Where `cargo xtask test` left word of moto.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn moto_file() -> PathBuf {
    PathBuf::from(
        std::env::var("AFTERLINK_MOTO").expect("AFTERLINK_MOTO: run `cargo xtask test --only moto`"),
    )
}
