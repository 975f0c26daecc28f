//! A Lambda function that does nothing. Built like the others, it is what they are measured against.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_event: LambdaEvent<IgnoredAny>| Ok::<_, Error>(()))).await
}
