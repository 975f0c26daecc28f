//! Messages in dead-letter queues: looked at, sent back.

mod dead_letter;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use aws::{Clock as _, SystemClock};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

pub(crate) use self::dead_letter::{DeadLetter, NO_REASON, payment_link_of};

/// How long a message that is looked at stays hidden from others, in seconds. If the program is killed, it shows up
/// again after that.
const HIDDEN_SECONDS: i32 = 120;

/// What is still looked at is hidden anew after this.
const HIDE_ANEW_AFTER_MS: i64 = 45_000;

/// How many calls are under way at once.
const AT_ONCE: usize = 16;

/// How full a queue is.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Depth {
    pub(crate) waiting: u64,
    /// Being handled, or waiting for another try.
    pub(crate) in_flight: u64,
}

/// # Errors
///
/// When the queue does not answer.
pub(crate) async fn depth(sqs: &Client, queue_url: &str) -> Result<Depth> {
    use QueueAttributeName::{
        ApproximateNumberOfMessages as Waiting, ApproximateNumberOfMessagesDelayed as Delayed,
        ApproximateNumberOfMessagesNotVisible as NotVisible,
    };
    let names = [Waiting, Delayed, NotVisible];
    let answer = sqs.get_queue_attributes().queue_url(queue_url).set_attribute_names(Some(names.into()));
    let answer = answer.send().await.with_context(|| format!("{} does not answer", name_of(queue_url)))?;
    let number = |name| {
        let text = answer.attributes.as_ref().and_then(|attributes| attributes.get(&name));
        text.and_then(|text| text.parse::<u64>().ok()).unwrap_or_default()
    };
    Ok(Depth { waiting: number(Waiting) + number(Delayed), in_flight: number(NotVisible) })
}

/// A dead-letter queue that is read from end to end, a batch after the other: [`read_through`].
///
/// What was read is hidden from others, so that two operators do not take the same, and so that no message comes twice.
/// Until the end it is held here, but for what left the queue.
pub(crate) struct Reader<'a> {
    sqs: &'a Client,
    dlq_url: &'a str,
    seen: BTreeSet<String>,
    /// The receipts of hidden messages, by the messages' ids.
    held: BTreeMap<String, String>,
    /// In Unix milliseconds.
    hidden_at: i64,
}

/// Reads a dead-letter queue, and shows what stays in it again however the work ends.
///
/// # Errors
///
/// When the work fails.
pub(crate) async fn read_through<T>(
    sqs: &Client,
    dlq_url: &str,
    work: impl AsyncFnOnce(&mut Reader<'_>) -> Result<T>,
) -> Result<T> {
    let mut reader = Reader {
        sqs,
        dlq_url,
        seen: BTreeSet::new(),
        held: BTreeMap::new(),
        hidden_at: SystemClock.now_ms(),
    };
    let done = work(&mut reader).await;
    reader.hide_held(0).await;
    done
}

impl Reader<'_> {
    /// The next messages; none at the end.
    ///
    /// # Errors
    ///
    /// When the queue does not answer.
    pub(crate) async fn next(&mut self) -> Result<Vec<DeadLetter>> {
        let now = SystemClock.now_ms();
        if now - self.hidden_at > HIDE_ANEW_AFTER_MS {
            self.hidden_at = now;
            self.hide_held(HIDDEN_SECONDS).await;
        }
        let batch = receive(self.sqs, self.dlq_url).await?;
        self.held.extend(batch.iter().map(|message| (message.id.clone(), message.receipt.clone())));
        Ok(batch.into_iter().filter(|message| self.seen.insert(message.id.clone())).collect())
    }

    /// The next messages that are wanted, of a batch perhaps none; `None` at the end. The others are counted by their
    /// reasons, and stay in the queue.
    ///
    /// # Errors
    ///
    /// When the queue does not answer.
    pub(crate) async fn next_wanted(
        &mut self,
        is_wanted: impl Fn(&DeadLetter) -> bool,
        other_reasons: &mut BTreeMap<String, usize>,
    ) -> Result<Option<Vec<DeadLetter>>> {
        let batch = self.next().await?;
        if batch.is_empty() {
            return Ok(None);
        }
        let (wanted, others): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_wanted);
        for other in &others {
            *other_reasons.entry(other.reason().to_owned()).or_default() += 1;
        }
        Ok(Some(wanted))
    }

    /// How many messages came so far.
    pub(crate) fn seen(&self) -> usize {
        self.seen.len()
    }

    /// Leaves a message as it is at the end: it left the queue, or the caller releases it.
    pub(crate) fn forget(&mut self, message: &DeadLetter) {
        self.held.remove(&message.id);
    }

    async fn hide_held(&self, seconds: i32) {
        hide(self.sqs, self.dlq_url, self.held.values(), seconds).await;
    }
}

/// Every message of a dead-letter queue that `keep` wants; the others are let go. The kept ones stay hidden for two
/// minutes.
///
/// # Errors
///
/// When the queue does not answer.
pub(crate) async fn take(
    sqs: &Client,
    dlq_url: &str,
    keep: impl Fn(&DeadLetter) -> bool,
) -> Result<Vec<DeadLetter>> {
    read_through(sqs, dlq_url, async |reader| {
        let mut kept = Vec::new();
        loop {
            let batch = reader.next().await?;
            if batch.is_empty() {
                break;
            }
            kept.extend(batch.into_iter().filter(&keep));
        }
        kept.iter().for_each(|message| reader.forget(message));
        Ok(kept)
    })
    .await
}

async fn receive(sqs: &Client, queue_url: &str) -> Result<Vec<DeadLetter>> {
    let received = sqs
        .receive_message()
        .queue_url(queue_url)
        .max_number_of_messages(10)
        .visibility_timeout(HIDDEN_SECONDS)
        .wait_time_seconds(1)
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
        .send()
        .await
        .with_context(|| format!("{} does not answer", name_of(queue_url)))?;
    Ok(received.messages.unwrap_or_default().into_iter().filter_map(DeadLetter::of).collect())
}

/// Lets go of messages that were only looked at. If that fails they show up again by themselves, two minutes later.
pub(crate) async fn release(sqs: &Client, queue_url: &str, messages: &[DeadLetter]) {
    hide(sqs, queue_url, messages.iter().map(|message| &message.receipt), 0).await;
}

async fn hide(sqs: &Client, queue_url: &str, receipts: impl Iterator<Item = &String>, seconds: i32) {
    let calls = receipts.map(async |receipt| {
        let hidden = sqs
            .change_message_visibility()
            .queue_url(queue_url)
            .receipt_handle(receipt)
            .visibility_timeout(seconds);
        let _comes_back_later = hidden.send().await;
    });
    stream::iter(calls).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// Sends a message from a dead-letter queue to its queue. Between the two calls it is in both, which does no harm:
/// the ledger drops effects that are done.
///
/// # Errors
///
/// When a queue does not answer.
pub(crate) async fn move_back(
    sqs: &Client,
    message: &DeadLetter,
    dlq_url: &str,
    queue_url: &str,
) -> Result<()> {
    send(sqs, queue_url, &message.body).await?;
    delete(sqs, message, dlq_url).await
}

/// Takes a message that another one makes up for out of a dead-letter queue.
///
/// # Errors
///
/// When the queue does not answer.
pub(crate) async fn delete(sqs: &Client, message: &DeadLetter, dlq_url: &str) -> Result<()> {
    sqs.delete_message().queue_url(dlq_url).receipt_handle(&message.receipt).send().await.with_context(
        || format!("sent back, but it is still in {} too, which is harmless", name_of(dlq_url)),
    )?;
    Ok(())
}

/// # Errors
///
/// When the queue does not answer.
pub(crate) async fn send(sqs: &Client, queue_url: &str, body: &str) -> Result<()> {
    let sent = sqs.send_message().queue_url(queue_url).message_body(body).send().await;
    sent.map(drop).with_context(|| format!("{} does not take the message", name_of(queue_url)))
}

pub(crate) fn name_of(queue_url: &str) -> &str {
    queue_url.rsplit('/').next().unwrap_or(queue_url)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;
    use catalogue::Task;

    use super::*;
    use crate::test_stage::Stage;

    #[tokio::test]
    async fn what_stays_in_the_queue_is_shown_again_however_the_work_ends() {
        let stage = Stage::new();
        let sqs = Client::new(&stage.here.sdk);
        let dlq_url = stage.here.dlq_url(Task::ThankYouEmail).unwrap();
        for body in ["one", "two", "three"] {
            stage.send(dlq_url, body, None);
        }
        let read = async || receive(&sqs, dlq_url).await.unwrap();
        for fails in [true, false] {
            let done = read_through(&sqs, dlq_url, async |reader| {
                let batch = reader.next().await?;
                assert_eq!((batch.len(), read().await.len()), (3, 0));
                if fails {
                    bail!("the ledger does not answer");
                }
                delete(&sqs, &batch[0], dlq_url).await?;
                reader.forget(&batch[0]);
                Ok(())
            });
            assert_eq!(done.await.is_err(), fails);
        }
        let kept = take(&sqs, dlq_url, |message| message.body == "two").await.unwrap();
        assert_eq!((kept.len(), read().await.len()), (1, 1));
        release(&sqs, dlq_url, &kept).await;
        assert_eq!(read().await.len(), 1);
    }
}
