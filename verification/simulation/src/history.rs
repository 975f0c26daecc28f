//! Long histories from a seed: many customers, every kind of bad luck, days of it.

use aws_in_memory::Quota;
use catalogue::Task;
use fastrand::Rng;
use serde_json::Value;

use crate::fault::{Director, Fault, Step};
use crate::function::dlq_url;
use crate::invariants::{Delivered, violations};
use crate::story::{Charge, Dispute, Fate, Link, Message, Payment, Refund, Subscription, twin};
use crate::wire::InstanceId;
use crate::world::{BEGINNING_MS, World};

/// What came of a history.
#[derive(Debug)]
pub struct History {
    /// The rules that were broken.
    pub violations: Vec<String>,
    /// What happened, a line each step.
    pub script: Vec<String>,
    /// Events delivered, duplicates not counted.
    pub events: usize,
    /// Messages put into queues.
    pub messages: u64,
    /// Calls made to AWS.
    pub calls: u64,
    /// Faults met.
    pub faults: u64,
}

/// What kind of bad luck there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    /// All of it.
    Any,
    /// Services are busy, and that is all.
    Throttles,
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How long customers keep coming.
const SEASON_MS: i64 = 3 * DAY_MS;

/// How late Stripe may be: it tries for three days.
const LATEST_MS: i64 = 3 * DAY_MS;

/// Something that happens to the world from outside.
enum Happening {
    Delivery(Task, String),
    /// The operator redrives the DLQs.
    Redrive,
    /// The operator replays every event so far from the archive.
    Replay,
    /// SES takes no more for today.
    QuotaUsedUp,
    /// A new day at SES.
    QuotaRenewed,
    /// Something happened at Stripe, and its API shows it.
    AtStripe(Value),
    /// Stripe's API goes down, or comes back.
    StripeDown(bool),
    /// DynamoDB gets round to deleting what has expired.
    Expire,
}

/// Lives through about `events` events, as the seed has it.
pub fn live(seed: u64, events: usize) -> History {
    fastrand::seed(seed);
    let mut rng = Rng::with_seed(seed);
    let luck = if seed.is_multiple_of(4) { Luck::Throttles } else { Luck::Any };
    let mut delivered = Delivered { tasks: Task::ALL.to_vec(), may_be_unknown: true, ..Delivered::default() };
    let mut agenda: Vec<(i64, Happening)> = Vec::new();
    let mut number = 0;
    while delivered.events.len() < events {
        number += 1;
        for payment in customer(&mut rng, number) {
            for event in payment.at_stripe() {
                agenda.push((occurred_ms(&event), Happening::AtStripe(event)));
            }
            for event in payment.events() {
                let copies = if rng.f64() < 0.1 { vec![twin(&event), event] } else { vec![event] };
                for event in copies {
                    let message = Message::of(&event);
                    schedule(&mut rng, &event, &message.body, &mut agenda);
                    delivered.events.push(message);
                }
            }
            delivered.payments.push(payment);
        }
    }
    for i in 0..events.div_ceil(100) {
        let body = format!("{{\"poison\": {i}, \"of\": \"Zaphod\"");
        agenda.extend(Task::ALL.map(|task| (anytime(&mut rng), Happening::Delivery(task, body.clone()))));
        delivered.poison.push(body);
    }
    agenda.extend((0..4).map(|_| (anytime(&mut rng), Happening::Redrive)));
    agenda.extend((0..8).map(|_| (anytime(&mut rng), Happening::Expire)));
    agenda.push((anytime(&mut rng), Happening::Replay));
    let used_up = anytime(&mut rng);
    agenda.push((used_up, Happening::QuotaUsedUp));
    agenda.push((used_up + rng.i64(0..6 * HOUR_MS), Happening::QuotaRenewed));
    let down = anytime(&mut rng);
    agenda.push((down, Happening::StripeDown(true)));
    agenda.push((down + rng.i64(0..4 * HOUR_MS), Happening::StripeDown(false)));
    agenda.sort_by_key(|(at_ms, _)| *at_ms);

    let calm_from_ms = agenda.last().map_or(0, |(at_ms, _)| *at_ms);
    let director = Chance { rng, luck, calm_from_ms, faults: 0 };
    let mut world = World::new(director);
    world.thanks_renewals = seed.is_multiple_of(2);
    let mut past: Vec<(Task, String)> = Vec::new();
    let mut messages = 0;
    let mut early = Vec::new();
    for (at_ms, happening) in agenda {
        world.run(Some(at_ms));
        match happening {
            Happening::Delivery(task, body) => {
                early.extend(paid_too_early(&world, &past, &body));
                world.send(task, &body);
                messages += 1;
                past.push((task, body));
            }
            Happening::Redrive => redrive(&mut world),
            Happening::Replay => {
                world.log("operator: replays everything so far");
                for (task, body) in &past {
                    world.send(*task, body);
                    messages += 1;
                }
            }
            Happening::QuotaUsedUp => {
                world.log("SES: the daily quota is used up");
                world.cloud.set_mail_quota(Quota { per_day: Some(0), per_second: None });
            }
            Happening::QuotaRenewed => {
                world.log("SES: a new day");
                world.cloud.set_mail_quota(Quota::default());
            }
            Happening::AtStripe(event) => world.cloud.record_at_stripe(&event),
            Happening::StripeDown(is_down) => world.set_stripe_down(is_down),
            Happening::Expire => world.cloud.expire(world.now_ms()),
        }
    }
    world.run(None);
    let mut violations_found = early;
    if luck == Luck::Throttles {
        for task in Task::ALL {
            let letters = world.cloud.messages(&dlq_url(task));
            // What a task parks itself has its reason beside it.
            for letter in letters.iter().filter(|letter| letter.attributes.is_empty()) {
                let message: Value = serde_json::from_str(&letter.body).unwrap_or_default();
                let event = message["detail"]["id"].as_str().unwrap_or("something unreadable");
                violations_found
                    .push(format!("{event} ended in the DLQ of {task:?} because services were busy"));
            }
        }
    }
    redrive(&mut world);
    world.run(None);
    violations_found.extend(violations(&world, &delivered));
    History {
        violations: violations_found,
        script: world.script().to_vec(),
        events: delivered.events.len(),
        messages,
        calls: world.calls(),
        faults: world.director.faults,
    }
}

/// The operator redrives the DLQs.
fn redrive(world: &mut World<Chance>) {
    for task in Task::ALL {
        world.redrive(task);
    }
}

fn occurred_ms(event: &Value) -> i64 {
    event["created"].as_i64().unwrap_or_default() * 1000
}

fn anytime(rng: &mut Rng) -> i64 {
    BEGINNING_MS + rng.i64(0..SEASON_MS + LATEST_MS)
}

/// Stripe reports it at least once, EventBridge hands it to each task at least once, and neither in order.
fn schedule(rng: &mut Rng, event: &Value, body: &str, agenda: &mut Vec<(i64, Happening)>) {
    let occurred_ms = occurred_ms(event);
    let deliveries = if rng.f64() < 0.1 { 2 } else { 1 };
    for _ in 0..deliveries {
        let late_ms = match rng.u32(0..10) {
            0 => rng.i64(0..LATEST_MS),
            1..=3 => rng.i64(0..HOUR_MS),
            _ => rng.i64(0..1000),
        };
        for task in Task::ALL {
            let copies = if rng.f64() < 0.05 { 2 } else { 1 };
            for _ in 0..copies {
                let at_ms = occurred_ms + late_ms + rng.i64(0..2000);
                agenda.push((at_ms, Happening::Delivery(task, body.to_owned())));
            }
        }
    }
}

/// What one customer pays: once, or for a membership that is renewed day by day, so that its events overtake each
/// other.
fn customer(rng: &mut Rng, number: u32) -> Vec<Payment> {
    let first = payment(rng, number);
    if !matches!(first.charge, Charge::First(_)) || !first.fate.is_paid() {
        return vec![first];
    }
    let renewals: Vec<_> = (1..=rng.u32(0..4)).map(|number| first.renewal(number)).collect();
    let renewals = renewals.into_iter().map(|renewal| {
        let amount = rng.i64(3..500) * 10;
        let (refunds, dispute) = returns(rng, amount);
        Payment { amount, refunds, dispute, is_warned_of: rng.u32(0..8) == 0, ..renewal }
    });
    let mut payments: Vec<_> = renewals.collect();
    payments.insert(0, first);
    payments
}

fn charge(rng: &mut Rng, name: &str) -> Charge {
    match rng.u32(0..8) {
        0 => Charge::OnceWithInvoice,
        1 | 2 => Charge::First(Subscription {
            name: name.to_owned(),
            tells_payment_intents: rng.bool(),
            is_marked: rng.bool(),
        }),
        _ => Charge::Once,
    }
}

/// What goes back of a payment.
fn returns(rng: &mut Rng, amount: i64) -> (Vec<Refund>, Option<Dispute>) {
    let refunds = match rng.u32(0..8) {
        0 => vec![Refund { number: 1, amount, fails: rng.bool() }],
        1 => (1..=2).map(|number| Refund { number, amount: amount / 3, fails: rng.bool() }).collect(),
        _ => Vec::new(),
    };
    let disputes = [
        Dispute::Lost,
        Dispute::Won,
        Dispute::Open,
        Dispute::LostAtOnce,
        Dispute::WonAtOnce,
        Dispute::ReturnedInPart(amount / 2),
        Dispute::Blocked,
        Dispute::Resolved,
    ];
    let is_disputed = refunds.is_empty() && rng.u32(0..6) == 0;
    (refunds, is_disputed.then(|| disputes[rng.usize(0..disputes.len())]))
}

fn payment(rng: &mut Rng, number: u32) -> Payment {
    let name = format!("P{number}");
    let charge = charge(rng, &name);
    let amount = rng.i64(3..500) * 10;
    let fate = match rng.u32(0..10) {
        0 => Fate::Free,
        1 | 2 => Fate::PendingThenPaid,
        3 => Fate::PendingThenFailed,
        4 => Fate::Pending,
        5 if !matches!(charge, Charge::First(_)) => {
            Fate::CapturedInPart { reserved: amount + rng.i64(1..500) }
        }
        _ => Fate::Paid,
    };
    let link = match rng.u32(0..12) {
        0 => Link::Strangers,
        1 => Link::Broken,
        2 => Link::OtherMode,
        3..=6 => Link::Download,
        _ => Link::Contribution,
    };
    let amount = if fate == Fate::Free { 0 } else { amount };
    let has_money = fate.is_paid() && amount > 0;
    let (refunds, dispute) = if has_money { returns(rng, amount) } else { Default::default() };
    Payment {
        name,
        charge,
        fate,
        link,
        amount,
        currency: ["gbp", "eur", "jpy", "kwd"][rng.usize(0..4)],
        // Some come again.
        customer: rng.u32(0..=number),
        marketing: [None, Some("yes"), Some("no"), Some("perhaps"), Some("No, never!")][rng.usize(0..5)],
        at: (BEGINNING_MS + rng.i64(0..SEASON_MS)) / 1000,
        refunds,
        dispute,
        is_warned_of: has_money && rng.u32(0..8) == 0,
    }
}

/// Whether anything was done for a payment before any event reported it paid.
fn paid_too_early(world: &World<Chance>, past: &[(Task, String)], body: &str) -> Option<String> {
    let event: Value = serde_json::from_str(body).ok()?;
    let succeeded = "checkout.session.async_payment_succeeded";
    if event["detail-type"] != succeeded || past.iter().any(|(_, earlier)| is_twin(earlier, &event)) {
        return None;
    }
    let session = &event["detail"]["data"]["object"];
    let payment_id = session["payment_intent"].as_str().or_else(|| session["invoice"].as_str())?;
    // A first invoice that is paid says so too.
    let named = format!("\"{payment_id}\"");
    if past.iter().any(|(_, earlier)| earlier.contains("\"invoice.paid\"") && earlier.contains(&named)) {
        return None;
    }
    let done = ["email#thank-you", "acquisition", "consents"].into_iter().find(|effect| {
        let row = world.cloud.row(crate::function::EFFECTS_TABLE, &[payment_id, effect]);
        // A refund may have raised the version already.
        row.is_some_and(|row| !row["state"].is_null())
    })?;
    Some(format!("{done} of {payment_id} was begun before it was paid"))
}

/// Whether a message reports the same change.
fn is_twin(earlier: &str, event: &Value) -> bool {
    let session = event["detail"]["data"]["object"]["id"].as_str().unwrap_or_default();
    earlier.contains("async_payment_succeeded") && earlier.contains(&format!("\"{session}\""))
}

/// Bad luck, as a seed has it.
struct Chance {
    rng: Rng,
    luck: Luck,
    /// When faults stop.
    calm_from_ms: i64,
    faults: u64,
}

impl Director for Chance {
    fn choose(&mut self, steps: &[Step]) -> usize {
        self.rng.usize(0..steps.len())
    }

    fn fault(&mut self, _instance: InstanceId, _call: u32, now_ms: i64) -> Option<Fault> {
        if now_ms >= self.calm_from_ms {
            return None;
        }
        // Every third half hour is a storm.
        let storm = (now_ms / (HOUR_MS / 2)) % 3 == 0;
        if self.rng.f64() >= if storm { 0.5 } else { 0.05 } {
            return None;
        }
        self.faults += 1;
        Some(match self.luck {
            Luck::Any => Fault::ALL[self.rng.usize(0..Fault::ALL.len())],
            Luck::Throttles => [Fault::Throttle, Fault::Refuse][self.rng.usize(0..2)],
        })
    }

    fn batch_size(&mut self, largest: usize) -> usize {
        self.rng.usize(1..=largest)
    }

    fn skew_ms(&mut self) -> i64 {
        self.rng.i64(-crate::ledger::LARGEST_SKEW_MS / 2..=crate::ledger::LARGEST_SKEW_MS / 2)
    }

    fn latency_ms(&mut self) -> i64 {
        self.rng.i64(1..40)
    }
}
