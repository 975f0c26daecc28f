// Also compiled into this crate's build script, which compares it with the folders below `functions/`.

use effect_key::Guarantee;

/// What starts a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A rule on the fulfilment bus puts events into the function's queue: the function is a task.
    Events(Task),
    /// Stripe posts signed events to its URL.
    Webhook,
    /// Customers open its pages.
    Page,
    /// A schedule.
    Schedule,
    /// A rule on the account's default event bus puts what S3 says of the templates bucket into the function's queue.
    Upload,
}

impl Trigger {
    /// Whether what starts the function waits in a queue of its own, beside a dead-letter queue.
    pub const fn is_queued(self) -> bool {
        match self {
            Self::Events(_) | Self::Upload => true,
            Self::Webhook | Self::Page | Self::Schedule => false,
        }
    }
}

/// A function, as its folder, package, binary and key in the CDK app are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What starts it.
    pub trigger: Trigger,
    /// Whether it handles personal data. Its logs, metrics and ledger rows hold none either way.
    pub personal_data: bool,
    /// What it does, in one line.
    pub purpose: &'static str,
}

const SESSION_COMPLETED: &str = "checkout.session.completed";
const SESSION_SUCCEEDED: &str = "checkout.session.async_payment_succeeded";
const SESSION_FAILED: &str = "checkout.session.async_payment_failed";
const REFUND_CREATED: &str = "refund.created";
const REFUND_UPDATED: &str = "refund.updated";
const REFUND_FAILED: &str = "refund.failed";
const DISPUTE_CREATED: &str = "charge.dispute.created";
const DISPUTE_UPDATED: &str = "charge.dispute.updated";
const DISPUTE_CLOSED: &str = "charge.dispute.closed";
const DISPUTE_WITHDRAWN: &str = "charge.dispute.funds_withdrawn";
const DISPUTE_REINSTATED: &str = "charge.dispute.funds_reinstated";
const INVOICE_PAID: &str = "invoice.paid";
const INVOICE_PAYMENT_PAID: &str = "invoice_payment.paid";
const FRAUD_WARNING_CREATED: &str = "radar.early_fraud_warning.created";
const FRAUD_WARNING_UPDATED: &str = "radar.early_fraud_warning.updated";

macro_rules! tasks {
    ($($(#[$doc:meta])* $variant:ident {
        name: $name:literal, effects: $effects:literal, guarantee: $guarantee:ident, personal_data: $personal:literal,
        reacts_to: $events:expr, purpose: $purpose:literal,
    })+) => {
        /// A function behind a queue, with effects in the ledger.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Task {
            $($(#[$doc])* $variant,)+
        }

        impl Task {
            /// Every task, in the order in which a payment meets them.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The function.
            pub const fn function(self) -> Function {
                match self {
                    $(Self::$variant => Function {
                        name: $name,
                        trigger: Trigger::Events(self),
                        personal_data: $personal,
                        purpose: $purpose,
                    },)+
                }
            }

            /// The function's name.
            pub const fn name(self) -> &'static str {
                self.function().name
            }

            /// The word that its effects' names begin with: `email` of `email#thank-you`.
            pub const fn effects(self) -> &'static str {
                match self {
                    $(Self::$variant => $effects,)+
                }
            }

            /// The delivery guarantee of its effects.
            pub const fn guarantee(self) -> Guarantee {
                match self {
                    $(Self::$variant => Guarantee::$guarantee,)+
                }
            }

            /// The types of the events that it reacts to.
            pub const fn reacts_to(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => &$events,)+
                }
            }

            /// The start of the names of its stack outputs, and its construct in the CDK app.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }
        }
    };
}

tasks! {
    /// `thank-you-email`
    ThankYouEmail {
        name: "thank-you-email", effects: "email", guarantee: AtMostOnce, personal_data: true,
        reacts_to: [SESSION_COMPLETED, SESSION_SUCCEEDED, SESSION_FAILED, INVOICE_PAID],
        purpose: "Sends the thank-you, payment-pending and payment-failed mails",
    }
    /// `contribution-records`
    ContributionRecords {
        name: "contribution-records", effects: "contribution", guarantee: AtLeastOnce, personal_data: true,
        reacts_to: [
            SESSION_COMPLETED, SESSION_SUCCEEDED, SESSION_FAILED, REFUND_CREATED, REFUND_UPDATED, REFUND_FAILED,
            DISPUTE_CREATED, DISPUTE_UPDATED, DISPUTE_CLOSED, DISPUTE_WITHDRAWN, DISPUTE_REINSTATED, INVOICE_PAID,
            INVOICE_PAYMENT_PAID, FRAUD_WARNING_CREATED, FRAUD_WARNING_UPDATED,
        ],
        purpose: "Keeps the contribution and supporter records",
    }
    /// `soft-opt-ins`
    SoftOptIns {
        name: "soft-opt-ins", effects: "consents", guarantee: AtLeastOnce, personal_data: true,
        reacts_to: [SESSION_COMPLETED, SESSION_SUCCEEDED],
        purpose: "Records each customer's consents, with the evidence",
    }
    /// `acquisition-events`
    AcquisitionEvents {
        name: "acquisition-events", effects: "acquisition", guarantee: AtLeastOnce, personal_data: true,
        reacts_to: [
            SESSION_COMPLETED, SESSION_SUCCEEDED, REFUND_CREATED, REFUND_UPDATED, REFUND_FAILED, DISPUTE_CREATED,
            DISPUTE_UPDATED, DISPUTE_CLOSED, DISPUTE_WITHDRAWN, DISPUTE_REINSTATED, INVOICE_PAID,
        ],
        purpose: "Publishes payments and their corrections for analysts",
    }
}

/// The functions that are no tasks.
pub const OTHERS: [Function; 4] = [
    Function {
        name: "stripe-webhook",
        trigger: Trigger::Webhook,
        personal_data: true,
        purpose: "Verifies Stripe's signature and puts the event on the fulfilment bus",
    },
    Function {
        name: "downloads",
        trigger: Trigger::Page,
        personal_data: true,
        purpose: "Shows customers the state of their payment, and serves the files they bought",
    },
    Function {
        name: "reconcile",
        trigger: Trigger::Schedule,
        personal_data: true,
        purpose: "Compares Stripe's payments with the ledger, and puts back what is missing",
    },
    Function {
        name: "wording-check",
        trigger: Trigger::Upload,
        personal_data: true,
        purpose: "Checks a mail template when it is uploaded, and informs its owner",
    },
];

/// The functions behind a queue: the tasks, and those whose messages are something else than Stripe's events.
pub fn queued() -> impl Iterator<Item = Function> {
    functions().filter(|function| function.trigger.is_queued())
}

/// Every function: the tasks, then the others.
pub fn functions() -> impl Iterator<Item = Function> {
    Task::ALL.into_iter().map(Task::function).chain(OTHERS)
}
