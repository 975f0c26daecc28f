use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::TaskError;

/// What reads the messages of a queue and acts on them: a [`Task`](crate::Task), whose messages are Stripe's events, or a
/// function whose messages are something else.
pub trait Consumer {
    /// A message whose body was read.
    type Message;
    /// The consumer's errors.
    type Error: TaskError;

    /// The reason of a message whose body cannot be read.
    const UNDECODABLE: &'static str;

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, in sentences without personal data. Such a message goes to the DLQ.
    fn read(&self, body: &[u8], receipt: Receipt) -> Result<Self::Message, String>;

    /// What a message is about. Messages with one subject are handled in order, those of others at the same time.
    fn about(&self, message: &Self::Message) -> About;

    /// Handles one message. May be called again for the same message at any time, also while it is running.
    fn handle(&self, message: &Self::Message) -> impl Future<Output = Result<Outcome, Self::Error>>;
}

/// How a consumer ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The effect happened now.
    Done,
    /// Nothing to do; the short name of why.
    Skipped(&'static str),
    /// The effect may or may not have happened; the ledger has it for a person to decide.
    Unknown(&'static str),
}

/// How the queue handed a message out.
#[derive(Debug)]
pub struct Receipt {
    /// How often, this time included.
    pub receive_count: u32,
    /// Who acts on it, for claims in the ledger.
    pub owner: String,
    /// Until when such a claim lasts, in Unix milliseconds.
    pub lease_until: i64,
    /// What is counted while it is handled.
    pub counted: Counted,
}

/// Metrics of a consumer's own, counted while it handles a message. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Counted(std::rc::Rc<RefCell<BTreeMap<&'static str, u32>>>);

impl Counted {
    /// Counts, under a metric of its own, something that did not keep the consumer from its effect and that an operator
    /// should see.
    pub fn count(&self, metric: &'static str) {
        *self.0.borrow_mut().entry(metric).or_default() += 1;
    }

    pub(crate) fn take(&self) -> BTreeMap<&'static str, u32> {
        self.0.take()
    }
}

/// What a message is about, as the log names it. Without personal data.
#[derive(Debug, Default)]
pub struct About {
    /// Of its event.
    pub event_id: String,
    /// Its event's type.
    pub event_kind: String,
    /// The payment, where it is about one.
    pub payment_id: Option<String>,
    /// The mail template, where it is about one.
    pub template: Option<String>,
    /// What messages are handled in order for; those without a subject are one group.
    pub subject: Option<String>,
}
