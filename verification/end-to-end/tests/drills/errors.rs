//! Days on which the operator is in the wrong place, or their terminal is.

use std::process::{Command, Stdio};

use end_to_end::operator::{run, text};
use serde_json::Value;

use crate::day::Day;
use crate::stack::stack_file;

fn in_aws(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(stack_file().parent().unwrap().join("afterlink"));
    let home = std::env::temp_dir().join("afterlink-drill-home");
    std::fs::create_dir_all(&home).unwrap();
    command
        .env_clear()
        .env("HOME", &home)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied());
    let output = run(command, arguments);
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// cli/README.md, "Where".
#[test]
fn drill_19_the_operator_is_in_the_wrong_place() {
    let day = Day::begins();
    for (arguments, variables, expected) in [
        (&["status"][..], &[][..], "which stage?"),
        (&["--stage", "live", "status"], &[], "which region?"),
        (&["--stage", "live", "--region", "eu-west-1", "status"], &[], "there are no AWS credentials here"),
        (&["--stage", "live", "--profile", "nope", "status"], &[], "there is no profile nope"),
        (&["--local", "--stack-file", "nowhere.json", "status"], &[], "no local cloud is up"),
    ] {
        let (code, _, errors) = in_aws(arguments, variables);
        assert_eq!(code, 1, "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?} does not say {expected}: {errors}");
        assert!(errors.lines().count() <= 3, "{arguments:?} says too much: {errors}");
    }
    let (code, _, errors) = in_aws(&["--local", "--stage", "live", "status"], &[]);
    assert_eq!(code, 2, "{errors}");

    // Variables that an operator's shell has say nothing against the local cloud.
    let mut command = day.command();
    command.env("AWS_REGION", "eu-west-1").env("AWS_PROFILE", "live").env("AFTERLINK_STAGE", "live");
    assert_eq!(run(command, &["status"]).status.code(), Some(0));

    // Programs get errors as JSON, and may stop reading when they like.
    let said = day.says(&["explain", "pi_Nowhere", "--json"]);
    let error: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &error["error"]["kind"]), (1, &Value::from("not_found")));
    let mut child = day
        .command()
        .args(["doctor", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    day.ends_quietly();
}
