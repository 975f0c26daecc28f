//! A bad day: what is broken, what the operator types, and how it ends.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use catalogue::Task;
use end_to_end::operator::{run, text};
use fault_proxy::{Fault, Faults};
use serde_json::{Value, json};
use testkit::stripe::SessionEvent;

use crate::stack::{Cloud, address, now, of, stack_file};

/// Why, for every deed of the drills.
const BECAUSE: [&str; 3] = ["--because", "a drill", "--yes"];

/// How long something may take to be repaired by itself.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Day {
    pub(crate) cloud: Cloud,
    faults: Faults,
}

/// What the command line said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) errors: String,
}

impl Day {
    /// A new day on which nothing is broken yet.
    pub(crate) fn begins() -> Self {
        let cloud = Cloud::alone();
        let faults = Faults::at(cloud.stack.output("fault_proxy").unwrap());
        faults.lift().unwrap();
        let day = Self { cloud, faults };
        day.forget_yesterday();
        day
    }

    /// A drill that failed leaves things behind, which are not this one's.
    fn forget_yesterday(&self) {
        let stack = &self.cloud.stack;
        for task in Task::ALL {
            for queue in ["Queue", "Dlq"] {
                let url = stack.output(&format!("{}{queue}Url", task.id())).unwrap();
                stack.aws.json("sqs", "AmazonSQS.PurgeQueue", &json!({ "QueueUrl": url })).unwrap();
            }
        }
        let delete = |table: &str, key: Value| {
            let input = json!({ "TableName": stack.output(table).unwrap(), "Key": key });
            stack.aws.json("dynamodb", "DynamoDB_20120810.DeleteItem", &input).unwrap();
        };
        for row in stack.rows("EffectsTableName").unwrap() {
            if !row["open"].is_null() && row["verb"].is_null() {
                delete(
                    "EffectsTableName",
                    json!({ "payment_id": { "S": row["payment_id"] }, "effect": { "S": row["effect"] } }),
                );
            }
        }
        for row in stack.rows("ReconciliationTableName").unwrap() {
            delete(
                "ReconciliationTableName",
                json!({ "kind": { "S": row["kind"] }, "name": { "S": row["name"] } }),
            );
        }
    }

    /// Lets the next call of a function start a new process, which has read nothing yet.
    pub(crate) fn restarts(&self, function: &str) {
        let before = self.function(function, "GET", "configuration", &Value::Null);
        let mut variables = before["Environment"]["Variables"].clone();
        variables["DRILL"] = xtask::aws::unix_now().to_string().into();
        self.function(
            function,
            "PUT",
            "configuration",
            &json!({ "Environment": { "Variables": variables } }),
        );
    }

    /// `afterlink --local`, behind the same proxy as the functions.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(stack_file().parent().unwrap().join("afterlink"));
        command.arg("--local").arg("--stack-file").arg(self.operators_stack());
        command
    }

    fn operators_stack(&self) -> PathBuf {
        let file = stack_file().with_file_name("operator.json");
        let mut stack: Value = serde_json::from_slice(&std::fs::read(stack_file()).unwrap()).unwrap();
        stack["endpoint"] = stack["fault_proxy"].clone();
        std::fs::write(&file, stack.to_string()).unwrap();
        file
    }

    pub(crate) fn says(&self, arguments: &[&str]) -> Said {
        let output = run(self.command(), arguments);
        Said {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            errors: text(&output.stderr),
        }
    }

    /// Runs a command that must end with this code, and say all of this.
    pub(crate) fn expect(&self, code: i32, arguments: &[&str], expected: &[&str]) -> String {
        let Said { code: ended, out, errors } = self.says(arguments);
        let said = format!("{out}{errors}");
        assert_eq!(ended, code, "afterlink {}:\n{said}", arguments.join(" "));
        for part in expected {
            assert!(said.contains(part), "afterlink {} does not say {part:?}:\n{said}", arguments.join(" "));
        }
        said
    }

    /// The same, done.
    pub(crate) fn does(&self, code: i32, arguments: &[&str], expected: &[&str]) -> String {
        self.expect(code, &[arguments, &BECAUSE].concat(), expected)
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.says(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.errors))
    }

    /// From now on every call of an operation fails so.
    pub(crate) fn breaks(&self, service: &str, operation: &str, fault: Fault) {
        self.faults.inject(service, operation, fault).unwrap();
    }

    pub(crate) fn breaks_once(&self, service: &str, operation: &str, fault: Fault) {
        self.faults.inject_times(service, operation, fault, 1).unwrap();
    }

    /// Nothing is broken any more.
    pub(crate) fn is_repaired(&self) {
        self.faults.lift().unwrap();
    }

    /// A payment comes in.
    pub(crate) fn paid(&self, payment: &str) {
        self.cloud.post(&of(SessionEvent::paid(), payment));
    }

    /// A payment comes in, and everything is done for it.
    pub(crate) fn paid_and_done(&self, payment: &str) {
        self.paid(payment);
        for effect in ["contribution#paid done", "email#thank-you done", "acquisition done"] {
            self.cloud.wait_for_effect(&format!("pi_{payment}"), effect);
        }
    }

    /// The customer of a payment got exactly so many mails.
    pub(crate) fn mails(&self, payment: &str, expected: usize) {
        let subjects: Vec<_> =
            self.cloud.mails_to(&address(payment)).into_iter().map(|mail| mail.subject).collect();
        assert_eq!(subjects.len(), expected, "{payment}: {subjects:?}");
    }

    /// Waits until a command ends with this code.
    pub(crate) fn wait_for(&self, code: i32, arguments: &[&str]) -> String {
        let deadline = now() + PATIENCE;
        loop {
            let Said { code: ended, out, errors } = self.says(arguments);
            if ended == code {
                return out;
            }
            assert!(
                now() < deadline,
                "afterlink {} still ends with {ended}:\n{out}{errors}",
                arguments.join(" ")
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Waits until an operator has nothing to do any more: `status` and `doctor` are quiet, and nothing is open.
    pub(crate) fn ends_quietly(self) {
        self.wait_for(0, &["status"]);
        self.wait_for(0, &["doctor"]);
        self.expect(0, &["tasks"], &["Nothing is open."]);
    }

    /// A message of a task's queue is held by its function, or waits.
    pub(crate) fn wait_for_waiting(&self, task: &str, expected: u64) {
        let queue = self.cloud.stack.output(&format!("{task}QueueUrl")).unwrap().to_owned();
        self.cloud.wait_until(expected, || self.depth(&queue));
    }

    pub(crate) fn wait_for_dead_letters(&self, task: &str, expected: u64) {
        let queue = self.cloud.stack.output(&format!("{task}DlqUrl")).unwrap().to_owned();
        self.cloud.wait_until(expected, || self.depth(&queue));
    }

    fn depth(&self, queue_url: &str) -> u64 {
        let input = json!({
            "QueueUrl": queue_url,
            "AttributeNames": ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed"],
        });
        let answer = self.cloud.stack.aws.json("sqs", "AmazonSQS.GetQueueAttributes", &input).unwrap();
        let numbers = answer["Attributes"].as_object().unwrap().values();
        numbers.map(|number| number.as_str().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Puts a message into a task's dead-letter queue.
    pub(crate) fn dead_letter(&self, task: &str, body: &str, reason: Option<&str>) {
        let attribute = |value: &str| json!({ "DataType": "String", "StringValue": value });
        let attributes =
            reason.map(|reason| json!({ "reason": attribute(reason), "cause": attribute("staged") }));
        let input = json!({
            "QueueUrl": self.cloud.stack.output(&format!("{task}DlqUrl")).unwrap(),
            "MessageBody": body, "MessageAttributes": attributes.unwrap_or_else(|| json!({})),
        });
        self.cloud.stack.aws.json("sqs", "AmazonSQS.SendMessage", &input).unwrap();
    }

    pub(crate) fn put_template(&self, path: &str, words: &str) {
        let bucket = self.cloud.stack.output("TemplatesBucketName").unwrap();
        self.cloud.stack.aws.put_object(bucket, path, words).unwrap();
    }

    pub(crate) fn put_file(&self, key: &str) {
        let bucket = self.cloud.stack.output("FilesBucketName").unwrap();
        self.cloud.stack.aws.put_object(bucket, &format!("files/{key}"), "content").unwrap();
    }

    /// Puts a value into one of the stage's secrets.
    pub(crate) fn put_secret(&self, output: &str, value: &str) {
        let input = json!({ "SecretId": self.cloud.stack.output(output).unwrap(), "SecretString": value });
        self.cloud.stack.aws.json("secretsmanager", "secretsmanager.PutSecretValue", &input).unwrap();
    }

    pub(crate) fn function(&self, name: &str, method: &str, what: &str, input: &Value) -> Value {
        let path = format!("/2015-03-31/functions/{}/{what}", self.cloud.stack.function_name(name).unwrap());
        self.cloud
            .stack
            .aws
            .rest("lambda", method, &path, Some(input).filter(|input| !input.is_null()))
            .unwrap()
    }
}
