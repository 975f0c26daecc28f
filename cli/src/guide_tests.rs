//! The documentation's command lines are ones that this program takes.

use std::fmt::Write as _;

use clap::Parser as _;
use clap::error::ErrorKind;
use xtask::checkout::Checkout;
use xtask::guide::{Written, commands};

use crate::Cli;

#[test]
fn every_afterlink_command_of_the_documentation_is_one() {
    let checkout = Checkout::find().unwrap();
    let written = commands(checkout.root(), "afterlink").unwrap();
    assert!(written.len() >= 20, "{written:?}");
    let mut mistakes = String::new();
    for Written { page, words } in written {
        // Where a page leaves something out, nothing can be said.
        if words.iter().any(|word| word == "…") {
            continue;
        }
        // A name alone, in a sentence: `afterlink explain`, `afterlink reconcile --since`.
        let is_mentioned = words.len() <= 2 || words.last().is_some_and(|word| word.starts_with("--"));
        if let Err(error) = Cli::try_parse_from(&words) {
            let kind = error.kind();
            let lacks = matches!(kind, ErrorKind::MissingRequiredArgument | ErrorKind::InvalidValue);
            if kind == ErrorKind::DisplayHelp || (lacks && is_mentioned) {
                continue;
            }
            writeln!(mistakes, "{page}: {}: {error}", words.join(" ")).unwrap();
        }
    }
    assert_eq!(mistakes, "");
}
