//! What happened to a payment, from Stripe, the ledger and the records, in order.
//!
//! Long because it has a sentence for each kind of event, effect and state.

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use catalogue::Task;
use clap::Args;
use download_claims::Downloads;
use effect_ledger::{Effect, History, OperatorAction};
use fulfilment::{
    Answer, Basis, Contribution, ContributionStatus, Currency, Evidence, FraudWarningFacts, Money, PaymentId,
    Policy, SessionOutcome, SupporterId, effects,
};
use serde::Serialize;

use self::unseen::{never_came, seen_at_stripe};
use crate::deployment::Deployment;
use crate::page::{BAD, BOLD, Cell, DIM, Page, Report, Time, Verdict};
use crate::payments::{self, NotFound, PAYMENT, query};
use crate::privacy::Privacy;
use crate::progress::Progress;
use crate::purchase::downloads;
use crate::queues::depth;
use crate::reason::{self, Advice};

/// Reports the whole history of a payment in order, or of every payment of a supporter.
///
/// What came in, each effect and where it stands and why, the records, the consents, refunds, disputes and warnings of
/// fraud, and what operators did. A subscription (sub_…), a customer (cus_…) and an email address have all their
/// payments explained. Reads by keys only, so it takes as long with a hundred thousand payments as with a hundred;
/// Stripe is asked which payment another id belongs to, and what it has before it is said that nothing came.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  afterlink --stage live explain pi_3Q9…\n  \
                        echo ada@example.org | afterlink --stage live explain -")]
pub(crate) struct Arguments {
    #[arg(value_name = "ID", help = PAYMENT)]
    id: String,
}

#[derive(Serialize)]
pub(crate) struct Explanation {
    payments: Vec<Payment>,
}

/// One payment.
#[derive(Serialize)]
struct Payment {
    payment_id: String,
    record: Option<Record>,
    /// What Stripe has of a payment without a record, in a sentence.
    at_stripe: Option<String>,
    effects: Vec<EffectLine>,
    /// Effects that the payment calls for and the ledger has nothing of.
    missing: Vec<MissingEffect>,
    consents: Vec<Consent>,
    /// The files that were bought; none where no request has determined them.
    files: Option<Files>,
    /// Everything that happened, oldest first.
    timeline: Vec<Moment>,
}

#[derive(Serialize)]
struct Record {
    status: ContributionStatus,
    amount: Option<Amount>,
    shown_amount: Option<Amount>,
    email: Option<String>,
    name: Option<String>,
    country: Option<String>,
    session_id: Option<String>,
    payment_link_id: Option<String>,
    supporter_id: Option<String>,
    subscription: Option<Subscription>,
    fraud_warnings: Vec<FraudWarning>,
}

/// Money, exact.
#[derive(Serialize)]
struct Amount {
    /// In the currency's smallest unit, as Stripe counts.
    minor: i64,
    currency: String,
    /// `12.50 GBP`
    text: String,
}

impl Amount {
    fn of(money: &Money) -> Self {
        let text = format!("{} {}", money.decimal_text(), money.currency().code());
        Self { minor: money.minor(), currency: money.currency().as_str().to_owned(), text }
    }
}

/// An effect that the ledger has nothing of, and where it may be.
#[derive(Serialize)]
struct MissingEffect {
    effect: String,
    task: &'static str,
    /// How many messages wait for its task, of whatever payment.
    waiting: Option<u64>,
    /// How many are in the task's dead-letter queue.
    dead_letters: Option<u64>,
}

/// The facts of the subscription that a payment is of.
#[derive(Serialize)]
struct Subscription {
    subscription_id: String,
    /// Whether this payment is any but the first; none while no invoice has come.
    renewal: Option<bool>,
    /// Until when it was paid for.
    paid_until: Option<Time>,
}

/// A card issuer's warning that the payment may be fraud.
#[derive(Serialize)]
struct FraudWarning {
    id: String,
    fraud_type: Option<String>,
    /// Whether a refund now can still prevent a dispute.
    actionable: Option<bool>,
    at: Time,
}

#[derive(Serialize)]
struct EffectLine {
    effect: String,
    state: &'static str,
    reason: Option<String>,
    /// SES's message id, or EventBridge's event id.
    reference: Option<String>,
    /// How it was done, or what it is parked for.
    detail: Option<String>,
    /// What happened, whose it is to fix, and the next command; none where nothing is open.
    advice: Option<Advice>,
    /// Whether it is still retried and should have been done by now.
    waits_too_long: bool,
    event_id: Option<String>,
    attempt: Option<u32>,
    first_at: Option<Time>,
    updated_at: Option<Time>,
}

#[derive(Serialize)]
struct Consent {
    consent: String,
    answer: Answer,
    basis: Basis,
    answered_at: Time,
    wording: String,
}

#[derive(Serialize)]
struct Files {
    keys: Vec<String>,
    fetches: i64,
    /// How often they may be fetched in all.
    at_most: i64,
    last_fetched_at: Option<Time>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Moment {
    at: Time,
    who: &'static str,
    what: String,
}

/// The rows and objects of a payment.
struct Read {
    history: History,
    contribution: Option<Contribution>,
    evidence: Vec<Evidence>,
    downloads: Option<Downloads>,
    /// What Stripe has, where there is no record.
    at_stripe: Option<String>,
    /// What the payment calls for.
    expected: Vec<Effect>,
    /// When it was paid, in Unix seconds: for a moment nothing is missing.
    paid_at: Option<i64>,
}

/// After this long something should have come of a payment.
const SOON_SECONDS: i64 = 120;

impl Read {
    fn is_known(&self) -> bool {
        !self.history.effects.is_empty() || !self.history.actions.is_empty() || self.contribution.is_some()
    }
}

pub(crate) async fn find_out(
    deployment: &Deployment,
    arguments: &Arguments,
    privacy: Privacy,
    now: i64,
) -> Result<Explanation> {
    let dynamodb = Client::new(&deployment.sdk);
    let typed = payments::typed(&arguments.id)?;
    let ids = payments::all(deployment, &typed).await?;
    let progress = Progress::new();
    let mut payments = Vec::new();
    for (place, payment_id) in ids.iter().enumerate() {
        progress.say(format_args!("{place} of {} payments read", ids.len()));
        let read = read(deployment, &dynamodb, payment_id, privacy).await?;
        // A customer may have bought from another business of the account.
        if read.is_known() {
            let mut payment = explain_payment(payment_id, read, privacy, now);
            look_for(deployment, &mut payment.missing).await;
            payments.push(payment);
        }
    }
    if payments.is_empty() {
        let mut unknown = Vec::new();
        for payment_id in &ids {
            unknown.push(never_came(deployment, payment_id).await);
        }
        return Err(NotFound(unknown.join("\n")).into());
    }
    Ok(Explanation { payments })
}

async fn read(
    deployment: &Deployment,
    dynamodb: &Client,
    payment_id: &PaymentId,
    privacy: Privacy,
) -> Result<Read> {
    let history = deployment.ledger()?.history(payment_id).await?;
    let contributions = deployment.output("ContributionsTableName")?;
    let contribution: Option<Contribution> =
        query(dynamodb, contributions, "payment_id", payment_id.as_str()).await?.pop();
    let supporter = contribution.as_ref().and_then(|contribution| contribution.session.supporter_id.as_ref());
    let evidence = match supporter {
        Some(supporter_id) => evidence(deployment, dynamodb, supporter_id, payment_id).await?,
        None => Vec::new(),
    };
    let downloads = downloads(deployment)?.of_payment(payment_id).await?;
    let is_settled = contribution.as_ref().is_some_and(Contribution::is_known);
    // Where there is no record the ledger says little, and Stripe the rest.
    let session = if is_settled { None } else { Some(seen_at_stripe(deployment, payment_id, privacy).await) };
    let (at_stripe, expected, paid_at) = match (session, &contribution) {
        (Some(seen), _) => (Some(seen.sentence), seen.expected, seen.paid_at),
        (None, Some(contribution)) => (None, expected_of(contribution), contribution.paid_at),
        (None, None) => (None, Vec::new(), None),
    };
    Ok(Read { history, contribution, evidence, downloads, at_stripe, expected, paid_at })
}

/// What a recorded payment calls for. Of a renewal the policy decides whether it is thanked for, and which mail's row
/// there is follows from what the subscription sells.
fn expected_of(contribution: &Contribution) -> Vec<Effect> {
    let is_renewal = contribution.invoice.as_ref().is_some_and(|invoice| invoice.renewal);
    match contribution.paid_at {
        Some(_) if is_renewal => vec![effects::acquisition()],
        Some(_) => {
            vec![effects::email_about(SessionOutcome::Paid), effects::consents(), effects::acquisition()]
        }
        None => Vec::new(),
    }
}

/// Says of missing effects how full the queues of their tasks are. A queue that does not answer is left out.
async fn look_for(deployment: &Deployment, missing: &mut [MissingEffect]) {
    let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
    for missing in missing {
        let Some(task) = Task::from_name(missing.task) else { continue };
        if let Ok(url) = deployment.queue_url(task) {
            missing.waiting = depth(&sqs, url).await.ok().map(|depth| depth.waiting + depth.in_flight);
        }
        if let Ok(url) = deployment.dlq_url(task) {
            missing.dead_letters = depth(&sqs, url).await.ok().map(|depth| depth.waiting + depth.in_flight);
        }
    }
}

async fn evidence(
    deployment: &Deployment,
    dynamodb: &Client,
    supporter_id: &SupporterId,
    payment_id: &PaymentId,
) -> Result<Vec<Evidence>> {
    let table = deployment.output("ConsentsTableName")?;
    let records: Vec<serde_json::Value> =
        query(dynamodb, table, "supporter_id", supporter_id.as_str()).await?;
    // Beside the evidence stand the states that follow from it.
    let evidence = records.into_iter().filter_map(|record| serde_json::from_value::<Evidence>(record).ok());
    Ok(evidence.filter(|evidence| evidence.payment_id == *payment_id).collect())
}

fn explain_payment(payment_id: &PaymentId, read: Read, privacy: Privacy, now: i64) -> Payment {
    let Read { history, contribution, evidence, downloads, at_stripe, expected, paid_at } = read;
    let is_old_enough = paid_at.is_some_and(|paid_at| now / 1000 - paid_at > SOON_SECONDS);
    let is_missing = |effect: &Effect| !history.effects.iter().any(|row| row.effect == *effect);
    let missing = expected.iter().filter(|effect| is_old_enough && is_missing(effect)).filter_map(|effect| {
        let task = Task::of_effect(effect)?.name();
        Some(MissingEffect { effect: effect.to_string(), task, waiting: None, dead_letters: None })
    });
    let missing: Vec<_> = missing.collect();
    let mut timeline = Vec::new();
    if let Some(contribution) = &contribution {
        timeline.extend(of_the_money(contribution));
    }
    timeline.extend(history.effects.iter().flat_map(|row| {
        let event = row.event_id.as_ref().map(|id| format!(", from {id}")).unwrap_or_default();
        let now = row.updated_at.map(|at| Moment {
            at: Time(at),
            who: "afterlink",
            what: format!("{} {}{event}", row.effect, row.state),
        });
        let began = row.first_at.filter(|_| !settled_at_once(row.first_at, row.updated_at));
        let began = began.map(|at| Moment {
            at: Time(at),
            who: "afterlink",
            what: format!("{} first tried", row.effect),
        });
        [began, now].into_iter().flatten()
    }));
    timeline.extend(history.actions.iter().map(of_an_operator));
    timeline.sort();
    let effects = history.effects.into_iter().map(|row| EffectLine {
        effect: row.effect.to_string(),
        advice: Advice::on(payment_id, &row, now),
        waits_too_long: reason::waits_too_long(&row, now),
        reason: row.state.reason().map(str::to_owned),
        state: row.state.name(),
        detail: row.detail,
        reference: row.reference,
        event_id: row.event_id,
        attempt: row.last_claim.map(|(_, attempt)| attempt),
        first_at: row.first_at.map(Time),
        updated_at: row.updated_at.map(Time),
    });
    let consents = evidence.into_iter().map(|evidence| Consent {
        consent: evidence.consent.to_string(),
        answer: evidence.answer,
        basis: evidence.basis,
        answered_at: Time::of_seconds(evidence.answered_at),
        wording: evidence.wording,
    });
    Payment {
        payment_id: privacy.payment(payment_id),
        effects: effects.collect(),
        consents: consents.collect(),
        at_stripe,
        missing,
        files: downloads.map(|downloads| Files {
            fetches: downloads.fetches,
            at_most: fetches_at_most(&downloads),
            last_fetched_at: downloads.last_fetched_at.map(Time::of_seconds),
            keys: downloads.files.into_iter().map(|file| file.key).collect(),
        }),
        record: contribution.map(|contribution| record(&contribution, privacy)),
        timeline,
    }
}

fn fetches_at_most(downloads: &Downloads) -> i64 {
    let each = Policy::compiled_in().map_or(0, |policy| policy.files.fetches);
    each.saturating_mul(i64::try_from(downloads.files.len()).unwrap_or(i64::MAX))
}

/// A claim and its settlement are a moment apart when all goes well: one line, not two.
fn settled_at_once(first_at: Option<i64>, updated_at: Option<i64>) -> bool {
    first_at.zip(updated_at).is_none_or(|(first, updated)| updated - first < 2_000)
}

/// What Stripe reported, by when it happened.
fn of_the_money(contribution: &Contribution) -> Vec<Moment> {
    let moment = |seconds: Option<i64>, what: String| {
        seconds.map(|seconds| Moment { at: Time::of_seconds(seconds), who: "stripe", what })
    };
    let renewal = contribution.invoice.as_ref().is_some_and(|invoice| invoice.renewal);
    let paid = if renewal { "paid, a renewal" } else { "paid" };
    let mut moments = vec![
        moment(contribution.session.opened_at, "the customer opened the page".to_owned()),
        moment(contribution.pending_at, "finished, the money is on its way".to_owned()),
        moment(contribution.paid_at, paid.to_owned()),
        moment(contribution.failed_at, "the money will not come".to_owned()),
    ];
    for (id, refund) in &contribution.refunds {
        let amount = Money::new(refund.amount, refund.currency);
        let at = refund.created_at.unwrap_or(refund.as_of.occurred_at);
        moments.push(moment(
            Some(at),
            format!("{id}: a refund of {} ({:?})", Amount::of(&amount).text, refund.status),
        ));
    }
    for (id, dispute) in &contribution.disputes {
        let (status, amount) = dispute.present();
        let amount = Money::new(amount, dispute.currency);
        let at = dispute.created_at.unwrap_or(dispute.as_of.occurred_at);
        moments.push(moment(
            Some(at),
            format!("{id}: a dispute over {} ({})", Amount::of(&amount).text, status.name()),
        ));
        moments.push(moment(dispute.withdrawn_at, format!("{id}: the disputed money left")));
        moments.push(moment(dispute.reinstated_at, format!("{id}: the disputed money came back")));
    }
    for (id, facts) in &contribution.fraud_warnings {
        let warning = warning(id, facts);
        let at = facts.created_at.unwrap_or(facts.as_of.occurred_at);
        moments.push(moment(Some(at), warns(&warning)));
    }
    moments.into_iter().flatten().collect()
}

fn of_an_operator(action: &OperatorAction) -> Moment {
    let OperatorAction { verb, at, by, because, about, before, after } = action;
    let about = about.as_ref().map(|effect| format!(" {effect}")).unwrap_or_default();
    let because = because.as_ref().map(|why| format!(" because: {why}")).unwrap_or_default();
    let what = format!("{verb}{about}: {before} → {after}, by {by}{because}");
    Moment { at: Time(*at), who: "operator", what }
}

fn record(contribution: &Contribution, privacy: Privacy) -> Record {
    let session = &contribution.session;
    let money = |minor: Option<i64>, currency: &Option<String>| {
        let currency = Currency::try_from(currency.as_deref()?).ok()?;
        Some(Amount::of(&Money::new(minor?, currency)))
    };
    Record {
        status: contribution.status(),
        amount: money(session.amount, &session.currency),
        shown_amount: money(session.presentment_amount, &session.presentment_currency),
        email: session.email.as_ref().map(|email| privacy.email(email)),
        name: session.name.as_ref().map(|name| privacy.name(name)),
        country: session.country.clone(),
        session_id: session.session_id.as_ref().map(|id| privacy.payment(&PaymentId::new(id.as_str()))),
        payment_link_id: session.payment_link_id.clone(),
        supporter_id: session.supporter_id.as_ref().map(ToString::to_string),
        subscription: session.subscription_id.clone().map(|subscription_id| Subscription {
            subscription_id,
            renewal: contribution.invoice.as_ref().map(|invoice| invoice.renewal),
            paid_until: contribution
                .invoice
                .as_ref()
                .and_then(|invoice| invoice.term_ends_at)
                .map(Time::of_seconds),
        }),
        fraud_warnings: contribution.fraud_warnings.iter().map(|(id, facts)| warning(id, facts)).collect(),
    }
}

fn warning(id: &str, facts: &FraudWarningFacts) -> FraudWarning {
    FraudWarning {
        id: id.to_owned(),
        fraud_type: facts.fraud_type.clone(),
        actionable: facts.actionable,
        at: Time::of_seconds(facts.created_at.unwrap_or(facts.as_of.occurred_at)),
    }
}

/// `issfr_1: the card's issuer warns of fraud (made_with_stolen_card), a refund can still prevent a dispute`
fn warns(warning: &FraudWarning) -> String {
    let kind = warning.fraud_type.as_ref().map(|kind| format!(" ({kind})")).unwrap_or_default();
    let advice = match warning.actionable {
        Some(true) => ", and a refund can still prevent a dispute",
        Some(false) => ", and a refund prevents no dispute any more",
        None => "",
    };
    format!("{}: the card's issuer warns of fraud{kind}{advice}", warning.id)
}

impl Report for Explanation {
    fn print(&self, page: &mut Page) {
        for payment in &self.payments {
            payment.print(page);
        }
    }

    fn verdict(&self) -> Verdict {
        let is_open =
            |effect: &EffectLine| matches!(effect.state, "parked" | "unknown") || effect.waits_too_long;
        let needs = |payment: &Payment| !payment.missing.is_empty() || payment.effects.iter().any(is_open);
        Verdict::needs_you_if(self.payments.iter().any(needs))
    }
}

impl Payment {
    fn print(&self, page: &mut Page) {
        page.heading(&self.payment_id);
        if let Some(record) = &self.record {
            record.print(page);
        } else {
            page.line("  no record of the payment: its own event has not come, or was not acted on");
        }
        if let Some(at_stripe) = &self.at_stripe {
            page.line(format_args!("  {DIM}at Stripe{DIM:#} {at_stripe}"));
        }
        if let Some(Files { keys, fetches, at_most, last_fetched_at }) = &self.files {
            let last = last_fetched_at.map(|at| format!(", last at {at}")).unwrap_or_default();
            page.line(format_args!(
                "  {DIM}files    {DIM:#} {}  fetched {fetches} of {at_most} times{last}",
                keys.join(", ")
            ));
        }
        page.line("");
        let moments: Vec<_> = self
            .timeline
            .iter()
            .map(|moment| vec![Cell::styled(DIM, moment.at), Cell::new(moment.who), Cell::new(&moment.what)])
            .collect();
        page.table(&["when", "who", "what"], &moments);
        page.line("");
        let effects: Vec<_> = self
            .effects
            .iter()
            .map(|effect| {
                let attempt = effect.attempt.map_or_else(String::new, |attempt| attempt.to_string());
                let reason = effect.reason.as_deref().or(effect.reference.as_deref()).unwrap_or_default();
                vec![
                    Cell::new(&effect.effect),
                    Cell::state(effect.state),
                    Cell::new(attempt),
                    Cell::new(reason),
                    Cell::styled(DIM, effect.detail.as_deref().unwrap_or_default()),
                ]
            })
            .collect();
        page.table(&["effect", "state", "tries", "reason or reference", "detail"], &effects);
        self.print_what_to_do(page);
        if !self.consents.is_empty() {
            page.line("");
            let consents: Vec<_> = self
                .consents
                .iter()
                .map(|consent| {
                    vec![
                        Cell::new(&consent.consent),
                        Cell::new(format!("{:?}", consent.answer).to_lowercase()),
                        Cell::new(match consent.basis {
                            Basis::Explicit => "said so",
                            Basis::SoftOptIn => "soft opt-in",
                        }),
                        Cell::styled(DIM, consent.answered_at),
                        Cell::new(&consent.wording),
                    ]
                })
                .collect();
            page.table(&["consent", "answer", "basis", "when", "wording"], &consents);
        }
    }
}

impl Payment {
    fn print_what_to_do(&self, page: &mut Page) {
        let advised = self.effects.iter().filter_map(|effect| Some((effect, effect.advice.as_ref()?)));
        let advised: Vec<_> = advised.collect();
        if !advised.is_empty() || !self.missing.is_empty() {
            page.line("");
        }
        for (effect, advice) in advised {
            page.line(format_args!("  {BOLD}{}{BOLD:#}: {advice}", effect.effect));
        }
        for MissingEffect { effect, task, waiting, dead_letters } in &self.missing {
            let depth = |depth: &Option<u64>| {
                depth.map_or_else(|| "an unknown number".to_owned(), |depth| depth.to_string())
            };
            page.line(format_args!(
                "  {BAD}{effect}{BAD:#}: the ledger has nothing of it. {task} has {} messages waiting and {} in its DLQ: if \
                 it does not run, `afterlink doctor` says so, and it is done once it does; else `afterlink reconcile` puts \
                 back what is missing",
                depth(waiting),
                depth(dead_letters)
            ));
        }
    }
}

impl Record {
    fn print(&self, page: &mut Page) {
        let shown = self
            .shown_amount
            .as_ref()
            .map(|amount| format!(", shown as {}", amount.text))
            .unwrap_or_default();
        let amount = self.amount.as_ref().map_or("an unknown amount", |amount| amount.text.as_str());
        let status = serde_json::to_value(self.status).ok();
        let status = status.as_ref().and_then(|status| status.as_str()).unwrap_or_default();
        page.line(format_args!("  {BOLD}{status}{BOLD:#}  {amount}{shown}"));
        let facts = [
            ("customer", [self.name.as_deref(), self.email.as_deref(), self.country.as_deref()]),
            ("supporter", [self.supporter_id.as_deref(), None, None]),
            ("session", [self.session_id.as_deref(), self.payment_link_id.as_deref(), None]),
        ];
        if let Some(Subscription { subscription_id, renewal, paid_until }) = &self.subscription {
            let which = match renewal {
                Some(true) => "  a renewal",
                Some(false) => "  the first payment",
                None => "",
            };
            let until = paid_until.map(|at| format!("  paid until {at}")).unwrap_or_default();
            page.line(format_args!("  {DIM}renews   {DIM:#} {subscription_id}{which}{until}"));
        }
        for warning in &self.fraud_warnings {
            page.line(format_args!("  {DIM}warning  {DIM:#} {}", warns(warning)));
        }
        for (what, parts) in facts {
            let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
            if !parts.is_empty() {
                // What customers typed is shown as text, whatever it holds.
                let line: String = parts.join("  ").chars().filter(|c| !c.is_control()).collect();
                page.line(format_args!("  {DIM}{what:<9}{DIM:#} {line}"));
            }
        }
    }
}

mod unseen;

#[cfg(test)]
mod tests;
