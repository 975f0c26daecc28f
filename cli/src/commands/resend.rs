use anyhow::{Context as _, Error, Result, bail};
use catalogue::Task;
use clap::{Args, ValueEnum};
use effect_ledger::{Change, EffectKey, EffectRow, Verb};
use fulfilment::{LinkContract, Money, PaymentId, effects, recipient, without_invisible};
use serde::Serialize;
use stripe_events::{Delivered, Event, Object, Personal, Resend};

use crate::contract::remembered_contract;
use crate::course::{Asked, Course, course};
use crate::deployment::Deployment;
use crate::operator::Acting;
use crate::page::{Page, Report, Time, Verdict};
use crate::payments::{self, PAYMENT};
use crate::privacy::Privacy;
use crate::queues;
use crate::stripe::{self, Found};

/// Sends a customer a mail once more, on purpose: a second mail, recorded as an effect of its own.
///
/// Only for payments that are paid and not refunded: also where the first mail was left out for a refund that failed
/// since. Where the first mail was parked, --to sends this one in its place.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live resend pi_3Q9… --template thank-you --to new@example.org --because 'mistyped' --yes"
)]
pub(crate) struct Arguments {
    #[arg(help = PAYMENT)]
    payment: String,
    /// Which mail
    #[arg(long, value_enum)]
    template: Template,
    /// Another address than the customer gave
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Template {
    ThankYou,
}

impl Template {
    const fn name(self) -> &'static str {
        match self {
            Self::ThankYou => "thank-you",
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Resent {
    payment_id: String,
    effect: String,
    to: String,
    acted: bool,
    /// Whether it is sent in place of the first, which was not sent and is closed.
    instead: bool,
    before: String,
}

pub(crate) async fn run(
    deployment: &Deployment,
    arguments: &Arguments,
    privacy: Privacy,
    now: i64,
) -> Result<Resent> {
    let operator = arguments.acting.operator(deployment, now).await?;
    if let Some(to) = &arguments.to {
        check_address(to)?;
    }
    let payment_id = payments::one(deployment, &arguments.payment).await?;
    let ledger = deployment.ledger()?;
    let history = ledger.history(&payment_id).await?;
    let first = effects::email(arguments.template.name());
    let key = EffectKey::new(&payment_id, first.clone());
    let seen = history.effects.iter().find(|row| row.effect == first);
    let asked = Asked::Resend { elsewhere: arguments.to.is_some() };
    let instead =
        course(asked, &key, seen.map(|row| &row.state), now).map_err(Error::msg)? == Course::AnotherInstead;
    let seen = seen.with_context(|| format!("the ledger has no {first} of {payment_id}"))?;
    let contract = remembered_contract(&history);
    let found = original(deployment, &payment_id, seen).await?.corrected(contract);
    let paid = stripe::paid(&found.event, deployment.livemode()?)?;
    if paid.payment_id != payment_id {
        bail!("the event {} is about {}, not {payment_id}", found.event.id(), paid.payment_id);
    }
    if payment_ledger::is_refunded(&history.effects, paid.amount) {
        let refunded = payment_ledger::refunded(&history.effects, paid.amount.currency());
        bail!(
            "{payment_id} was refunded ({} of {}): a customer is not thanked for what was given back",
            Money::new(refunded, paid.amount.currency()).decimal_text(),
            paid.amount.decimal_text()
        );
    }
    if let Some(until) = wording_changes_until(deployment, &found.event, now).await? {
        bail!(
            "the link's wording was changed a moment ago, and mails may still go out in the one before. The new one is used \
             from {until} on: try again then"
        );
    }
    let to = arguments.to.clone().map(Personal::new);
    let recipient = to.as_ref().or(paid.email.as_ref()).context("the customer gave no address: say --to")?;
    let resend = Resend { id: Time(now).to_string(), to: to.clone() };
    let effect = effects::resent(&first, &resend.id);
    if let Some(operator) = &operator {
        // The address stays out of the ledger, which holds no personal data; that it is another one does not.
        let after = if to.is_some() { format!("{effect}, to another address") } else { effect.to_string() };
        let action = operator.action(Verb::Resend, Some(first), seen.state.to_string(), after);
        let change = if instead { Change::Closed { reason: RESENT } } else { Change::Nothing };
        ledger.record(&key, Some(seen), &action, change).await?;
        let body = Delivered::resend_json(&found.json, &resend, found.contract.as_ref())?;
        let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
        queues::send(&sqs, deployment.queue_url(Task::ThankYouEmail)?, &body).await?;
    }
    Ok(Resent {
        payment_id: payment_id.to_string(),
        effect: effect.to_string(),
        to: privacy.email(recipient),
        acted: operator.is_some(),
        instead,
        before: seen.state.to_string(),
    })
}

/// Refuses an address that no mail reaches, without repeating it: it would be parked for good.
fn check_address(to: &str) -> Result<()> {
    let address = without_invisible(to).context("--to holds no address")?;
    recipient(&address).map(drop).context("--to is no address that mails reach")
}

/// For how long the mail function may go on with the wording it has.
const WORDING_KEPT_MS: i64 = 5 * 60 * 1000;

/// Until when mails of an event's link may go out in an earlier wording, where its template has just been changed.
async fn wording_changes_until(deployment: &Deployment, event: &Event, now: i64) -> Result<Option<Time>> {
    let Event::Snapshot(event) = event else { return Ok(None) };
    let Object::Session(session) = &event.object else { return Ok(None) };
    let contract = LinkContract::from_metadata(&session.metadata).ok().flatten();
    let Some(template) = contract.and_then(|contract| contract.thank_you) else { return Ok(None) };
    let Some(bucket) = deployment.optional("TemplatesBucketName") else { return Ok(None) };
    let s3 = aws_sdk_s3::Client::new(&deployment.sdk);
    let listed = s3.list_objects_v2().bucket(bucket).prefix(format!("{}/", template.as_str())).send().await;
    let listed = listed.context("the templates bucket cannot be listed (s3:ListBucket)")?;
    let changed =
        listed.contents().iter().filter_map(|object| object.last_modified()?.to_millis().ok()).max();
    let until = changed.map(|changed| changed + WORDING_KEPT_MS).filter(|until| *until > now);
    Ok(until.map(|until| Time(until + 1000)))
}

/// Under which reason a first mail is closed that another one is sent for.
const RESENT: &str = "resent";

/// The event that the first mail was about.
async fn original(deployment: &Deployment, payment_id: &PaymentId, seen: &EffectRow) -> Result<Found> {
    let client = stripe::client(deployment, stripe::BUDGET).await?;
    if let Some(event_id) = &seen.event_id
        && let Some(found) = stripe::event(&client, event_id).await?
    {
        return Ok(found);
    }
    let key = EffectKey::new(payment_id, seen.effect.clone());
    stripe::event_again(&client, &key, deployment.livemode()?).await
}

impl Report for Resent {
    fn print(&self, page: &mut Page) {
        let Self { payment_id, effect, to, before, .. } = self;
        page.line(match (self.acted, self.instead) {
            (true, false) => format!(
                "The mail of {payment_id} (the first: {before}) goes once more, to {to}. The ledger has it as {effect}."
            ),
            (true, true) => format!(
                "The mail of {payment_id} goes to {to}, in place of the first ({before}), which is closed. The ledger has \
                 it as {effect}."
            ),
            (false, false) => format!(
                "A dry run: the mail of {payment_id} (the first: {before}) would go once more, to {to}. With --yes it does."
            ),
            (false, true) => format!(
                "A dry run: the mail of {payment_id} would go to {to}, in place of the first ({before}), which would be \
                 closed. With --yes it does."
            ),
        });
    }

    fn verdict(&self) -> Verdict {
        Verdict::Fine
    }
}
