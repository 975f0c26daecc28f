use effect_ledger::{Executor, Subject};
use stripe_events::{Delivered, Event, Resend, Source, shown_id};

use aws::cause_chain;

use crate::{About, Consumer, Counted, Outcome, Receipt, TaskError};

/// One task of the pipeline: what it makes of one event.
pub trait Task {
    /// The task's errors.
    type Error: TaskError;

    /// What an event is about. Messages about one subject are handled in order, those of others at the same time.
    fn subject(&self, event: &Event) -> Option<Subject>;

    /// Handles one event. May be called again for the same event at any time, also while it is running.
    fn handle(&self, delivery: &Delivery) -> impl Future<Output = Result<Outcome, Self::Error>>;
}

/// One event, as a task sees it.
#[derive(Debug)]
pub struct Delivery {
    /// The source the event came from.
    pub source: Source,
    /// The event.
    pub event: Event,
    /// What an operator asks for beyond it.
    pub resend: Option<Resend>,
    /// How often the queue has handed the message out, this time included. Beyond one, an earlier delivery ended in a
    /// retry, or its process died.
    pub receive_count: u32,
    owner: String,
    lease_until: i64,
    counted: Counted,
}

impl Delivery {
    /// Counts, under a metric of its own, something that did not keep the task from its effect but that an operator
    /// should see.
    pub fn count(&self, metric: &'static str) {
        self.counted.count(metric);
    }

    /// Who acts on this delivery, for claims in the ledger.
    pub fn executor(&self) -> Executor<'_> {
        Executor {
            owner: &self.owner,
            lease_until: self.lease_until,
            event_id: self.event.id(),
            detail: None,
            expected_version: 0,
        }
    }
}

/// The reason for skipping an event of another account, which our account is connected with.
const CONNECTED_ACCOUNT: &str = "connected_account";

/// A task, as the consumer of a queue of Stripe's events.
pub(crate) struct EventConsumer<'a, T>(pub(crate) &'a T);

impl<T: Task> Consumer for EventConsumer<'_, T> {
    type Message = Delivery;
    type Error = T::Error;

    const UNDECODABLE: &'static str = "undecodable_event";

    fn read(&self, body: &[u8], receipt: Receipt) -> Result<Delivery, String> {
        let delivered = Delivered::from_json(body).map_err(|error| cause_chain(&error))?;
        let Receipt { receive_count, owner, lease_until, counted } = receipt;
        Ok(Delivery {
            source: delivered.source,
            event: delivered.event,
            resend: delivered.resend,
            receive_count,
            owner,
            lease_until,
            counted,
        })
    }

    fn about(&self, delivery: &Delivery) -> About {
        let subject = self.0.subject(&delivery.event);
        let payment_id = subject.as_ref().map(|id| shown_id(id.as_str()).into_owned());
        About {
            event_id: shown_id(delivery.event.id()).into_owned(),
            event_kind: delivery.event.type_name().to_owned(),
            payment_id: Some(payment_id.unwrap_or_default()),
            template: None,
            subject: subject.map(|subject| subject.as_str().to_owned()),
        }
    }

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, T::Error> {
        // No task acts on these, whatever they are about: the rules leave them out, and so does this.
        if matches!(&delivery.event, Event::Snapshot(event) if event.account.is_some()) {
            return Ok(Outcome::Skipped(CONNECTED_ACCOUNT));
        }
        self.0.handle(delivery).await
    }
}
