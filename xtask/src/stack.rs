//! The stack on the local cloud: a look into its records, ledger, queues, mails and logs.
//!
//! Long because it has one look for each thing that is deployed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use catalogue::construct_id;
use serde_json::{Map, Value, json};

use crate::aws::{Aws, get_json, http};
use crate::cloud::Site;
use crate::stripe;

/// A handle on a deployed stack, read from `stack.json`.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Calls with the rights of the administrator.
    pub aws: Aws,
    /// The file that says all this.
    pub file: PathBuf,
    values: Map<String, Value>,
}

/// A mail that SES has accepted.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The recipients.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The HTML part.
    pub html: String,
    /// The plain text part.
    pub text: String,
}

/// What a task says, in its metrics, that it did with its messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub(crate) done: u64,
    pub(crate) skipped: BTreeMap<String, u64>,
    pub(crate) retried: u64,
    pub(crate) parked: u64,
    pub(crate) unknown: u64,
}

impl Counts {
    /// Messages that are dealt with for good.
    pub fn settled(&self) -> u64 {
        self.done + self.skipped.values().sum::<u64>() + self.parked + self.unknown
    }

    /// What happened since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let skipped = self.skipped.iter().map(|(reason, count)| {
            (reason.clone(), count.saturating_sub(before.skipped.get(reason).copied().unwrap_or(0)))
        });
        Self {
            done: self.done.saturating_sub(before.done),
            skipped: skipped.filter(|(_, count)| *count > 0).collect(),
            retried: self.retried.saturating_sub(before.retried),
            parked: self.parked.saturating_sub(before.parked),
            unknown: self.unknown.saturating_sub(before.unknown),
        }
    }

    /// `done`, `skipped (already_done)`, `2 done, 1 retried`.
    pub(crate) fn words(&self) -> String {
        let mut parts = vec![("done".to_owned(), self.done)];
        parts.extend(self.skipped.iter().map(|(reason, count)| (format!("skipped ({reason})"), *count)));
        parts.extend([
            ("retried".to_owned(), self.retried),
            ("parked".to_owned(), self.parked),
            ("unknown".to_owned(), self.unknown),
        ]);
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| if count == 1 { what } else { format!("{count} {what}") })
            .collect();
        if parts.is_empty() { "not called".to_owned() } else { parts.join(", ") }
    }
}

/// A queue and how many messages it holds: waiting or being handled.
#[derive(Debug, Clone)]
pub struct QueueDepth {
    /// The output's name without `Url`, e.g. `ThankYouEmailQueue`.
    pub(crate) name: String,
    pub(crate) messages: u64,
}

impl Stack {
    /// The stack of a site whose cloud is running.
    pub(crate) fn of_running(site: &Site) -> Result<Self> {
        if site.running().is_none() {
            bail!("no local cloud of this clone is running: start one with `cargo xtask local up`");
        }
        Self::read(site).context("the local cloud is running, but nothing is deployed to it yet")
    }

    pub(crate) fn read(site: &Site) -> Result<Self> {
        Self::from_file(&site.stack_file())
    }

    /// The stack that a `stack.json` describes.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or lacks something.
    pub fn from_file(file: &Path) -> Result<Self> {
        let file = file.to_owned();
        let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let values: Map<String, Value> =
            serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", file.display()))?;
        let value = |name: &str| Ok::<_, anyhow::Error>(text_of(&values, name)?.to_owned());
        let aws = Aws {
            endpoint: value("endpoint")?,
            region: value("region")?,
            access_key_id: value("access_key_id")?,
            secret_access_key: value("secret_access_key")?,
            session_token: None,
        };
        Ok(Self { aws, file, values })
    }

    /// A stack output, or one of the other values of `stack.json`.
    pub fn output(&self, name: &str) -> Result<&str> {
        text_of(&self.values, name)
    }

    /// Signs a body as Stripe does and posts it to the webhook. Hands back the status and the answer.
    ///
    /// Stripe's API knows of it as well, if it is an event.
    pub fn post(&self, body: &str) -> Result<(u16, String)> {
        let event = serde_json::from_str::<Value>(body).ok().filter(|event| event["object"] == "event");
        if event.is_some() {
            self.record_event(body)?;
        }
        let url = self.output("WebhookUrl")?;
        let mut response = http()
            .post(url)
            .header("content-type", "application/json; charset=utf-8")
            .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
            .header("stripe-signature", stripe::signature(self.output("signing_secret")?, body)?)
            .send(body)
            .with_context(|| format!("the webhook {url} does not answer"))?;
        let status = response.status();
        // Stripe remembers what its endpoints did not take.
        if let Some(event_id) = event.as_ref().and_then(|event| event["id"].as_str()) {
            stripe::record_delivery(self.output("stripe_api")?, event_id, status.is_success())?;
        }
        Ok((status.as_u16(), response.body_mut().read_to_string()?))
    }

    /// Puts an object into Stripe's API, and delivers no event of it.
    pub fn record_event(&self, event: &str) -> Result<()> {
        stripe::record(self.output("stripe_api")?, event)
    }

    /// Puts a session's line items, with their products, into Stripe's API.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn bought(&self, session_id: &str, line_items: &Value) -> Result<()> {
        stripe::record_line_items(self.output("stripe_api")?, session_id, line_items)
    }

    /// Where the pages answer on this machine, without a slash at the end.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn pages_url(&self) -> Result<&str> {
        Ok(self.output("DownloadsUrl")?.trim_end_matches('/'))
    }

    /// An address in a mail as it answers on this machine: mails carry a name that no DNS knows here.
    ///
    /// # Errors
    ///
    /// When it does not lead to the pages.
    pub fn reachable(&self, address: &str) -> Result<String> {
        let (_, token) = address.split_once("/d/").context("the address is not that of a download")?;
        Ok(format!("{}/d/{token}", self.pages_url()?))
    }

    /// Invokes a function and hands back its answer.
    pub fn invoke(&self, function: &str) -> Result<Value> {
        let path = format!("/2015-03-31/functions/{}/invocations", self.function_name(function)?);
        let answer = self.aws.rest("lambda", "POST", &path, Some(&json!({})))?;
        if !answer["errorMessage"].is_null() {
            bail!("{function} failed: {}", answer["errorMessage"]);
        }
        Ok(answer)
    }

    /// Every row of a table, as plain JSON. `output` names the output that names the table.
    pub fn rows(&self, output: &str) -> Result<Vec<Value>> {
        let table = self.output(output)?;
        let mut rows = Vec::new();
        let mut input = json!({"TableName": table, "ConsistentRead": true});
        loop {
            let page = self.aws.json("dynamodb", "DynamoDB_20120810.Scan", &input)?;
            rows.extend(page["Items"].as_array().into_iter().flatten().map(plain_item));
            if page["LastEvaluatedKey"].is_null() {
                return Ok(rows);
            }
            input["ExclusiveStartKey"] = page["LastEvaluatedKey"].clone();
        }
    }

    /// Every mail that SES accepted, oldest first.
    pub fn mails(&self) -> Result<Vec<Mail>> {
        let answer = get_json(&format!("{}/_ministack/ses/messages", self.aws.endpoint))?;
        let accounts = answer["messages"].as_object().context("the local cloud knows of no mails")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mails = accounts.values().filter_map(Value::as_array).flatten().map(|mail| Mail {
            to: mail["To"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", "),
            subject: text(&mail["Subject"]),
            html: text(&mail["BodyHtml"]),
            text: text(&mail["BodyText"]),
        });
        Ok(mails.collect())
    }

    /// The tasks behind queues, by function name without the stage: `thank-you-email`.
    pub(crate) fn tasks(&self) -> Vec<String> {
        // A queue without a DLQ has no consumer: it is there to be looked at.
        let tasks = self.values.keys().filter_map(|name| name.strip_suffix("DlqUrl"));
        tasks.map(kebab_case).collect()
    }

    /// What the tasks' metrics say so far, by task.
    pub(crate) fn counts(&self) -> Result<BTreeMap<String, Counts>> {
        self.tasks()
            .into_iter()
            .map(|task| {
                let counts = counts(&self.log(&task)?);
                Ok((task, counts))
            })
            .collect()
    }

    /// The deployed name of a function: `thank-you-email` to `afterlink-local-thank-you-email`.
    ///
    /// # Errors
    ///
    /// When there is no such function.
    pub fn function_name(&self, function: &str) -> Result<&str> {
        self.output(&format!("{}FunctionName", construct_id(function)))
    }

    /// What a function has logged, oldest first. A line appears when its invocation has ended.
    pub fn log(&self, task: &str) -> Result<Vec<String>> {
        let function = self.function_name(task)?;
        let mut lines = Vec::new();
        let mut input = json!({"logGroupName": format!("/aws/lambda/{function}")});
        loop {
            let page = self.aws.json("logs", "Logs_20140328.FilterLogEvents", &input)?;
            let events = page["events"].as_array().into_iter().flatten();
            lines.extend(events.filter_map(|event| event["message"].as_str()).map(str::to_owned));
            if page["nextToken"].is_null() {
                return Ok(lines);
            }
            input["nextToken"] = page["nextToken"].clone();
        }
    }

    /// Warnings and errors that the functions have logged.
    pub(crate) fn complaints(&self) -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        for task in self.tasks().into_iter().chain(["stripe-webhook", "downloads"].map(str::to_owned)) {
            let lines = self.log(&task)?;
            let bad = lines.iter().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\""));
            complaints.extend(bad.map(|line| format!("{task}: {line}")));
        }
        Ok(complaints)
    }

    /// Every queue and how full it is.
    pub(crate) fn queues(&self) -> Result<Vec<QueueDepth>> {
        let urls =
            self.values.iter().filter(|(name, _)| name.ends_with("QueueUrl") || name.ends_with("DlqUrl"));
        urls.map(|(name, url)| {
            let input = json!({
                "QueueUrl": url,
                "AttributeNames": ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
                    "ApproximateNumberOfMessagesDelayed"],
            });
            let answer = self.aws.json("sqs", "AmazonSQS.GetQueueAttributes", &input)?;
            let numbers = answer["Attributes"].as_object().into_iter().flat_map(Map::values);
            let messages = numbers.filter_map(|number| number.as_str()?.parse::<u64>().ok()).sum();
            Ok(QueueDepth { name: name.trim_end_matches("Url").to_owned(), messages })
        })
        .collect()
    }

    /// The messages of a queue without a consumer, by their ids. They stay there.
    ///
    /// A message that another reader holds just now is missing: it is there again a second later.
    ///
    /// # Errors
    ///
    /// When the queue does not answer.
    pub fn peek(&self, output: &str) -> Result<BTreeMap<String, Value>> {
        let input = json!({
            "QueueUrl": self.output(output)?, "MaxNumberOfMessages": 10, "VisibilityTimeout": 1,
        });
        let mut messages = BTreeMap::new();
        loop {
            let answer = self.aws.json("sqs", "AmazonSQS.ReceiveMessage", &input)?;
            let received = answer["Messages"].as_array().map(Vec::as_slice).unwrap_or_default();
            let known = messages.len();
            for message in received {
                let text = |name: &str| message[name].as_str().unwrap_or_default();
                messages.insert(text("MessageId").to_owned(), serde_json::from_str(text("Body"))?);
            }
            if messages.len() == known {
                return Ok(messages);
            }
        }
    }

    /// Waits until no task has anything left to do. False when that takes longer than `patience`.
    pub fn settle(&self, patience: Duration) -> Result<bool> {
        /// A message is in no queue for a moment while a rule or a redrive carries it.
        const QUIET_LOOKS: u32 = 3;
        let deadline = Instant::now() + patience;
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            let tasks: Vec<_> =
                self.tasks().iter().map(|task| format!("{}Queue", construct_id(task))).collect();
            let busy = self.queues()?.iter().any(|queue| queue.messages > 0 && tasks.contains(&queue.name));
            quiet = if busy { 0 } else { quiet + 1 };
            if Instant::now() > deadline {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(true)
    }
}

/// Writes mails as files that a browser opens, and hands back the page of the last one.
pub(crate) fn save_mail(folder: &Path, number: usize, mail: &Mail) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let name = format!("{number}-{}", mail.to.split('@').next().unwrap_or("mail"));
    let page = folder.join(format!("{name}.html"));
    fs::write(&page, &mail.html)?;
    fs::write(
        folder.join(format!("{name}.txt")),
        format!("To: {}\nSubject: {}\n\n{}", mail.to, mail.subject, mail.text),
    )?;
    Ok(page)
}

fn text_of<'a>(values: &'a Map<String, Value>, name: &str) -> Result<&'a str> {
    values.get(name).and_then(Value::as_str).with_context(|| format!("the stack has no output {name}"))
}

/// Adds up the documents in CloudWatch's embedded metric format among log lines.
fn counts(lines: &[String]) -> Counts {
    let mut counts = Counts::default();
    for line in lines {
        let Ok(document) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if document["_aws"].is_null() {
            continue;
        }
        let number = |name: &str| document[name].as_u64().unwrap_or(0);
        if let Some(reason) = document["Reason"].as_str() {
            *counts.skipped.entry(reason.to_owned()).or_default() += number("Skipped");
        } else {
            counts.done += number("Done");
            counts.retried += number("Retried");
            counts.parked += number("Parked");
            counts.unknown += number("Unknown");
        }
    }
    counts
}

/// A DynamoDB item without its type letters.
pub fn plain_item(item: &Value) -> Value {
    item.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), plain(value))).collect()
}

fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    match (kind.as_str(), inner) {
        ("N", Value::String(number)) => number.parse::<i64>().map_or_else(|_| inner.clone(), Value::from),
        ("L", Value::Array(values)) => values.iter().map(plain).collect(),
        ("M", Value::Object(_)) => plain_item(inner),
        ("NULL", _) => Value::Null,
        _ => inner.clone(),
    }
}

/// `ThankYouEmail` to `thank-you-email`.
fn kebab_case(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests;
