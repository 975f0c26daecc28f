//! The stack under test.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub(crate) use end_to_end::{address, of};
use serde_json::{Value, json};
use testkit::stripe::SessionEvent;
use xtask::stack::{Mail, Stack};

/// How long anything may take. A message whose function was killed is received again after a minute.
const PATIENCE: Duration = Duration::from_secs(150);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The stack, held together with the other tests or alone.
pub(crate) struct Cloud {
    pub(crate) stack: Stack,
    /// The events seen on the acquisition bus so far, by message.
    published: Mutex<BTreeMap<String, Value>>,
    _held: File,
}

/// Where `cargo xtask test` left word of its local cloud.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn stack_file() -> PathBuf {
    PathBuf::from(
        std::env::var("AFTERLINK_STACK").expect("AFTERLINK_STACK: run `cargo xtask test --only e2e`"),
    )
}

impl Cloud {
    /// For tests that mind their own payments only.
    pub(crate) fn shared() -> Self {
        Self::held(File::lock_shared)
    }

    /// For tests that disturb everybody: they wait until the others are done, and the others for them.
    pub(crate) fn alone() -> Self {
        Self::held(File::lock)
    }

    fn held(lock: impl Fn(&File) -> std::io::Result<()>) -> Self {
        let file = stack_file();
        let held = File::create(file.with_extension("lock")).unwrap();
        lock(&held).unwrap();
        Self { stack: Stack::from_file(&file).unwrap(), published: Mutex::default(), _held: held }
    }

    /// Posts an event as Stripe would; the webhook must take it.
    pub(crate) fn post(&self, event: &SessionEvent) {
        self.post_json(&event.to_json());
    }

    /// As [`Cloud::post`], for any event.
    pub(crate) fn post_json(&self, event: &Value) {
        let (status, answer) = self.stack.post(&event.to_string()).unwrap();
        assert_eq!((status, answer.as_str()), (200, "ok"));
    }

    /// The contribution of a payment.
    pub(crate) fn contribution(&self, payment_id: &str) -> Option<Value> {
        self.rows_of("ContributionsTableName", payment_id).pop()
    }

    /// The supporter rows of a payment.
    pub(crate) fn supporter_rows(&self, payment_id: &str) -> Vec<Value> {
        self.rows_of("SupportersTableName", payment_id)
    }

    /// The effects begun for a payment, as `effect state` or `effect state (reason)`.
    pub(crate) fn ledger(&self, payment_id: &str) -> Vec<String> {
        end_to_end::effects(&self.rows_of("EffectsTableName", payment_id))
    }

    fn rows_of(&self, table: &str, payment_id: &str) -> Vec<Value> {
        let mut rows = self.stack.rows(table).unwrap();
        rows.retain(|row| row["payment_id"] == payment_id);
        rows
    }

    /// The mails to an address.
    pub(crate) fn mails_to(&self, address: &str) -> Vec<Mail> {
        let mut mails = self.stack.mails().unwrap();
        mails.retain(|mail| mail.to == address);
        mails
    }

    /// Waits for the ledger of a payment to say exactly this of its records and mails. What it says of consents
    /// and acquisitions has tests of its own.
    pub(crate) fn wait_for_ledger(&self, payment_id: &str, expected: &[&str]) {
        self.wait_until(expected, || {
            let mut rows = self.ledger(payment_id);
            rows.retain(|row| row.starts_with("contribution#") || row.starts_with("email#"));
            rows
        });
    }

    /// Waits for the ledger of a payment to say this, whatever else it says.
    pub(crate) fn wait_for_effect(&self, payment_id: &str, expected: &str) {
        // What else is there is shown when it never says so.
        struct Says(Vec<String>);
        impl PartialEq<&str> for Says {
            fn eq(&self, expected: &&str) -> bool {
                self.0.iter().any(|row| row == expected)
            }
        }
        impl std::fmt::Debug for Says {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
        self.wait_until(expected, || Says(self.ledger(payment_id)));
    }

    /// Everything seen on the acquisition bus so far.
    pub(crate) fn acquisition_events(&self) -> Vec<Value> {
        let mut published = self.published.lock().unwrap();
        published.extend(self.stack.peek("AcquisitionBusQueueUrl").unwrap());
        published.values().map(|envelope| envelope["detail"].clone()).collect()
    }

    /// Waits until `look` sees what is expected.
    pub(crate) fn wait_until<E: std::fmt::Debug, S: PartialEq<E> + std::fmt::Debug>(
        &self,
        expected: E,
        look: impl Fn() -> S,
    ) {
        let deadline = now() + PATIENCE;
        loop {
            let seen = look();
            if seen == expected {
                return;
            }
            assert!(now() < deadline, "waited for {expected:?}, still seeing {seen:?}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for a message that contains a text to be in a task's DLQ: its body and reason. It stays there.
    pub(crate) fn wait_for_dead_letter(&self, task: &str, containing: &str) -> (String, String) {
        let deadline = now() + PATIENCE;
        loop {
            // Who else looks at the queue holds a message for a moment.
            if let Some(found) = self.dead_letters(task, containing).pop() {
                return found;
            }
            assert!(now() < deadline, "no message of {containing} comes into the DLQ of {task}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Bodies and reasons in a task's DLQ that contain a text. They stay there.
    pub(crate) fn dead_letters(&self, task: &str, containing: &str) -> Vec<(String, String)> {
        let queue = self.stack.output(&format!("{task}DlqUrl")).unwrap();
        let input = json!({
            "QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0,
            "MessageAttributeNames": ["All"]
        });
        let received = self.stack.aws.json("sqs", "AmazonSQS.ReceiveMessage", &input).unwrap();
        let messages = received["Messages"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let messages = messages.iter().map(|message| {
            (text(&message["Body"]), text(&message["MessageAttributes"]["reason"]["StringValue"]))
        });
        messages.filter(|(body, _)| body.contains(containing)).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test that waits for a real system needs the real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
