//! A second opinion on AWS: the tasks' stories before moto, which shares no code with the local cloud and reads
//! DynamoDB's expressions, SES, EventBridge's patterns, SQS and S3 in its own way.
//!
//! Nothing is deployed here. What the reviewed template says of tables, queues, buses and rules is made in an account of
//! the test's own, and each function's binary runs as a process with the environment that the template gives it.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

mod account;
mod at_once;
mod dynamodb;
mod gate;
mod memberships;
mod operator;
mod pages;
mod payments;
mod queues;
mod reconciliation;
mod template;
mod wording;
