//! The function as Lambda starts it. What it does is in the library beside it.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    wording_check::run(|name| std::env::var(name).ok()).await
}
