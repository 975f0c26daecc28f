//! What happened to a payment, from Stripe, the ledger and the records, in order.
//!
//! Long because it has a sentence for each kind of event, effect and state.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use aws_sdk_dynamodb::Client;
use clap::Args;
use download_claims::Downloads;
use effect_ledger::{History, OperatorAction};
use fulfilment::{
    Answer, Basis, Contribution, ContributionStatus, Currency, Evidence, FraudWarningFacts, Money, PaymentId,
    SupporterId,
};
use serde::Serialize;

use self::unseen::never_came;
use crate::commands::reset_fetches::fetched;
use crate::deployment::Deployment;
use crate::page::{BOLD, Cell, DIM, Page, Report, Time, Verdict};
use crate::payments::{self, PAYMENT, query};
use crate::privacy::Privacy;
use crate::purchase::downloads;

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
    effects: Vec<EffectLine>,
    consents: Vec<Consent>,
    /// The files that were bought; none where no request has determined them.
    files: Option<Files>,
    /// Everything that happened, oldest first.
    timeline: Vec<Moment>,
}

#[derive(Serialize)]
struct Record {
    status: ContributionStatus,
    amount: Option<String>,
    shown_amount: Option<String>,
    email: Option<String>,
    name: Option<String>,
    country: Option<String>,
    session_id: Option<String>,
    payment_link_id: Option<String>,
    supporter_id: Option<String>,
    subscription: Option<Subscription>,
    fraud_warnings: Vec<FraudWarning>,
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
    fetched: String,
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
}

impl Read {
    fn is_known(&self) -> bool {
        !self.history.effects.is_empty() || !self.history.actions.is_empty() || self.contribution.is_some()
    }
}

pub(crate) async fn find_out(
    deployment: &Deployment,
    arguments: &Arguments,
    privacy: Privacy,
) -> Result<Explanation> {
    let dynamodb = Client::new(&deployment.sdk);
    let typed = payments::typed(&arguments.id)?;
    let ids = payments::all(deployment, &typed).await?;
    let mut payments = Vec::new();
    for payment_id in &ids {
        let read = read(deployment, &dynamodb, payment_id).await?;
        // A customer may have bought from another business of the account.
        if read.is_known() {
            payments.push(explain_payment(payment_id, read, privacy));
        }
    }
    if payments.is_empty() {
        let mut unknown = Vec::new();
        for payment_id in &ids {
            unknown.push(never_came(deployment, payment_id).await);
        }
        bail!("{}", unknown.join("\n"));
    }
    Ok(Explanation { payments })
}

async fn read(deployment: &Deployment, dynamodb: &Client, payment_id: &PaymentId) -> Result<Read> {
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
    Ok(Read { history, contribution, evidence, downloads })
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

fn explain_payment(payment_id: &PaymentId, read: Read, privacy: Privacy) -> Payment {
    let Read { history, contribution, evidence, downloads } = read;
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
        reason: row.state.reason().map(str::to_owned),
        state: row.state.name(),
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
        files: downloads.map(|downloads| Files {
            fetched: fetched(&downloads),
            last_fetched_at: downloads.last_fetched_at.map(Time::of_seconds),
            keys: downloads.files.into_iter().map(|file| file.key).collect(),
        }),
        record: contribution.map(|contribution| record(&contribution, privacy)),
        timeline,
    }
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
        moments
            .push(moment(Some(at), format!("{id}: a refund of {} ({:?})", written(&amount), refund.status)));
    }
    for (id, dispute) in &contribution.disputes {
        let (status, amount) = dispute.present();
        let amount = Money::new(amount, dispute.currency);
        let at = dispute.created_at.unwrap_or(dispute.as_of.occurred_at);
        moments
            .push(moment(Some(at), format!("{id}: a dispute over {} ({})", written(&amount), status.name())));
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
        Some(written(&Money::new(minor?, currency)))
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

/// `12.50 GBP`: exact, and the same in every language.
fn written(money: &Money) -> String {
    format!("{} {}", money.decimal_text(), money.currency().code())
}

impl Report for Explanation {
    fn print(&self, page: &mut Page) {
        for payment in &self.payments {
            payment.print(page);
        }
    }

    fn verdict(&self) -> Verdict {
        let states: BTreeSet<_> =
            self.payments.iter().flat_map(|payment| &payment.effects).map(|effect| effect.state).collect();
        Verdict::needs_you_if(states.contains("parked") || states.contains("unknown"))
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
        if let Some(Files { keys, fetched, last_fetched_at }) = &self.files {
            let last = last_fetched_at.map(|at| format!(", last at {at}")).unwrap_or_default();
            page.line(format_args!("  {DIM}files    {DIM:#} {}  {fetched}{last}", keys.join(", ")));
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
                ]
            })
            .collect();
        page.table(&["effect", "state", "tries", "reason or reference"], &effects);
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

impl Record {
    fn print(&self, page: &mut Page) {
        let shown =
            self.shown_amount.as_ref().map(|amount| format!(", shown as {amount}")).unwrap_or_default();
        let amount = self.amount.as_deref().unwrap_or("an unknown amount");
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
