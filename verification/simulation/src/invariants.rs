//! What must be true of a world at rest, whatever happened in it.
//!
//! Long because it is the list of rules, one function each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use aws_in_memory::BusEvent;
use catalogue::Task;
use fulfilment::{
    Consents, Contribution, ExpectedEffects, PaymentEvent, PaymentId, Policy, SessionOutcome,
    SubscriptionContract, SupporterId, SupporterRow, effects,
};
use serde_json::{Value, json};
use stripe_events::Event;
use uuid::Uuid;

use crate::fault::Director;
use crate::function::{
    ACQUISITION_BUS, CONSENTS_TABLE, CONTRIBUTIONS_TABLE, EFFECTS_TABLE, SUPPORTER_NAMESPACE,
    SUPPORTERS_TABLE,
};
use crate::function::{dlq_url, queue_url};
use crate::story::{Charge, Dispute, Fate, Link, Meaning, Message, PERSONAL, Payment};
use crate::world::World;

/// Everything that was delivered to the tasks.
#[derive(Debug, Clone, Default)]
pub struct Delivered {
    /// Whose payments.
    pub payments: Vec<Payment>,
    /// Every event that was delivered at least once, twins included.
    pub events: Vec<Message>,
    /// Bodies that are no events.
    pub poison: Vec<String>,
    /// The tasks that it was delivered to.
    pub tasks: Vec<Task>,
    /// Whether a mail may have become `unknown`: a call died or its answer was lost.
    pub may_be_unknown: bool,
}

impl Delivered {
    /// The key of each payment in the ledger, by its payment intent.
    fn filed_under(&self) -> BTreeMap<String, String> {
        self.payments.iter().map(|payment| (payment.payment_intent(), payment.payment_id())).collect()
    }

    /// The events of payments, each under its key: as the story has it, without looking anything up.
    fn payment_events(&self) -> Vec<PaymentEvent> {
        let contracts: BTreeMap<String, SubscriptionContract> =
            self.payments.iter().filter_map(Payment::contract).collect();
        let keys = self.filed_under();
        let delivered = self.events.iter().filter_map(|event| event.meaning.clone());
        delivered
            .filter_map(|meaning| match meaning {
                Meaning::Payment(event) => {
                    let key = keys.get(event.payment_id().as_str()).map(PaymentId::new);
                    Some(match key {
                        Some(key) => event.of_payment(key),
                        None => *event,
                    })
                }
                Meaning::Invoice(invoice) => {
                    let contract = contracts.get(&invoice.subscription_id)?.clone();
                    invoice.payment(contract).ok().map(PaymentEvent::from)
                }
            })
            .collect()
    }
}

/// The rules that a world at rest breaks, a sentence each. `delivered` is everything that was delivered to it.
///
/// At rest means that faults have stopped, that the DLQs have been redriven once, and that nothing moves any
/// more.
pub fn violations<D: Director>(world: &World<D>, delivered: &Delivered) -> Vec<String> {
    let mut found = Violations(world.broken_rules().to_vec());
    found.0.extend_from_slice(world.asked_again());
    let ledger = Ledger::read(world);
    queues(world, delivered, &mut found);
    no_claim_is_left(&ledger, &mut found);
    nothing_of_strangers_stays(delivered, &ledger, &mut found);
    expected_effects_are_settled(delivered, &ledger, &mut found);
    personal_data(world, &mut found);
    if delivered.tasks.contains(&Task::ThankYouEmail) {
        mails(world, delivered, &ledger, &mut found);
    }
    if delivered.tasks.contains(&Task::AcquisitionEvents) {
        acquisitions(world, delivered, &ledger, &mut found);
    }
    if delivered.tasks.contains(&Task::ContributionRecords) {
        records(world, delivered, &ledger, &mut found);
    }
    if delivered.tasks.contains(&Task::SoftOptIns) {
        consents(world, delivered, &ledger, &mut found);
    }
    found.0
}

struct Violations(Vec<String>);

impl Violations {
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }
}

/// The ledger, by payment and effect.
struct Ledger(BTreeMap<(String, String), Value>);

impl Ledger {
    fn read<D: Director>(world: &World<D>) -> Self {
        let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let rows = world.cloud.rows(EFFECTS_TABLE).into_iter();
        Self(rows.map(|row| ((text(&row, "payment_id"), text(&row, "effect")), row)).collect())
    }

    /// State and reason; empty where there is no row.
    fn state(&self, payment_id: &str, effect: &str) -> (&str, &str) {
        let row = self.0.get(&(payment_id.to_owned(), effect.to_owned()));
        let text = |field: &str| row.and_then(|row| row[field].as_str()).unwrap_or_default();
        (text("state"), text("reason"))
    }

    fn effects_of<'a>(&'a self, payment_id: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0
            .iter()
            .filter(move |((of, _), _)| of == payment_id)
            .map(|((_, effect), row)| (effect.as_str(), row))
    }
}

/// Nothing accepted is lost: it left the queue by being handled, or it lies in the DLQ with all it carried.
fn queues<D: Director>(world: &World<D>, delivered: &Delivered, found: &mut Violations) {
    for task in Task::ALL {
        let waiting = world.cloud.messages(&queue_url(task)).len();
        found.unless(waiting == 0, || format!("{waiting} messages of {} never came to an end", task.name()));
        let mut poison: BTreeSet<_> = delivered.poison.iter().map(String::as_str).collect();
        for letter in world.cloud.messages(&dlq_url(task)) {
            let attribute = |name: &str| {
                letter
                    .attributes
                    .get(name)
                    .map(|attribute| attribute.string_value.as_str())
                    .unwrap_or_default()
            };
            let reason = attribute("reason");
            poison.remove(letter.body.as_str());
            let known = delivered.poison.contains(&letter.body)
                || delivered.events.iter().any(|event| letter.body == event.body);
            found.unless(known, || format!("the DLQ of {} holds what nobody sent", task.name()));
            let right = ["undecodable_event", "broken_link_contract", TOO_MANY_MAILS];
            found.unless(right.contains(&reason), || {
                format!(
                    "a message of {} ended in the DLQ ({reason:?}) though nothing is wrong with it",
                    task.name()
                )
            });
        }
        if delivered.tasks.contains(&task) {
            found.unless(poison.is_empty(), || format!("{} lost a message it cannot read", task.name()));
        }
    }
}

/// Once faults stop everything settles, and no claim outlives its lease. No question to Stripe is still to be tried: it
/// was answered, or became needless.
fn no_claim_is_left(ledger: &Ledger, found: &mut Violations) {
    for ((payment, effect), row) in &ledger.0 {
        // A question's claim that was taken late goes away by itself.
        let goes_away = effect == "lookup" && row["state"] == "claimed" && row["expires_at"].is_i64();
        found.unless(goes_away || row["state"] != "claimed", || {
            format!("{effect} of {payment} is claimed for ever")
        });
        let is_asked = effect != "lookup" || row["state"] == "done" || goes_away;
        found.unless(is_asked, || format!("{effect} of {payment} is open for ever: {row}"));
    }
}

/// Every effect that a session is expected to have is settled, whichever task it belongs to.
fn expected_effects_are_settled(delivered: &Delivered, ledger: &Ledger, found: &mut Violations) {
    let filed_under = delivered.filed_under();
    let events = delivered.events.iter().filter_map(|message| Event::from_json(message.body.as_bytes()).ok());
    let expected = events.filter_map(|event| ExpectedEffects::from_event(&event, false, &POLICY));
    for ExpectedEffects { payment_id, effects, .. } in expected.filter(|expected| expected.outcome.is_some())
    {
        let payment_id = filed_under.get(payment_id.as_str()).map_or(payment_id.as_str(), String::as_str);
        for effect in effects {
            let is_delivered = |task| delivered.tasks.contains(&task);
            let (state, _) = ledger.state(payment_id, effect.as_str());
            let is_settled = ["done", "skipped", "parked", "unknown"].contains(&state);
            found.unless(is_settled || !Task::of_effect(&effect).is_some_and(is_delivered), || {
                format!("{effect} of {payment_id} is expected and not settled: {state:?}")
            });
        }
    }
}

/// Rows of another business's payment expire by themselves.
fn nothing_of_strangers_stays(delivered: &Delivered, ledger: &Ledger, found: &mut Violations) {
    for payment in delivered.payments.iter().filter(|payment| payment.link == Link::Strangers) {
        for id in payment.ids() {
            for (effect, row) in ledger.effects_of(&id) {
                found.unless(row["expires_at"].is_i64(), || format!("{effect} of {id} stays: {row}"));
            }
        }
    }
}

/// Personal data is where it belongs and nowhere else.
fn personal_data<D: Director>(world: &World<D>, found: &mut Violations) {
    let marker = PERSONAL.to_lowercase();
    let mut places = vec![("a log line", world.logs()), ("a metric", world.metrics())];
    places.extend(world.cloud.rows(EFFECTS_TABLE).iter().map(|row| ("the ledger", row.to_string())));
    for mail in world.cloud.mails() {
        places.push(("a mail's tag", format!("{:?}", mail.tags)));
    }
    for event in world.cloud.events(ACQUISITION_BUS) {
        places.push(("an acquisition event", event.detail.to_string()));
    }
    for task in Task::ALL {
        for letter in world.cloud.messages(&dlq_url(task)) {
            places.push(("a DLQ's attribute", format!("{:?}", letter.attributes)));
        }
    }
    for (place, text) in places {
        let text = text.to_lowercase();
        found.unless(!text.contains(&marker), || format!("personal data in {place}: {text}"));
    }
}

/// At most one accepted mail for each payment and occasion, none without reason, and the ledger is true.
fn mails<D: Director>(world: &World<D>, delivered: &Delivered, ledger: &Ledger, found: &mut Violations) {
    let mut accepted: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for mail in world.cloud.mails() {
        let tag = |name: &str| mail.tags.get(name).cloned().unwrap_or_default();
        accepted.entry((tag("payment"), tag("effect"))).or_default().extend(mail.to);
    }
    for payment in &delivered.payments {
        let id = payment.payment_id();
        let due = due_mails(payment, world.thanks_renewals);
        for occasion in ["thank-you", "payment-pending", "payment-failed"] {
            let effect = format!("email#{occasion}");
            let sent = accepted.remove(&(id.clone(), format!("email-{occasion}"))).unwrap_or_default();
            let (state, reason) = ledger.state(&id, &effect);
            let told_so =
                || format!("{effect} of {id}: {} accepted, the ledger says {state:?} {reason:?}", sent.len());
            found.unless(sent.iter().all(|to| *to == payment.email()), || {
                format!("{effect} of {id} went to somebody else")
            });
            let plausible = match state {
                "done" => sent.len() == 1,
                "unknown" => sent.len() <= 1 && delivered.may_be_unknown,
                _ => sent.is_empty(),
            };
            found.unless(plausible, told_so);
            let expected = match (due.contains(&occasion), state, reason) {
                (false, "", _) => true,
                (false, "parked", "broken_link_contract") => payment.link == Link::Broken,
                (false, "skipped", "renewals_not_thanked") => {
                    occasion == "thank-you" && !payment.has_session() && world.thanks_renewals
                }
                (true, "done" | "unknown", _) => true,
                (true, "parked", TOO_MANY_MAILS) => {
                    free_mails_to(payment, delivered, world.thanks_renewals) > FREE_MAILS_A_DAY
                }
                (true, "skipped", "overtaken") => occasion == "payment-pending",
                (true, "skipped", "refunded") => {
                    payment.refunds.iter().map(|r| r.amount).sum::<i64>() >= payment.amount
                }
                _ => false,
            };
            found.unless(expected, || format!("not as it should end: {}", told_so()));
        }
    }
    for (id, refunded) in world.thanked() {
        let payment = delivered.payments.iter().find(|payment| payment.payment_id() == *id);
        let given_back = payment.is_some_and(|payment| *refunded > 0 && *refunded >= payment.amount);
        found.unless(!given_back, || format!("{id} is thanked for although the ledger has it as refunded"));
    }
    found.unless(accepted.is_empty(), || format!("mails nobody is to have: {:?}", accepted.keys()));
}

/// Why a mail is parked that costs nothing, when its address has had its mails of the day.
const TOO_MANY_MAILS: &str = "too_many_to_one_address";

/// As in `policy.toml`.
const FREE_MAILS_A_DAY: usize = 5;

/// How many mails a payment's customer is due that cost nothing.
fn free_mails_to(payment: &Payment, delivered: &Delivered, thanks_renewals: bool) -> usize {
    let of_customer = delivered.payments.iter().filter(|other| other.email() == payment.email());
    let is_free = |other: &Payment, occasion: &str| occasion != "thank-you" || other.amount == 0;
    of_customer
        .map(|other| {
            due_mails(other, thanks_renewals).iter().filter(|occasion| is_free(other, occasion)).count()
        })
        .sum()
}

/// Whether the kind of what it sells is the one whose renewals may be thanked for.
fn is_membership(payment: &Payment) -> bool {
    payment.link == Link::Contribution && payment.subscription().is_some()
}

fn due_mails(payment: &Payment, thanks_renewals: bool) -> Vec<&'static str> {
    match payment.fate {
        _ if !payment.is_ours() => Vec::new(),
        // A renewal is thanked for only where the policy says so.
        _ if !(payment.has_session() || thanks_renewals && is_membership(payment)) => Vec::new(),
        Fate::Paid | Fate::Free => vec!["thank-you"],
        Fate::PendingThenPaid | Fate::CapturedInPart { .. } => vec!["payment-pending", "thank-you"],
        Fate::PendingThenFailed => vec!["payment-pending", "payment-failed"],
        Fate::Pending => vec!["payment-pending"],
    }
}

/// What analysts add up is the money kept, and `done` means that an entry was taken.
fn acquisitions<D: Director>(
    world: &World<D>,
    delivered: &Delivered,
    ledger: &Ledger,
    found: &mut Violations,
) {
    let mut published: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for BusEvent { detail, .. } in world.cloud.events(ACQUISITION_BUS) {
        let text = |field: &str| detail[field].as_str().unwrap_or_default().to_owned();
        let of_payment = published.entry(text("payment_id")).or_default();
        let content = content(&detail);
        if let Some(other) = of_payment.insert(text("event_id"), content.clone()) {
            found.unless(other == content, || format!("one event id, two contents: {other} and {content}"));
        }
    }
    for payment in &delivered.payments {
        let id = payment.payment_id();
        let events = published.remove(&id).unwrap_or_default();
        if !payment.gets_paid() {
            found.unless(events.is_empty(), || format!("{id} was published without payment"));
            continue;
        }
        let done = ledger
            .effects_of(&id)
            .filter(|(effect, row)| effect.starts_with("acquisition") && row["state"] == "done");
        let done = done.count();
        found.unless(done == events.len(), || {
            format!("{id}: {done} publications are done, {} were taken", events.len())
        });
        let acquired: Vec<_> = events
            .values()
            .filter(|event| event["kind"] == "acquisition")
            .map(|event| &event["amount"])
            .collect();
        found.unless(acquired.len() == 1 && *acquired[0] == payment.amount, || {
            format!("{id}: acquired {acquired:?}, and {} was paid, once", payment.amount)
        });
        let due = if payment.subscription().is_some() { "MONTHLY" } else { "ONE_OFF" };
        let acquisitions = events.values().filter(|event| event["kind"] == "acquisition");
        for event in acquisitions.filter(|event| event["payment_frequency"] != due) {
            found.0.push(format!("{id} is due {due}, and was published otherwise: {event}"));
        }
        let sum: i64 = events.values().filter_map(|event| event["amount"].as_i64()).sum();
        found.unless(sum == payment.kept(), || {
            format!("{id}: analysts add up {sum}, {} is kept", payment.kept())
        });
        let (state, reason) = ledger.state(&id, "acquisition");
        found.unless(state == "done", || format!("acquisition of {id} ended as {state:?} {reason:?}"));
    }
    found.unless(published.is_empty(), || format!("published for nobody: {:?}", published.keys()));
}

/// What an acquisition event says each time it is published. Which of two events reports money that came back, and so
/// when it did, depends on which comes first.
fn content(detail: &Value) -> Value {
    let mut content = detail.clone();
    if let Some(fields) = content.as_object_mut() {
        // When this copy was published.
        fields.remove("published_at");
        if detail["kind"] == "reinstatement" {
            fields.remove("occurred_at");
        }
    }
    content
}

/// Records are the fold of the set of events.
fn records<D: Director>(world: &World<D>, delivered: &Delivered, ledger: &Ledger, found: &mut Violations) {
    let mut rows: BTreeMap<String, Value> = BTreeMap::new();
    for row in world.cloud.rows(CONTRIBUTIONS_TABLE) {
        rows.insert(row["payment_id"].as_str().unwrap_or_default().to_owned(), row);
    }
    let mut supporters: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in world.cloud.rows(SUPPORTERS_TABLE) {
        supporters.entry(row["payment_id"].as_str().unwrap_or_default().to_owned()).or_default().push(row);
    }
    let mut expected: BTreeMap<String, Contribution> = BTreeMap::new();
    let mut effects = BTreeSet::new();
    for event in delivered.payment_events() {
        let id = event.payment_id().to_string();
        effects.insert((id.clone(), contribution_effect(&event)));
        let before = expected.remove(&id).unwrap_or_else(|| Contribution::new(PaymentId::new(&id)));
        expected.insert(id, before.with_event(&event, &namespace()));
    }
    for (id, effect) in effects {
        let (state, reason) = ledger.state(&id, &effect);
        found.unless(state == "done", || format!("{effect} of {id} ended as {state:?} {reason:?}"));
    }
    for (id, contribution) in expected {
        let Some(mut row) = rows.remove(&id) else {
            found.0.push(format!("{id} has no record"));
            continue;
        };
        let supporter = SupporterRow::of(&contribution, &POLICY).map(|row| json!(row));
        let kept = supporters.remove(&id).unwrap_or_default();
        found.unless(kept == supporter.clone().into_iter().collect::<Vec<_>>(), || {
            format!("{id}: the supporter's rows are {kept:?}, not {supporter:?}")
        });
        if let Some(row) = row.as_object_mut() {
            for derived in ["status", "expires_at", "revision"] {
                row.remove(derived);
            }
        }
        let fold = json!(contribution);
        found.unless(row == fold, || format!("{id}: the record is {row}, the fold of its events {fold}"));
    }
    found.unless(rows.is_empty(), || format!("records of nothing: {:?}", rows.keys()));
    found.unless(supporters.is_empty(), || format!("supporters of nothing: {:?}", supporters.keys()));
    // What follows from the story alone, without our own fold.
    for payment in delivered.payments.iter().filter(|payment| payment.is_ours()) {
        let id = payment.payment_id();
        let row = world.cloud.row(CONTRIBUTIONS_TABLE, &[&id]).unwrap_or_default();
        let status = status(payment);
        found.unless(row["status"] == status, || {
            format!("{id} is {}, though the story says {status}", row["status"])
        });
        if payment.gets_paid() {
            found.unless(row["amount"] == payment.amount, || {
                format!("{id} is booked with {}, though {} was paid", row["amount"], payment.amount)
            });
        }
        let is_renewal = matches!(payment.charge, Charge::Renewal(_));
        found.unless(!is_renewal || row["invoice"]["renewal"] == true, || {
            format!("{id} is a renewal, and its record does not say so: {row}")
        });
    }
}

fn status(payment: &Payment) -> &'static str {
    let given_back: i64 =
        payment.refunds.iter().filter(|refund| !refund.fails).map(|refund| refund.amount).sum();
    // What a bank keeps of a payment counts as if it had been given back.
    let refunded = match payment.dispute {
        Some(Dispute::ReturnedInPart(returned)) => payment.amount - returned,
        _ => given_back,
    };
    match (payment.fate, payment.dispute) {
        (Fate::Pending, _) => "pending",
        (Fate::PendingThenFailed, _) => "failed",
        (_, Some(Dispute::Lost | Dispute::LostAtOnce | Dispute::Resolved)) => "lost",
        (_, Some(Dispute::Open)) => "disputed",
        _ if refunded > 0 && refunded >= payment.amount => "refunded",
        _ if refunded > 0 => "part_refunded",
        _ => "paid",
    }
}

/// Answers count from the moment they are given and soft opt-ins from payments, and the strongest answer stands
/// whatever came first.
fn consents<D: Director>(world: &World<D>, delivered: &Delivered, ledger: &Ledger, found: &mut Violations) {
    let mut expected: BTreeMap<(String, String), Value> = BTreeMap::new();
    let mut owed = BTreeMap::new();
    for event in delivered.payment_events() {
        let PaymentEvent::Session(event) = &event else { continue };
        let effect = match event.outcome {
            SessionOutcome::Paid => "consents",
            SessionOutcome::Pending if event.consent_form.is_answered() => "consents#answers",
            SessionOutcome::Pending | SessionOutcome::Failed => continue,
        };
        let Some(email) = &event.email else { continue };
        let supporter_id = SupporterId::of_email(&namespace(), email.expose());
        let consents = Consents::of(event, &POLICY, &supporter_id);
        owed.insert((event.payment_id.to_string(), effect), consents.is_empty());
        for state in &consents.states {
            let key = (supporter_id.as_str().to_owned(), state.record.clone());
            let state = json!(state);
            let stronger =
                expected.get(&key).is_none_or(|known| known["rank"].as_str() < state["rank"].as_str());
            if stronger {
                expected.insert(key, state);
            }
        }
    }
    let mut states = BTreeMap::new();
    for row in world.cloud.rows(CONSENTS_TABLE) {
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        if row["rank"].is_string() {
            states.insert((text("supporter_id"), text("record")), row.clone());
        }
    }
    found.unless(states == expected, || {
        format!("consents are {states:?}, the strongest answers {expected:?}")
    });
    for payment in &delivered.payments {
        let id = payment.payment_id();
        for effect in ["consents", "consents#answers"] {
            let (state, reason) = ledger.state(&id, effect);
            let as_told = match owed.get(&(id.clone(), effect)) {
                Some(true) => (state, reason) == ("skipped", "nothing_to_record"),
                Some(false) => state == "done",
                None => state.is_empty() || (payment.link == Link::Broken && state == "parked"),
            };
            found.unless(as_told, || format!("{effect} of {id} ended as {state:?} {reason:?}"));
        }
    }
}

fn contribution_effect(event: &PaymentEvent) -> String {
    match event {
        PaymentEvent::Refund(refund) => format!("contribution#refund#{}", refund.refund_id),
        PaymentEvent::Dispute(dispute) => {
            effects::contribution_dispute_status(&dispute.dispute_id, dispute.status).to_string()
        }
        PaymentEvent::FraudWarning(warning) => format!("contribution#fraud-warning#{}", warning.warning_id),
        PaymentEvent::Invoice(payment) if payment.invoice.is_first => "contribution#term".to_owned(),
        PaymentEvent::Invoice(_) => "contribution#paid".to_owned(),
        PaymentEvent::Session(session) => match session.outcome {
            SessionOutcome::Paid => "contribution#paid".to_owned(),
            SessionOutcome::Pending => "contribution#pending".to_owned(),
            SessionOutcome::Failed => "contribution#failed".to_owned(),
        },
    }
}

fn namespace() -> Uuid {
    Uuid::parse_str(SUPPORTER_NAMESPACE).unwrap_or_default()
}

#[expect(clippy::expect_used, reason = "the policy is checked by its own tests")]
static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::compiled_in().expect("the policy can be read"));
