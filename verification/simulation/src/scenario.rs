//! Situations in which messages meet.

use catalogue::Task;
use serde_json::Value;

use crate::story::{Message, Payment};

/// A situation in which a task, or two that share rows, receive several messages at the same time.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Short, without spaces.
    pub name: &'static str,
    pub(crate) payments: Vec<Payment>,
    /// What they know already.
    pub(crate) before: Vec<TaskMessage>,
    /// Whether Stripe's API was down until then.
    pub(crate) stripe_was_down: bool,
    /// Whether members are thanked for renewals.
    pub(crate) thanks_renewals: bool,
    /// The messages of the same time, each in an instance of its own.
    pub(crate) at_once: Vec<TaskMessage>,
    /// The messages after that.
    pub(crate) after: Vec<TaskMessage>,
}

/// A message to a task.
pub(crate) type TaskMessage = (Task, Message);

impl Scenario {
    /// One task receives these.
    pub(crate) fn new(
        name: &'static str,
        task: Task,
        payments: &[&Payment],
        before: &[Value],
        at_once: &[Value],
    ) -> Self {
        let payments = payments.iter().map(|payment| (*payment).clone()).collect();
        Self::of_tasks(name, payments, deliveries_of(task, before), deliveries_of(task, at_once))
    }

    /// The first events before, the next two at once, the others afterwards.
    pub(crate) fn in_order(name: &'static str, task: Task, payment: &Payment, first: usize) -> Self {
        let events = payment.events();
        let (before, others) = events.split_at(first);
        let (at_once, after) = others.split_at(2.min(others.len()));
        Self { after: deliveries_of(task, after), ..Self::new(name, task, &[payment], before, at_once) }
    }

    /// Several tasks receive these.
    pub(crate) const fn of_tasks(
        name: &'static str,
        payments: Vec<Payment>,
        before: Vec<TaskMessage>,
        at_once: Vec<TaskMessage>,
    ) -> Self {
        Self {
            name,
            payments,
            before,
            stripe_was_down: false,
            thanks_renewals: false,
            at_once,
            after: Vec::new(),
        }
    }
}

/// A task receives these.
pub(crate) fn deliveries_of(task: Task, events: &[Value]) -> Vec<TaskMessage> {
    events.iter().map(|event| (task, Message::of(event))).collect()
}
