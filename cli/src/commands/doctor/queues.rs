//! The queues and the ledger.

use anyhow::{Context as _, Result};
use aws_sdk_sqs::Client;
use catalogue::queued;

use super::Check;
use crate::deployment::Deployment;
use crate::queues::depth;

pub(super) async fn of_queues(deployment: &Deployment) -> Vec<Check> {
    let sqs = Client::new(&deployment.sdk);
    let mut checks = Vec::new();
    for function in queued() {
        let look = async || {
            depth(&sqs, deployment.queue_url(function)?).await?;
            dead_letters(&sqs, deployment.dlq_url(function)?).await
        };
        let fix = format!("`afterlink redrive --task {}` shows why", function.name);
        checks.push(of_queue(format!("queues of {}", function.name), look().await, fix));
    }
    // Where Stripe's events come by EventBridge.
    if let Some(url) = deployment.optional("ForwardDlqUrl") {
        let fix = "they reached no task: docs/runbooks/dead-letter-queue.md".to_owned();
        checks.push(of_queue("queue of forward".to_owned(), dead_letters(&sqs, url).await, fix));
    }
    checks
}

async fn dead_letters(sqs: &Client, dlq_url: &str) -> Result<u64> {
    let dlq = depth(sqs, dlq_url).await?;
    Ok(dlq.waiting + dlq.in_flight)
}

/// `fix` is for dead letters.
fn of_queue(what: String, dead_letters: Result<u64>, fix: String) -> Check {
    match dead_letters {
        Ok(0) => Check::pass(what, "there, and the DLQ is empty"),
        Ok(1) => Check::fail(what, "1 message in the DLQ", fix),
        Ok(dead_letters) => Check::fail(what, format!("{dead_letters} messages in the DLQ"), fix),
        Err(error) => {
            let said = format!("{error:#}");
            let is_denied = said.contains("AccessDenied");
            if said.contains("NonExistentQueue") {
                return Check::fail(what, "is not there", "deploy the pipeline stack");
            }
            Check::unanswered(what, "sqs:GetQueueAttributes", is_denied, said)
        }
    }
}

pub(super) async fn of_ledger(deployment: &Deployment) -> Check {
    let look =
        async || deployment.ledger()?.open_effects("").await.context("the index open-effects cannot be read");
    match look().await {
        Ok(open) => Check::pass("ledger", format!("its index answers in {} pages", open.pages)),
        Err(error) => {
            let said = format!("{error:#}");
            if said.contains("does not have the specified index")
                || said.contains("ResourceNotFoundException")
            {
                return Check::fail(
                    "ledger",
                    said,
                    "deploy the data stack; a new index takes a few minutes to fill",
                );
            }
            let is_denied = said.contains("AccessDenied");
            Check::unanswered("ledger", "dynamodb:Query", is_denied, said)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::CheckResult;
    use super::*;

    #[test]
    fn dead_letters_fail_and_a_queue_that_may_not_be_looked_at_says_nothing() {
        let check = |found| of_queue("queue".to_owned(), found, "look".to_owned());
        let error = |text: &'static str| Err(anyhow::anyhow!(text));
        for (found, result) in [
            (Ok(0), CheckResult::Pass),
            (Ok(1), CheckResult::Fail),
            (Ok(164), CheckResult::Fail),
            (error("AWS.SimpleQueueService.NonExistentQueue"), CheckResult::Fail),
            (error("AccessDenied: not authorized"), CheckResult::Unchecked),
            (error("timeout"), CheckResult::Unchecked),
        ] {
            let said = format!("{found:?}");
            assert_eq!(check(found).result, result, "{said}");
        }
        assert_eq!(check(Ok(1)).seen, "1 message in the DLQ");
    }
}
