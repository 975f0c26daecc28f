//! The function over a bucket and a mail service in memory, by the SDK's own clients.

use aws::Environment;
use aws_in_memory::{Cloud, Quota, sdk_config};
use serde_json::Value;
use task_runtime::{Backoff, Invocation, Tally, consume_batch};
use testkit::clock::ManualClock;
use testkit::queue::{InMemoryQueue, batch};

use crate::upload::tests::{deletion, event};
use crate::{Config, NAME, check_with};

use super::*;

const NOW: i64 = 1_795_000_000;
const POLICY: &str = r#"{ "domains": ["example.org"], "notify": ["team@example.org"] }"#;
const BROKEN: &str = "{% extends \"layout/en.html\" %}\n{% block body %}Hello{% endblock %}\n";

struct Stage {
    cloud: Cloud,
    clock: ManualClock,
    check: WordingCheck,
}

impl Stage {
    fn new() -> Self {
        Self::with(POLICY)
    }

    fn with(marketers: &str) -> Self {
        let cloud = Cloud::new();
        cloud.create_bucket("templates");
        let clock = ManualClock::default();
        let check = Self::started(&cloud, &clock, marketers);
        Self { cloud, clock, check }
    }

    fn started(cloud: &Cloud, clock: &ManualClock, marketers: &str) -> WordingCheck {
        let variables = |name: &str| {
            let value = match name {
                "STAGE" => "live",
                "TEMPLATES_BUCKET" => "templates",
                "SENDER" => "Example Project <thanks@example.org>",
                _ => "afterlink-live-mail",
            };
            Some(value.to_owned())
        };
        let config = Config::from_env(&mut Environment::new(variables)).unwrap();
        let mut policy = Policy::compiled_in().unwrap();
        policy.marketers = serde_json::from_str(marketers).unwrap();
        check_with(&config, &sdk_config(cloud, clock.clone()), policy)
    }

    /// Puts a file there, and the event that S3 makes of it.
    fn put(&self, path: &str, text: impl AsRef<[u8]>, at: i64) -> Value {
        self.cloud.put_object_at("templates", path, text.as_ref(), at * 1000);
        event("templates", path, &self.etag(path), at)
    }

    fn etag(&self, path: &str) -> String {
        self.cloud.etag("templates", path).unwrap()
    }

    async fn deliver(&self, events: &[Value]) -> (Tally, InMemoryQueue) {
        let queue = InMemoryQueue::default();
        let bodies: Vec<_> = events.iter().map(Value::to_string).collect();
        let invocation = Invocation {
            request_id: "req".to_owned(),
            deadline_ms: aws::Clock::now_ms(&self.clock) + 30_000,
        };
        let backoff = Backoff { base_seconds: 30, cap_seconds: 3600, give_up_seconds: 36_000 };
        let (_, tally) =
            consume_batch(NAME, &self.check, &queue, &self.clock, backoff, batch(&bodies), &invocation).await;
        (tally, queue)
    }

    /// The mails, as `to: subject`.
    fn mails(&self) -> Vec<String> {
        self.cloud.mails().iter().map(|mail| format!("{}: {}", mail.to.join(", "), mail.subject)).collect()
    }
}

/// The whole of a mail in a language, as the frame wants it.
fn whole(stage: &Stage, folder: &str, at: i64) -> Vec<Value> {
    let file = |name: &str, text: &str| stage.put(&format!("{folder}/{name}"), text, at);
    vec![
        file("en.subject.txt", "Thank you"),
        file(
            "en.html",
            "{% extends \"layout/en.html\" %}\n{% block heading %}Thank you{% endblock %}\n{% block message %}<p>Your {{ amount }}.</p>{% endblock %}\n",
        ),
        file(
            "en.txt",
            "{% extends \"layout/en.txt\" %}\n{% block message %}Your {{ amount }}.{% endblock %}\n",
        ),
    ]
}

#[tokio::test]
async fn a_folder_that_is_dragged_into_the_bucket_is_one_mail() {
    let stage = Stage::new();
    let mut events = whole(&stage, "autumn-appeal", NOW);
    events.push(stage.put("autumn-appeal/owner.txt", "ada@example.org\n", NOW + 1));
    events.push(stage.put("autumn-appeal/tree.png", [0x89, 0x50], NOW + 1));
    let (tally, _) = stage.deliver(&events).await;
    assert_eq!(stage.mails(), ["ada@example.org: autumn-appeal is ready to use: en"]);
    assert_eq!((tally.done, tally.skipped), (1, [("overtaken", 4)].into()));
    assert_eq!(tally.counted, [].into());
    // The same in five batches, before five processes, in any order.
    let alone = Stage::new();
    let mut done = 0;
    let mut events = whole(&alone, "autumn-appeal", NOW);
    events.reverse();
    for event in events {
        let fresh = Stage { check: Stage::started(&alone.cloud, &alone.clock, POLICY), ..alone_of(&alone) };
        done += fresh.deliver(&[event]).await.0.done;
    }
    assert_eq!(
        (done, alone.mails()),
        (1, vec!["team@example.org: autumn-appeal is ready to use: en".to_owned()])
    );
}

fn alone_of(stage: &Stage) -> Stage {
    let (cloud, clock) = (stage.cloud.clone(), stage.clock.clone());
    let check = Stage::started(&cloud, &clock, POLICY);
    Stage { cloud, clock, check }
}

#[tokio::test]
async fn a_mistake_is_mailed_with_file_and_line_and_counted() {
    let stage = Stage::new();
    whole(&stage, "autumn-appeal", NOW);
    let broken = stage.put("autumn-appeal/en.html", BROKEN, NOW + 1);
    let (tally, _) = stage.deliver(&[broken]).await;
    assert_eq!((tally.done, &tally.counted), (1, &[("BrokenTemplate", 1)].into()));
    let mail = &stage.cloud.mails()[0];
    assert!(mail.subject.contains("to fix in autumn-appeal"), "{}", mail.subject);
    for part in [mail.text.as_ref().unwrap(), mail.html.as_ref().unwrap()] {
        assert!(part.contains("autumn-appeal/en.html, line 2"), "{part}");
    }
    assert_eq!(mail.from, "Example Project <thanks@example.org>");
    assert_eq!(mail.configuration_set.as_deref(), Some("afterlink-live-mail"));
    let lines = testkit::metrics::of_task(NAME, &tally);
    testkit::metrics::assert_golden(&lines, include_str!("../../metrics.golden.json"));
}

#[tokio::test]
async fn no_mail_leaves_the_marketers_domains() {
    for written in ["eve@evil.net", "eve@evil.net, ada@example.org", "eve@evil.net\nada@example.org", "\u{0}"]
    {
        let stage = Stage::new();
        whole(&stage, "gala", NOW);
        let owner = stage.put("gala/owner.txt", written, NOW + 1);
        stage.deliver(&[owner]).await;
        assert_eq!(stage.mails(), ["team@example.org: gala is ready to use: en"], "{written:?}");
        assert!(stage.cloud.mails()[0].text.as_ref().unwrap().contains("owner.txt"), "{written:?}");
    }
    let large = Stage::new();
    whole(&large, "gala", NOW);
    let owner = large.put("gala/owner.txt", format!("ada@example.org{}", " ".repeat(2000)), NOW + 1);
    large.deliver(&[owner]).await;
    assert_eq!(large.mails(), ["team@example.org: gala is ready to use: en"]);
}

#[tokio::test]
async fn without_the_table_nothing_is_mailed_and_a_mistake_is_still_counted() {
    let stage = Stage::with("{ \"domains\": [] }");
    let broken = stage.put("gala/en.html", BROKEN, NOW);
    let (tally, _) = stage.deliver(&[broken]).await;
    assert_eq!(
        (tally.skipped, tally.counted),
        ([("no_recipient", 1)].into(), [("BrokenTemplate", 1)].into())
    );
    assert!(stage.mails().is_empty());
}

#[tokio::test]
async fn what_is_taken_away_is_checked_without_it_and_an_empty_folder_says_nothing() {
    let stage = Stage::new();
    whole(&stage, "gala", NOW);
    let take = |name: &str, at: i64| {
        stage.cloud.delete_object("templates", &format!("gala/{name}"));
        deletion("templates", &format!("gala/{name}"), at)
    };
    stage.put("gala/de.txt", "x", NOW);
    let two = [take("de.txt", NOW + 9), deletion("templates", "gala/fr.txt", NOW + 9)];
    let (tally, _) = stage.deliver(&two).await;
    assert_eq!((tally.done, tally.skipped), (1, [("already_reported", 1)].into()));
    assert_eq!(stage.mails(), ["team@example.org: gala is ready to use: en"]);
    let gone = ["en.subject.txt", "en.html", "en.txt"].map(|name| take(name, NOW + 20));
    let (tally, _) = stage.deliver(&gone).await;
    assert_eq!(tally.skipped, [("no_files", 3)].into());
    assert_eq!(stage.mails().len(), 1);
}

#[tokio::test]
async fn the_same_files_uploaded_again_are_reported_again() {
    let stage = Stage::new();
    for at in [NOW, NOW + 60] {
        let events = whole(&stage, "gala", at);
        stage.deliver(&events).await;
        // Delivered twice, it is one report.
        stage.deliver(&events).await;
    }
    assert_eq!(stage.mails().len(), 2);
}

#[tokio::test]
async fn a_changed_layout_is_checked_with_every_template_and_is_one_mail() {
    let stage = Stage::new();
    whole(&stage, "gala", NOW);
    whole(&stage, "autumn-appeal", NOW);
    stage.put("autumn-appeal/en.html", BROKEN, NOW);
    let layout = stage.put("layout/base.txt", "{% block message %}{% endblock %}\n", NOW + 1);
    stage.deliver(&[layout]).await;
    let mails = stage.cloud.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].subject.contains("to fix in layout"), "{}", mails[0].subject);
    assert!(mails[0].text.as_ref().unwrap().contains("autumn-appeal/en.html, line 2"));
}

#[tokio::test]
async fn a_name_that_no_link_can_have_is_said() {
    let stage = Stage::new();
    let events = whole(&stage, "Autumn Appeal", NOW);
    stage.deliver(&events).await;
    assert_eq!(stage.mails(), ["team@example.org: 1 thing to fix in Autumn Appeal"]);
}

#[tokio::test]
async fn what_lies_in_no_folder_is_counted_and_only_the_files_that_mails_are_made_of() {
    let stage = Stage::new();
    let events = [stage.put("en.html", "Hello", NOW), stage.put("notes.pdf", "x", NOW)];
    let (tally, _) = stage.deliver(&events).await;
    assert_eq!(
        (tally.skipped, tally.counted),
        ([("in_no_folder", 2)].into(), [("BrokenTemplate", 1)].into())
    );
}

#[tokio::test]
async fn a_folder_full_of_other_things_costs_a_page_and_what_is_too_much_is_said() {
    let stage = Stage::new();
    whole(&stage, "gala", NOW);
    for n in 0..2000 {
        stage.put(&format!("gala/z{n:04}.txt"), "x", NOW);
    }
    let large = stage.put("gala/de.txt", "x".repeat(200_000), NOW + 1);
    let binary = stage.put("gala/fr.txt", [0xff, 0xfe, 0x00], NOW + 2);
    let (tally, _) = stage.deliver(&[large, binary]).await;
    assert_eq!(tally.done, 1);
    let text = stage.cloud.mails()[0].text.clone().unwrap();
    assert!(text.contains("larger than 100 KB") && text.contains("more than 100 text files"), "{text}");
    assert!(text.contains("gala/fr.txt"), "{text}");
}

#[tokio::test]
async fn a_mail_that_is_not_sent_is_tried_again_and_a_rejected_one_is_parked() {
    let stage = Stage::new();
    let events = whole(&stage, "gala", NOW);
    let newest = std::slice::from_ref(&events[2]);
    stage.cloud.set_mail_quota(Quota { per_second: None, per_day: Some(0) });
    let (tally, _) = stage.deliver(newest).await;
    assert_eq!((tally.retried, stage.mails().len()), (1, 0));
    stage.cloud.set_mail_quota(Quota::default());
    stage.cloud.reject_mail_to("team@example.org");
    let (tally, queue) = stage.deliver(newest).await;
    assert_eq!(tally.parked, 1);
    assert_eq!(queue.dead_letters.borrow()[0].1, "mail_rejected");
    assert!(!queue.causes.borrow()[0].contains("example.org"), "no address in a cause");
}

#[tokio::test]
async fn what_is_none_of_its_business_is_skipped_or_parked() {
    let stage = Stage::new();
    let mut old = deletion("templates", "gala/en.html", NOW);
    old["detail"]["deletion-type"] = "Permanently Deleted".into();
    whole(&stage, "gala", NOW);
    let events = [event("files", "files/guide.pdf", "e", NOW), old, Value::Null];
    let (tally, queue) = stage.deliver(&events).await;
    assert_eq!(tally.skipped, [("another_bucket", 1), ("old_version", 1)].into());
    assert_eq!((tally.parked, stage.mails().len()), (1, 0));
    assert_eq!(queue.dead_letters.borrow()[0].1, "undecodable_event");
}
