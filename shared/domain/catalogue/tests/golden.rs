//! What others read of the catalogue is as the catalogue says.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]

use std::fs;
use std::path::{Path, PathBuf};

use catalogue::{Function, Golden, Task, Trigger, functions};
use effect_key::{Effect, Guarantee};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_cdk_app_reads_the_catalogue_as_it_is() {
    let expected = format!("{}\n", serde_json::to_string_pretty(&Golden::current()).unwrap());
    assert_eq!(text("cdk/lib/catalogue.json"), expected, "run `cargo xtask catalogue`");
}

#[test]
fn every_effect_has_its_task_and_the_tasks_guarantee() {
    for (name, task) in [
        ("email#thank-you", Task::ThankYouEmail),
        ("email#thank-you#resend#1", Task::ThankYouEmail),
        ("contribution#refund#re_1", Task::ContributionRecords),
        ("consents", Task::SoftOptIns),
        ("consents#answers", Task::SoftOptIns),
        ("acquisition", Task::AcquisitionEvents),
    ] {
        assert_eq!(Task::of_effect(&Effect::from(name)), Some(task), "{name}");
    }
    for name in ["emails", "lookup", "contract", ""] {
        assert_eq!(Task::of_effect(&Effect::from(name)), None, "{name}");
    }
    assert_eq!(Task::ThankYouEmail.effect(Some("thank-you")).guarantee(), Guarantee::AtMostOnce);
    assert_eq!(Task::AcquisitionEvents.effect(None).guarantee(), Guarantee::AtLeastOnce);
}

#[test]
fn no_two_functions_and_no_two_tasks_effects_share_a_name() {
    let functions = functions().map(|function| function.name).collect();
    for mut names in [functions, Task::ALL.map(Task::effects).to_vec()] {
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
    }
}

/// The line of a table that is about a function, by its first cell.
fn row<'a>(page: &'a str, name: &str) -> &'a str {
    let start = format!("| `{name}` |");
    page.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no row begins with {start}"))
}

/// `refund.created`, `.updated`: an event that shares all but the last part with the one before is written by that part.
fn events(task: Task) -> String {
    let mut before = "";
    let mut families: Vec<String> = Vec::new();
    for event in task.reacts_to() {
        let (family, last) = event.rsplit_once('.').unwrap();
        if family == before {
            let written = families.last_mut().unwrap();
            *written = format!("{written}, `.{last}`");
        } else {
            families.push(format!("`{event}`"));
        }
        before = family;
    }
    families.join("; ")
}

fn trigger(function: Function) -> String {
    match function.trigger {
        Trigger::Events(task) => events(task),
        Trigger::Webhook => "Stripe's webhook".to_owned(),
        Trigger::Page => "a customer's request".to_owned(),
        Trigger::Schedule => "a schedule".to_owned(),
        Trigger::Upload => "an upload into the templates bucket".to_owned(),
    }
}

fn effects(function: Function) -> String {
    function.task().map_or_else(String::new, |task| {
        let guarantee = match task.guarantee() {
            Guarantee::AtMostOnce => "at most once",
            Guarantee::AtLeastOnce => "at least once",
        };
        format!("`{}`, {guarantee}", task.effects())
    })
}

#[test]
fn the_table_of_functions_is_the_catalogue() {
    let page = text("docs/ARCHITECTURE.md");
    for function in functions() {
        let expected = format!(
            "| `{}` | {} | {} | {} |",
            function.name,
            function.purpose,
            trigger(function),
            effects(function)
        );
        assert_eq!(row(&page, function.name), expected);
    }
}

#[test]
fn each_readme_says_what_its_function_reacts_to() {
    for task in Task::ALL {
        let page = text(&format!("functions/{}/README.md", task.name()));
        let line = page.lines().find(|line| line.starts_with("| reacts to |"));
        let line = line.unwrap_or_else(|| panic!("the README of {} has no row `reacts to`", task.name()));
        let mut family = "";
        let mut named: Vec<String> = Vec::new();
        for word in line.split('`').skip(1).step_by(2) {
            match word.strip_prefix('.') {
                Some(last) => named.push(format!("{family}.{last}")),
                None => {
                    family = word.rsplit_once('.').map_or("", |(family, _)| family);
                    named.push(word.to_owned());
                }
            }
        }
        named.retain(|name| name.matches('.').count() >= 1 && !name.contains('/') && !name.contains("_toml"));
        let mut expected: Vec<_> = task.reacts_to().iter().map(ToString::to_string).collect();
        named.sort();
        named.dedup();
        expected.sort();
        assert_eq!(named, expected, "{}", task.name());
    }
    for function in functions() {
        let page = text(&format!("functions/{}/README.md", function.name));
        assert!(page.starts_with(&format!("# {}\n", function.name)), "{}", function.name);
    }
}
