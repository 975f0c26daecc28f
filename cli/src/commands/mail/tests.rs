use std::fs;

use aws_in_memory::{Cloud, sdk_config};
use clap::Parser;
use testkit::clock::ManualClock;

use super::*;
use crate::page::plain;
use crate::test_stage::NOW;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn command(line: &[&str]) -> MailCommand {
    Line::parse_from([&["mail"], line].concat()).arguments.command
}

fn checked(line: &[&str]) -> Result<Checked> {
    let MailCommand::Check(arguments) = command(line) else { panic!("{line:?}") };
    check(&arguments)
}

fn shown(line: &[&str]) -> Result<Shown> {
    let MailCommand::Preview(arguments) = command(line) else { panic!("{line:?}") };
    preview(&arguments)
}

const GOOD_MAIL: &str =
    "Subject: {{ amount }} for the trees\n\n# Forty trees\n\nYour gift of **{{ amount }}** has arrived.\n";
const BAD_MAIL: &str =
    "Subject: {{ ammount }} for the trees\n\n# Forty trees\n\nThanks, {{ customer.name }}!\n";

/// A folder of mails that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("afterlink-mail-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn checks_every_mail_of_a_folder_or_the_one_whose_folder_it_is() {
    let folder = Folder::new(
        "check",
        &[
            ("trees/en.md", GOOD_MAIL),
            ("gala/en.md", BAD_MAIL),
            ("readme.txt", "Ask Ada"),
            (".git/en.md", "x"),
        ],
    );
    let all = checked(&["check", folder.path()]).unwrap();
    assert_eq!(all.verdict(), Verdict::NeedsYou);
    insta::assert_snapshot!("checked", plain(&all, NOW));
    let good = checked(&["check", folder.path(), "trees"]).unwrap();
    assert_eq!(
        (good.verdict(), plain(&good, NOW)),
        (Verdict::Fine, "trees is ready to use: en\n".to_owned())
    );
    let one = checked(&["check", &format!("{}/trees", folder.path())]).unwrap();
    assert_eq!(plain(&one, NOW), "trees is ready to use: en\n");
    let json = serde_json::to_value(&all).unwrap();
    assert_eq!(json["templates"][0]["findings"][0]["path"], "gala/en.md");
}

#[test]
fn says_what_is_not_there() {
    let folder = Folder::new("nothing", &[("readme.txt", "Ask Ada"), ("trees/en.md", GOOD_MAIL)]);
    let fails = |line: &[&str], expected: &str| {
        let error = checked(line).map(drop).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    fails(&["check", "/no/such/folder"], "there is no folder /no/such/folder");
    fails(&["check", folder.path(), "gala"], "; there are trees");
    let error = shown(&["preview", "gala", "--from", folder.path()]).map(drop).unwrap_err().to_string();
    assert_eq!(error, "there is no mail gala; there are trees");
    assert!(shown(&["preview", "../x"]).is_err());
    assert!(shown(&["preview", "contribution", "--currency", "euros"]).is_err());
}

#[test]
fn a_preview_says_what_is_wrong_before_it_shows_the_mail() {
    let folder = Folder::new("preview", &[("trees/en.md", GOOD_MAIL), ("gala/en.md", BAD_MAIL)]);
    let out = folder.0.join("out/mail.html");
    let line = |template: &'static str| -> Vec<String> {
        ["preview", template, "--from", folder.path(), "--out", out.to_str().unwrap()]
            .map(str::to_owned)
            .into()
    };
    let run = |template| {
        let line = line(template);
        shown(&line.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
    };
    let good = run("trees");
    assert_eq!(good.verdict(), Verdict::Fine);
    assert!(plain(&good, NOW).starts_with("Subject: £12.50 for the trees\n"), "{}", plain(&good, NOW));
    assert!(fs::read_to_string(&out).unwrap().contains("<strong>£12.50</strong>"));
    assert!(fs::read_to_string(out.with_extension("txt")).unwrap().contains("Your gift of £12.50"));
    let bad = run("gala");
    assert_eq!(bad.verdict(), Verdict::NeedsYou);
    let text = plain(&bad, NOW);
    let first = text.find("`ammount` is not known").unwrap();
    let instead = text.find("customers get contribution instead").unwrap();
    assert!(first < instead && instead < text.find("Subject:").unwrap(), "{text}");
}

#[tokio::test]
async fn a_test_goes_to_its_writer_from_the_stages_bucket_and_to_no_other_address() {
    let cloud = Cloud::new();
    cloud.create_bucket("wordings");
    cloud.put_object("wordings", "trees/en.md", GOOD_MAIL.as_bytes());
    let outputs = [
        ("TemplatesBucketName", "wordings"),
        ("MailSender", "thanks@example.org"),
        ("MailConfigurationSet", "afterlink-test"),
    ];
    let outputs = outputs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let here = Deployment::in_memory(sdk_config(&cloud, ManualClock::default()), outputs);
    let run = async |line: &[&str]| {
        let MailCommand::Test(arguments) = command(line) else { panic!("{line:?}") };
        test(&here, &arguments).await
    };
    let sent = run(&["test", "trees", "--to", " ada@Example.org "]).await.unwrap();
    assert_eq!(sent.verdict(), Verdict::Fine);
    let mails = cloud.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["ada@example.org"]);
    assert_eq!(mails[0].subject, "[Test] £12.50 for the trees");
    for line in [["test", "trees", "--to", "ada"], ["test", "gala", "--to", "ada@example.org"]] {
        assert!(run(&line).await.is_err(), "{line:?}");
    }
    assert_eq!(cloud.mails().len(), 1);
}
