#![doc = include_str!("../README.md")]

mod functions;
mod golden;
mod task;

pub use functions::{Function, OTHERS, Task, Trigger, functions, queued};
pub use golden::{Golden, GoldenFunction, GoldenTask};

/// The construct id of a function in the CDK app, which the names of its stack outputs begin with: `thank-you-email` to
/// `ThankYouEmail`.
pub fn construct_id(function: &str) -> String {
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>())
    };
    function.split('-').filter_map(capitalised).collect()
}
