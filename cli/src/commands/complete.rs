//! Makes up for the payments over a link whose metadata was wrong.
//!
//! Long because the plan, the report and the deed share what they look at.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use catalogue::Task;
use clap::Args;
use effect_ledger::{Effect, EffectKey, EffectRow, EffectState, History, Verb};
use fulfilment::{
    ExpectedEffects, FulfilmentKind, LinkContract, NotReadable, PaymentId, Policy, SessionEvent,
    SessionOutcome, effects,
};
use serde::Serialize;
use stripe_client::{PaymentLink, Request, StripeClient};
use stripe_events::Event;

use crate::contract::{completed_as, contract_of, remembered_kind};
use crate::deployment::Deployment;
use crate::operator::{Acting, Operator};
use crate::page::{Cell, Page, Report, Verdict, count};
use crate::payments::{self, PAYMENT};
use crate::progress::Progress;
use crate::queues::{self, DeadLetter, delete, payment_link_of, release, take};
use crate::stripe::{self, Found};

/// Completes payments over a link whose `fulfilment` was mistyped, as if it had been right.
///
/// A session keeps the metadata that its link had, so correcting the link helps only the next customer. This delivers
/// the events of those who paid already once more, with the right kind, to every task that still has something to do.
/// The kind is the one given, else the one of an earlier completion, else what the link says now.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  afterlink --stage live complete pi_3Q9… --as contribution --because 'typed donation' --yes\n  \
                  afterlink --stage live complete --link plink_1Q9… --because 'the link is corrected' --yes"
)]
pub(crate) struct Arguments {
    #[arg(required_unless_present = "link", conflicts_with = "link", help = PAYMENT)]
    payment: Option<String>,
    /// Every payment over this Payment Link: plink_…
    #[arg(long, value_name = "PLINK")]
    link: Option<String>,
    /// The kind of product: contribution, download or membership
    #[arg(long = "as", value_name = "KIND", value_parser = kind_from)]
    kind: Option<FulfilmentKind>,
    #[command(flatten)]
    acting: Acting,
}

fn kind_from(typed: &str) -> Result<FulfilmentKind, String> {
    FulfilmentKind::from_typed(typed).ok_or_else(|| {
        let kinds = FulfilmentKind::ALL.map(FulfilmentKind::as_str);
        format!("it must be one of {}", kinds.join(", "))
    })
}

/// The reason under which tasks park what a broken contract keeps from being done.
const BROKEN_CONTRACT: &str = "broken_link_contract";

#[derive(Serialize)]
pub(crate) struct Completed {
    /// Whether the events were delivered, or would have been.
    acted: bool,
    payments: Vec<Payment>,
    /// Payments that this cannot complete, and why.
    problems: Vec<Problem>,
}

/// A payment that is completed.
#[derive(Serialize)]
struct Payment {
    payment_id: String,
    kind: FulfilmentKind,
    /// The steps that are left for it.
    effects: Vec<String>,
    events: Vec<String>,
    /// How many of its messages leave the dead-letter queues.
    dead_letters: usize,
}

#[derive(Serialize)]
struct Problem {
    payment_id: String,
    problem: String,
}

/// Which payments an operator means.
enum Scope {
    Payment(PaymentId),
    Link(String),
}

impl Scope {
    fn includes(&self, message: &DeadLetter) -> bool {
        message.reason() == BROKEN_CONTRACT
            && match self {
                Self::Payment(payment_id) => message.payment_id.as_ref() == Some(payment_id),
                Self::Link(link) => message.payment_link.as_ref() == Some(link),
            }
    }
}

/// The state of one payment.
#[derive(Default)]
struct Waiting {
    events: BTreeMap<String, Found>,
    letters: Vec<(Task, DeadLetter)>,
}

/// The plan for one payment.
struct Plan {
    kind: FulfilmentKind,
    /// Each event, and the effects it is delivered for.
    deliveries: Vec<(Found, Vec<Effect>)>,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Completed> {
    let operator = arguments.acting.operator(deployment, now).await?;
    let scope = match (&arguments.payment, &arguments.link) {
        (Some(payment), _) => Scope::Payment(payments::one(deployment, payment).await?),
        (None, Some(link)) => Scope::Link(link.clone()),
        (None, None) => bail!("say which payment, or which --link"),
    };
    complete(deployment, &scope, arguments.kind, operator.as_ref(), now).await
}

/// Completes what is meant if there is an operator to write it down for; else says what would be done.
async fn complete(
    deployment: &Deployment,
    scope: &Scope,
    kind: Option<FulfilmentKind>,
    operator: Option<&Operator>,
    now: i64,
) -> Result<Completed> {
    let progress = Progress::new();
    let mut run = Run { deployment, now, client: None, kinds: BTreeMap::new() };
    let mut waiting = run.dead_letters(scope, &progress).await?;
    match scope {
        Scope::Payment(payment_id) => {
            waiting.entry(payment_id.clone()).or_default();
        }
        Scope::Link(link) => {
            for payment_id in run.payments_over(link).await? {
                waiting.entry(payment_id).or_default();
            }
        }
    }
    let mut completed = Completed { acted: operator.is_some(), payments: Vec::new(), problems: Vec::new() };
    let payments = waiting.len();
    for (place, (payment_id, mut found)) in waiting.into_iter().enumerate() {
        progress.say(format_args!("{place} of {payments} payments looked at"));
        match run.plan(&payment_id, &mut found, kind).await? {
            Ok(None) => {}
            Ok(Some(plan)) => {
                if let Some(operator) = operator {
                    run.deliver(operator, &payment_id, &plan, &found.letters).await?;
                }
                completed.payments.extend(Payment::of(&payment_id, &plan, &found.letters));
            }
            Err(problem) => {
                let payment_id = payment_id.to_string();
                completed.problems.push(Problem { payment_id, problem });
            }
        }
        if operator.is_none() {
            run.let_go(&found.letters).await?;
        }
    }
    Ok(completed)
}

/// One run of the command.
struct Run<'a> {
    deployment: &'a Deployment,
    now: i64,
    /// Made when Stripe is first asked.
    client: Option<StripeClient>,
    /// What links say now.
    kinds: BTreeMap<String, Option<FulfilmentKind>>,
}

impl Run<'_> {
    async fn stripe(&mut self) -> Result<&StripeClient> {
        if self.client.is_none() {
            self.client = Some(stripe::client(self.deployment, stripe::LONG_BUDGET).await?);
        }
        self.client.as_ref().context("no client of Stripe's API")
    }

    /// The messages of the payments in the dead-letter queues, by payment, and the events in them.
    async fn dead_letters(&self, scope: &Scope, progress: &Progress) -> Result<BTreeMap<PaymentId, Waiting>> {
        let sqs = aws_sdk_sqs::Client::new(&self.deployment.sdk);
        let mut waiting: BTreeMap<PaymentId, Waiting> = BTreeMap::new();
        for task in Task::ALL {
            progress.say(format_args!("Reading the dead-letter queue of {}", task.name()));
            for message in
                take(&sqs, self.deployment.dlq_url(task)?, |message| scope.includes(message)).await?
            {
                let Some(payment_id) = message.payment_id.clone() else { continue };
                let found = Found::of_message(&message.body)?;
                let waiting = waiting.entry(payment_id).or_default();
                waiting.events.insert(found.event.id().to_owned(), found);
                waiting.letters.push((task, message));
            }
        }
        Ok(waiting)
    }

    /// The payments of the finished sessions of a link whose contract cannot be read, or that have none.
    async fn payments_over(&mut self, link: &str) -> Result<BTreeSet<PaymentId>> {
        let request = Request::completed_sessions().of_payment_link(link);
        let sessions = self.stripe().await?.all(request).await?;
        let mut payments = BTreeSet::new();
        for session in sessions {
            let session = session.session()?;
            if !matches!(LinkContract::from_metadata(&session.metadata), Ok(Some(_))) {
                payments.insert(PaymentId::of_session(&session));
            }
        }
        Ok(payments)
    }

    /// The plan for a payment, none where nothing waits, or the reason against it.
    async fn plan(
        &mut self,
        payment_id: &PaymentId,
        found: &mut Waiting,
        kind: Option<FulfilmentKind>,
    ) -> Result<Result<Option<Plan>, String>> {
        let history = self.deployment.ledger()?.history(payment_id).await?;
        self.find_events(payment_id, &history, found).await?;
        if found.events.is_empty() {
            return Ok(Ok(None));
        }
        let Some(kind) = self.kind(found, &history, kind).await? else {
            return Ok(Err("its link does not say a kind: give one with --as".to_owned()));
        };
        let livemode = self.deployment.livemode()?;
        let mut deliveries = Vec::new();
        for event in found.events.values() {
            let event = event.corrected(Some(contract_of(kind)));
            match open_effects(&event.event, &history.effects, livemode, self.now) {
                Ok(effects) if effects.is_empty() => {}
                Ok(effects) => deliveries.push((event, effects)),
                Err(problem) => return Ok(Err(problem)),
            }
        }
        Ok(Ok(Some(Plan { kind, deliveries })))
    }

    /// The events that the payment's parked effects are about, from the nearest place that has them. Of a payment that
    /// no task has seen, what its session amounts to.
    async fn find_events(
        &mut self,
        payment_id: &PaymentId,
        history: &History,
        found: &mut Waiting,
    ) -> Result<()> {
        let livemode = self.deployment.livemode()?;
        let parked = history.effects.iter().filter(|row| is_broken(&row.state));
        let ids: BTreeSet<String> = parked.filter_map(|row| row.event_id.clone()).collect();
        for id in ids {
            if found.events.contains_key(&id) {
                continue;
            }
            if let Some(event) = stripe::event(self.stripe().await?, &id).await? {
                found.events.insert(id, event);
            }
        }
        let is_parked = history.effects.iter().any(|row| is_broken(&row.state));
        if found.events.is_empty() && (is_parked || history.effects.is_empty()) {
            let effect = effects::contribution(SessionOutcome::Paid);
            let key = EffectKey::new(payment_id, effect);
            let made = stripe::event_again(self.stripe().await?, &key, livemode).await?;
            found.events.insert(made.event.id().to_owned(), made);
        }
        Ok(())
    }

    /// The kind an operator gives, or gave before, or the link has now.
    async fn kind(
        &mut self,
        found: &Waiting,
        history: &History,
        given: Option<FulfilmentKind>,
    ) -> Result<Option<FulfilmentKind>> {
        if let Some(kind) = given.or_else(|| remembered_kind(history)) {
            return Ok(Some(kind));
        }
        let Some(link) = found.events.values().find_map(|found| payment_link_of(&found.event)) else {
            return Ok(None);
        };
        if let Some(kind) = self.kinds.get(link) {
            return Ok(*kind);
        }
        let object = self.stripe().await?.one(&Request::payment_link(link)).await?;
        let metadata = object.read::<PaymentLink>()?.metadata;
        let kind = LinkContract::from_metadata(&metadata).ok().flatten().map(|contract| contract.kind);
        self.kinds.insert(link.to_owned(), kind);
        Ok(kind)
    }

    /// Writes it down, delivers the events to the tasks, and takes the messages that it makes up for out of the
    /// dead-letter queues. If it ends in between, running it again does the rest: the ledger drops effects that are
    /// done.
    async fn deliver(
        &self,
        operator: &Operator,
        payment_id: &PaymentId,
        plan: &Plan,
        letters: &[(Task, DeadLetter)],
    ) -> Result<()> {
        let sqs = aws_sdk_sqs::Client::new(&self.deployment.sdk);
        if !plan.deliveries.is_empty() {
            let events: Vec<_> = plan.deliveries.iter().map(|(event, _)| event.event.id()).collect();
            let before = format!("{BROKEN_CONTRACT}, {}", events.join(", "));
            let action = operator.action(Verb::Complete, None, before, completed_as(plan.kind));
            self.deployment.ledger()?.record_alone(payment_id, &action).await?;
        }
        for (event, effects) in &plan.deliveries {
            let body = event.message()?;
            for task in effects.iter().filter_map(Task::of_effect).collect::<BTreeSet<_>>() {
                queues::send(&sqs, self.deployment.queue_url(task)?, &body).await?;
            }
        }
        for (task, message) in letters {
            delete(&sqs, message, self.deployment.dlq_url(*task)?).await?;
        }
        Ok(())
    }

    async fn let_go(&self, letters: &[(Task, DeadLetter)]) -> Result<()> {
        let sqs = aws_sdk_sqs::Client::new(&self.deployment.sdk);
        for (task, message) in letters {
            release(&sqs, self.deployment.dlq_url(*task)?, std::slice::from_ref(message)).await;
        }
        Ok(())
    }
}

fn is_broken(state: &EffectState) -> bool {
    matches!(state, EffectState::Parked { reason } if reason == BROKEN_CONTRACT)
}

/// What a corrected event calls for that is neither done nor decided, nor being done just now.
///
/// # Errors
///
/// When something else is wrong with the event, in a sentence.
fn open_effects(event: &Event, rows: &[EffectRow], livemode: bool, now: i64) -> Result<Vec<Effect>, String> {
    match SessionEvent::from_event(event, livemode) {
        Ok(_) => {}
        Err(NotReadable::Skip(reason)) => return Err(reason.to_string()),
        Err(NotReadable::Broken { broken, .. }) => return Err(broken.to_string()),
    }
    let is_open = |effect: &Effect| match rows.iter().find(|row| row.effect == *effect).map(|row| &row.state)
    {
        Some(EffectState::Done | EffectState::Skipped { .. } | EffectState::Unknown { .. }) => false,
        Some(EffectState::Claimed(claim)) => claim.lease_until < now,
        Some(EffectState::Retry { .. } | EffectState::Parked { .. }) | None => true,
    };
    let policy = Policy::compiled_in().map_err(|error| error.to_string())?;
    let expected = ExpectedEffects::from_event(event, livemode, &policy).map(|expected| expected.effects);
    Ok(expected.unwrap_or_default().into_iter().filter(is_open).collect())
}

impl Payment {
    /// A payment for which something is done; none where nothing is left to do.
    fn of(payment_id: &PaymentId, plan: &Plan, letters: &[(Task, DeadLetter)]) -> Option<Self> {
        if plan.deliveries.is_empty() && letters.is_empty() {
            return None;
        }
        let effects: BTreeSet<_> = plan.deliveries.iter().flat_map(|(_, effects)| effects).collect();
        Some(Self {
            payment_id: payment_id.to_string(),
            kind: plan.kind,
            effects: effects.into_iter().map(ToString::to_string).collect(),
            events: plan.deliveries.iter().map(|(event, _)| event.event.id().to_owned()).collect(),
            dead_letters: letters.len(),
        })
    }
}

impl Report for Completed {
    fn print(&self, page: &mut Page) {
        if self.payments.is_empty() && self.problems.is_empty() {
            page.line("Nothing waits for a right contract.");
            return;
        }
        let rows: Vec<_> = self
            .payments
            .iter()
            .map(|payment| {
                vec![
                    Cell::new(&payment.payment_id),
                    Cell::new(payment.kind),
                    Cell::new(payment.effects.join(", ")),
                    Cell::new(payment.dead_letters),
                ]
            })
            .collect();
        if !rows.is_empty() {
            page.table(&["payment", "completed as", "what is done", "out of DLQs"], &rows);
            let payments = count(self.payments.len(), "payment");
            page.line(if self.acted {
                format!("\n{payments} completed: the tasks have their events, with the right kind.")
            } else {
                format!("\nA dry run: {payments} would be completed. With --yes they are.")
            });
        }
        for Problem { payment_id, problem } in &self.problems {
            page.line(format_args!("{payment_id} cannot be completed: {problem}"));
        }
    }

    fn verdict(&self) -> Verdict {
        let waits = !self.acted && !self.payments.is_empty();
        Verdict::needs_you_if(waits || !self.problems.is_empty())
    }
}

#[cfg(test)]
mod tests;
