//! The operator's command line, as a process. Its `Command` says where the stack is.

use std::process::{Command, Output};

use serde_json::Value;

/// Its output, if it succeeds.
pub fn says(afterlink: Command, arguments: &[&str]) -> String {
    let output = run(afterlink, arguments);
    let stdout = text(&output.stdout);
    let stderr = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{arguments:?}: {stdout}{stderr}");
    stdout
}

/// The same in JSON.
pub fn json_of(afterlink: Command, arguments: &[&str]) -> Value {
    let output = says(afterlink, &[arguments, &["--json"]].concat());
    serde_json::from_str(&output).expect(&output)
}

/// Why it refuses.
pub fn refusal(afterlink: Command, arguments: &[&str]) -> String {
    let output = run(afterlink, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

/// What a process wrote.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs it, whatever comes of it.
pub fn run(mut afterlink: Command, arguments: &[&str]) -> Output {
    afterlink.args(arguments).output().unwrap()
}
