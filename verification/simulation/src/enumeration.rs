//! Every fault at every call, and every pair of them across two instances that work at the same time.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use catalogue::Task;

use crate::fault::{Fault, Injection, Scripted};
use crate::invariants::{Delivered, violations};
pub use crate::scenario::Scenario;
use crate::scenario::TaskMessage;
use crate::story::{Dispute, Fate, Link, Message, Payment, Refund, twin};
use crate::subscriptions;
use crate::world::World;

/// How many of a scenario's cases are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What a machine with two cores runs with every test: all single faults in fewer orders, and of the pairs every
    /// second one among the first calls.
    Tests,
    /// Everything.
    All,
}

impl Depth {
    /// The orders in which a single fault is tried.
    const fn orders(self, (fault, times): (Fault, u32)) -> &'static [u64] {
        match (self, fault, times) {
            (Self::All, ..) => &ORDERS,
            // The SDK retries, and no caller notices.
            (Self::Tests, Fault::Fail | Fault::LoseReply | Fault::Throttle, 1) => ORDERS.split_at(1).0,
            (Self::Tests, ..) => ORDERS.split_at(2).0,
        }
    }

    /// Without faults, every order of this many calls of two instances.
    const fn ordered_steps(self) -> u32 {
        match self {
            Self::Tests => 6,
            Self::All => 7,
        }
    }

    /// Whether faults at these calls of the two instances are a pair to be tried.
    const fn pairs(self, call: u32, other_call: u32) -> bool {
        match self {
            Self::Tests => {
                call < PAIRED_CALLS_OF_TESTS
                    && other_call < PAIRED_CALLS_OF_TESTS
                    && (call + other_call).is_multiple_of(2)
            }
            Self::All => true,
        }
    }
}

/// One run of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The scenario's name.
    pub scenario: String,
    /// Whose call is answered first at each step: bit by bit, 0 for the first instance that waits for one.
    pub order: u64,
    /// What goes wrong.
    pub injections: Vec<Injection>,
}

/// What came of a case.
#[derive(Debug)]
pub struct Report {
    /// The rules that were broken.
    pub violations: Vec<String>,
    /// What happened, a line each step.
    pub script: Vec<String>,
    /// What the functions logged.
    pub logs: String,
    /// Calls made to AWS.
    pub calls: u64,
    /// Calls that the two first instances made, while nothing else was going on.
    calls_of: [u32; 2],
}

impl Scenario {
    /// Every scenario.
    pub fn all() -> Vec<Self> {
        use Task::{AcquisitionEvents, ContributionRecords, SoftOptIns, ThankYouEmail};
        let paid = Payment::paid("Example");
        let delayed = Payment { fate: Fate::PendingThenPaid, ..paid.clone() };
        let failed = Payment { fate: Fate::PendingThenFailed, ..paid.clone() };
        let refund = |amount, fails| vec![Refund { number: 1, amount, fails }];
        let refunded = Payment { refunds: refund(500, false), ..paid.clone() };
        let given_back = Payment { refunds: refund(paid.amount, false), ..paid.clone() };
        let bounced = Payment { refunds: refund(500, true), ..paid.clone() };
        let disputed = Payment { dispute: Some(Dispute::Won), ..paid.clone() };
        let broken = Payment { link: Link::Broken, ..paid.clone() };
        let yes = Payment { marketing: Some("yes"), ..paid.clone() };
        let no = Payment { name: "Other".into(), marketing: Some("no"), at: paid.at + 60, ..paid.clone() };
        let objecting = Payment { marketing: Some("no"), link: Link::Download, ..delayed.clone() };
        let twice = |name, task, payment: &Payment| {
            let event = payment.events().swap_remove(0);
            Self::new(name, task, &[payment], &[], &[event.clone(), event])
        };
        let thanked = |name, [before, at_once, after]: [&[(Task, usize)]; 3]| {
            let events = given_back.events();
            let deliver = |delivered: &[(Task, usize)]| {
                delivered.iter().map(|(task, event)| (*task, Message::of(&events[*event]))).collect()
            };
            let payments = vec![given_back.clone()];
            Self {
                after: deliver(after),
                ..Self::of_tasks(name, payments, deliver(before), deliver(at_once))
            }
        };
        // Places among the events of that payment.
        let paid_for = 0;
        let refunded_of = 1;
        let updated = 2;
        let twins = |name, task, payment: &Payment| {
            let event = payment.events().swap_remove(0);
            Self::new(name, task, &[payment], &[], &[event.clone(), twin(&event)])
        };
        let mut all = vec![
            twice("mail-twice", ThankYouEmail, &paid),
            twins("mail-twins", ThankYouEmail, &paid),
            Self::in_order("mail-delayed", ThankYouEmail, &delayed, 0),
            Self::in_order("mail-failed", ThankYouEmail, &failed, 0),
            twice("mail-broken", ThankYouEmail, &broken),
            thanked(
                "mail-given-back",
                [
                    &[(ContributionRecords, paid_for)],
                    &[(ThankYouEmail, paid_for), (ContributionRecords, refunded_of)],
                    &[(ThankYouEmail, paid_for), (ContributionRecords, updated)],
                ],
            ),
            thanked(
                "mail-given-back-early",
                [
                    &[(ContributionRecords, refunded_of)],
                    &[(ThankYouEmail, paid_for), (ContributionRecords, paid_for)],
                    &[(ThankYouEmail, paid_for)],
                ],
            ),
            thanked(
                "mail-given-back-unknown",
                [
                    &[],
                    &[(ThankYouEmail, paid_for), (ContributionRecords, refunded_of)],
                    &[(ContributionRecords, paid_for), (ThankYouEmail, paid_for)],
                ],
            ),
            twice("records-twice", ContributionRecords, &paid),
            Self::in_order("records-delayed", ContributionRecords, &delayed, 0),
            Self::in_order("records-refund", ContributionRecords, &refunded, 0),
            Self::in_order("records-dispute", ContributionRecords, &disputed, 1),
            twice("consents-twice", SoftOptIns, &yes),
            Self::new(
                "consents-contradict",
                SoftOptIns,
                &[&yes, &no],
                &[],
                &[yes.events().swap_remove(0), no.events().swap_remove(0)],
            ),
            Self::in_order("consents-delayed", SoftOptIns, &objecting, 0),
            twice("acquisition-twice", AcquisitionEvents, &paid),
            Self::in_order("acquisition-refund", AcquisitionEvents, &refunded, 0),
            // No later event makes good what the two at once forget.
            Self::new("acquisition-corrected", AcquisitionEvents, &[&refunded], &[], &refunded.events()[..2]),
            Self::in_order("acquisition-bounced", AcquisitionEvents, &bounced, 1),
            Self::in_order("acquisition-dispute", AcquisitionEvents, &disputed, 1),
        ];
        all.extend(subscriptions::scenarios());
        all
    }

    /// Runs it once, with these faults in this order of calls.
    pub fn run(&self, case: &Case) -> Report {
        fastrand::seed(0);
        let mut world = World::new(Scripted::new(Vec::new(), 0));
        world.thanks_renewals = self.thanks_renewals;
        let deliver = |world: &mut World<Scripted>, messages: &[TaskMessage]| {
            messages.iter().for_each(|(task, event)| world.send(*task, &event.body));
        };
        for event in self.payments.iter().flat_map(Payment::at_stripe) {
            world.cloud.record_at_stripe(&event);
        }
        world.set_stripe_down(self.stripe_was_down);
        deliver(&mut world, &self.before);
        world.run(self.stripe_was_down.then(|| world.now_ms() + OUTAGE_MS));
        world.set_stripe_down(false);
        world.scale_in();
        let first = world.next_instance();
        let injections = case.injections.iter();
        let injections = injections.map(|i| Injection { instance: first + i.instance, ..*i }).collect();
        world.director = Scripted::new(injections, case.order);
        deliver(&mut world, &self.at_once);
        world.run(None);
        let calls_of = [first, first + 1].map(|instance| world.calls_of(instance));
        deliver(&mut world, &self.after);
        world.director = Scripted::new(Vec::new(), 0);
        world.run(None);
        let (tasks, events): (BTreeSet<_>, _) =
            [&self.before[..], &self.at_once, &self.after].concat().into_iter().unzip();
        for task in &tasks {
            world.redrive(*task);
        }
        world.run(None);
        let delivered = Delivered {
            payments: self.payments.clone(),
            events,
            poison: Vec::new(),
            tasks: tasks.into_iter().collect(),
            may_be_unknown: !case.injections.is_empty(),
        };
        Report {
            violations: violations(&world, &delivered),
            script: world.script().to_vec(),
            logs: world.logs(),
            calls: world.calls(),
            calls_of,
        }
    }

    /// All orders without a fault, all single faults, and pairs across the two instances.
    ///
    /// `each` is given every case and its report.
    pub fn enumerate(&self, depth: Depth, mut each: impl FnMut(Case, Report)) {
        let case = |order, injections| Case { scenario: self.name.to_owned(), order, injections };
        let mut run = |case: Case| {
            let report = self.run(&case);
            let calls_of = report.calls_of;
            each(case, report);
            calls_of
        };
        let mut calls = [0, 0];
        for order in 0..1 << depth.ordered_steps() {
            let made = run(case(order, Vec::new()));
            calls = [calls[0].max(made[0]), calls[1].max(made[1])];
        }
        let at = |instance, call, (fault, times)| Injection { instance, call, fault, times };
        for instance in [0, 1] {
            // A fault is followed by calls that a quiet run does not make.
            for call in 0..calls[instance as usize] + 2 {
                for fault in FAULTS {
                    for &order in depth.orders(fault) {
                        run(case(order, vec![at(instance, call, fault)]));
                    }
                }
            }
        }
        let [last, other_last] = calls.map(|calls| calls.min(PAIRED_CALLS));
        for call in 0..=last {
            for fault in PAIRED_FAULTS {
                for other_call in (0..=other_last).filter(|other| depth.pairs(call, *other)) {
                    let mut met = 0;
                    for other_fault in PAIRED_FAULTS {
                        let pair = vec![at(0, call, fault), at(1, other_call, other_fault)];
                        met = met.max(run(case(IN_TURNS, pair))[1]);
                    }
                    if met <= other_call {
                        // The second instance never gets so far: what follows is no pair.
                        break;
                    }
                }
            }
        }
    }
}

/// Long enough for a task to have tried.
const OUTAGE_MS: i64 = 60_000;

/// The calls of two instances in turns.
const IN_TURNS: u64 = 0xAAAA_AAAA_AAAA_AAAA;

/// In turns, one after the other, the other way round, in twos.
const ORDERS: [u64; 4] = [IN_TURNS, 0, u64::MAX, 0xCCCC_CCCC_CCCC_CCCC];

/// Each fault, once; and those that the SDK would overcome, as often as it tries.
const FAULTS: [(Fault, u32); 11] = [
    (Fault::Fail, 1),
    (Fault::Fail, 3),
    (Fault::LoseReply, 1),
    (Fault::LoseReply, 3),
    (Fault::Throttle, 1),
    (Fault::Throttle, 3),
    (Fault::Hang, 3),
    (Fault::Late, 1),
    (Fault::Refuse, 1),
    (Fault::CrashBefore, 1),
    (Fault::CrashAfter, 1),
];

/// Pairs are tried among this many calls of each instance: a question to Stripe, and what is done with its answer.
const PAIRED_CALLS: u32 = 8;

/// And in tests among this many.
const PAIRED_CALLS_OF_TESTS: u32 = 4;

/// The faults whose pairs are tried: one for each thing that can have happened when a call has ended badly.
const PAIRED_FAULTS: [(Fault, u32); 6] = [
    (Fault::Fail, 3),
    (Fault::LoseReply, 3),
    (Fault::Throttle, 3),
    (Fault::Late, 3),
    (Fault::CrashBefore, 1),
    (Fault::CrashAfter, 1),
];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:x}", self.scenario, self.order)?;
        for Injection { instance, call, fault, times } in &self.injections {
            write!(f, "/{instance}.{call}.{}.{times}", fault.name())?;
        }
        Ok(())
    }
}

impl FromStr for Case {
    type Err = anyhow::Error;

    /// Reads what [`Case`] prints.
    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split('/');
        let scenario = parts.next().unwrap_or_default().to_owned();
        let order = parts.next().context("a case has an order of calls: scenario/order/…")?;
        let order = u64::from_str_radix(order, 16).context("the order of calls is a hexadecimal number")?;
        let injections = parts.map(|part| {
            let fields: Vec<_> = part.split('.').collect();
            let [instance, call, fault, times] = fields[..] else {
                bail!("a fault is instance.call.fault.times, not {part:?}");
            };
            let fault = Fault::ALL.into_iter().find(|known| known.name() == fault);
            let fault = fault.with_context(|| format!("no fault is called {fault:?}", fault = fields[2]))?;
            Ok(Injection { instance: instance.parse()?, call: call.parse()?, fault, times: times.parse()? })
        });
        Ok(Self { scenario, order, injections: injections.collect::<Result<_>>()? })
    }
}

#[cfg(test)]
mod tests;
