use customer_locale::LocaleRequest;
use effect_ledger::{
    Busy, Clock, Effect, EffectKey, EffectRow, EffectState, EffectStore, Executor, Performed,
    Policy as Attempts, SetAside, StoreError, perform, put_aside,
};
use fulfilment::{
    FulfilmentKind, NotReadable, PaymentId, Policy, SessionBroken, SessionEvent, SessionOutcome,
};
use s3_objects::ObjectsError;
use stripe_events::{Personal, Resend};
use task_runtime::{Delivery, FailureClass, Outcome, Task, TaskError, cause_chain};
use tracing::warn;

use crate::downloads::{Download, Downloads, DownloadsError};
use crate::mail::{MailContext, Occasion, RenderError, render};
use crate::overrides::{Overrides, TemplateFiles};
use crate::sender::{EmailSender, OutgoingMail, SendError};

/// Sends the mail a session event calls for, at most once each.
pub(crate) struct ThankYouEmail<L, S, F, D, C> {
    pub(crate) ledger: L,
    pub(crate) sender: S,
    pub(crate) overrides: Overrides<F, C>,
    pub(crate) downloads: D,
    pub(crate) policy: Policy,
    pub(crate) livemode: bool,
    pub(crate) clock: C,
}

/// The metric that counts mails whose own wording could not be used.
const BROKEN_WORDING: &str = "BrokenWording";

/// The metric that counts payments for files that are not there.
const FILES_MISSING: &str = "FilesMissing";

/// The metric that counts mails which SES did not take because of the account's sending rate or daily quota.
const MAIL_THROTTLED: &str = "MailThrottled";

#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskFailed {
    #[error("the event is ours but cannot be acted on")]
    Broken(#[source] SessionBroken),
    #[error("the customer has no usable email address")]
    NoRecipient,
    #[error("the mail's wording cannot be had")]
    NoWording(#[source] ObjectsError),
    #[error("nobody can tell which files were bought")]
    NoDownload(#[source] DownloadsError),
    #[error("not in the files bucket: {0}")]
    FilesMissing(String),
    #[error("neither the Payment Link nor its products name a file: see docs/PAYMENT-LINKS.md")]
    NoFiles,
    #[error("the mail cannot be rendered")]
    NotRendered(#[source] RenderError),
    #[error("the mail was not sent")]
    NotSent(#[source] SendError),
    #[error("the mail was rejected")]
    Rejected(#[source] SendError),
    #[error(transparent)]
    InFlight(#[from] Busy),
    #[error("the lease ran out while the mail was being sent")]
    LeaseLost,
    #[error(transparent)]
    Ledger(#[from] StoreError),
}

impl TaskError for TaskFailed {
    fn class(&self) -> FailureClass {
        match self {
            Self::Broken(_)
            | Self::NoRecipient
            | Self::FilesMissing(_)
            | Self::NoFiles
            | Self::NotRendered(_)
            | Self::Rejected(_) => FailureClass::Permanent,
            Self::NotSent(SendError::Throttled(_)) => FailureClass::Throttled,
            Self::NoDownload(_)
            | Self::NoWording(_)
            | Self::NotSent(_)
            | Self::InFlight(_)
            | Self::LeaseLost
            | Self::Ledger(_) => FailureClass::Retryable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Broken(broken) => broken.as_str(),
            Self::NoRecipient => "no_recipient",
            Self::NoWording(_) => "templates_unavailable",
            Self::NoDownload(_) => "purchase_unavailable",
            Self::FilesMissing(_) => "file_missing",
            Self::NoFiles => "no_files",
            Self::NotRendered(_) => "not_rendered",
            Self::NotSent(error) | Self::Rejected(error) => error.reason(),
            Self::InFlight(_) => "in_flight",
            Self::LeaseLost => "lease_lost",
            Self::Ledger(_) => "ledger_unavailable",
        }
    }
}

impl<L: EffectStore, S: EmailSender, F: TemplateFiles, D: Downloads, C: Clock> Task
    for ThankYouEmail<L, S, F, D, C>
{
    type Error = TaskFailed;

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let event = match SessionEvent::read(&delivery.event, self.livemode) {
            Ok(event) => event,
            Err(NotReadable::Skip(reason)) => return Ok(Outcome::Skipped(reason.as_str())),
            Err(NotReadable::Broken { payment_id, intended, broken }) => {
                let key = EffectKey { payment_id, effect: wanted(intended, delivery) };
                return delivery
                    .park(&self.ledger, &self.clock, &key, Attempts::AtMostOnce, TaskFailed::Broken(broken))
                    .await;
            }
        };
        let key = EffectKey { payment_id: event.payment_id.clone(), effect: wanted(event.outcome, delivery) };
        if is_claimed_unseen(&event, delivery) {
            let about = About::Session(event.outcome);
            return self.prepare_and_send(&event, about, None, &key, delivery).await;
        }
        let history = self.ledger.of_payment(&key.payment_id).await?;
        let so_far = history.iter().find(|row| row.effect == key.effect);
        if let Some(already) = so_far.and_then(|row| already_settled(&row.state)) {
            if event.outcome == SessionOutcome::Paid && promised_files(&history) {
                return self.tell_of_files(&event, &history, delivery).await;
            }
            return Ok(Outcome::Skipped(already));
        }
        if let Some(reason) = no_longer_wanted(&event, &history) {
            return delivery.skip(&self.ledger, &self.clock, &key, Attempts::AtMostOnce, reason).await;
        }
        let download = self.download(&event).await?;
        let missing = download.as_ref().and_then(missing);
        self.promise_files(missing.as_ref(), &key.payment_id, &history, delivery).await?;
        let outcome = self
            .prepare_and_send(&event, About::Session(event.outcome), download.as_ref(), &key, delivery)
            .await?;
        missing.map_or(Ok(outcome), Err)
    }
}

/// Whether the mail is claimed without a look at the payment's other rows.
///
/// Whoever records that money went back leaves word on the thank-you's own row, and the claim is refused until that is
/// looked at. The others look first: pending and failed mails for what overtook them, one mail more for what became of
/// the first. A purchase of files does because finding them out costs more, which a duplicate need not.
fn is_claimed_unseen(event: &SessionEvent, delivery: &Delivery) -> bool {
    event.outcome == SessionOutcome::Paid
        && event.link.kind != FulfilmentKind::Download
        && delivery.resend.is_none()
}

/// The mail that says that files are there which an earlier one promised.
fn files_ready() -> Effect {
    Effect::email("files-ready")
}

/// Whether the customer was told that files will follow, and not yet that they are there.
fn promised_files(history: &[EffectRow]) -> bool {
    history.iter().any(|row| row.effect == files_ready() && already_settled(&row.state).is_none())
}

/// What keeps a purchase from being fetched, if something does.
fn missing(download: &Download) -> Option<TaskFailed> {
    if download.files.is_empty() {
        return Some(TaskFailed::NoFiles);
    }
    let missing = download.files.iter().filter(|offered| offered.size.is_none());
    let missing: Vec<&str> = missing.map(|offered| offered.file.key.as_str()).collect();
    (!missing.is_empty()).then(|| TaskFailed::FilesMissing(missing.join(", ")))
}

/// The mail that a delivery calls for: the outcome's own, or the one more that an operator asks for.
fn wanted(outcome: SessionOutcome, delivery: &Delivery) -> Effect {
    let own = Effect::email_about(outcome);
    match &delivery.resend {
        Some(resend) => own.resent(&resend.id),
        None => own,
    }
}

/// A mail that is ready to go.
struct Prepared {
    mail: OutgoingMail,
    /// Why its own wording was not used, where it was not. It is told with the mail, and a duplicate sends none.
    passed_over: Vec<String>,
}

/// What a mail is about.
#[derive(Clone, Copy)]
enum About {
    /// What a session event says of the money.
    Session(SessionOutcome),
    /// Files that were promised.
    FilesReady,
}

/// What became of the mail before, if it is over with.
const fn already_settled(state: &EffectState) -> Option<&'static str> {
    match state {
        EffectState::Done => Some("already_done"),
        EffectState::Skipped { .. } => Some("already_skipped"),
        EffectState::Unknown { .. } => Some("already_unknown"),
        EffectState::Retry { .. } | EffectState::Parked { .. } | EffectState::Claimed(_) => None,
    }
}

/// Why the mail would tell old news, if it would: events come in any order, and the money moves on.
fn no_longer_wanted(event: &SessionEvent, history: &[EffectRow]) -> Option<&'static str> {
    let later = match event.outcome {
        // Thanks for a gift that has been given back would read as mockery.
        SessionOutcome::Paid => {
            let refunded = EffectRow::refunded(history, event.amount.currency());
            return (refunded > 0 && refunded >= event.amount.minor()).then_some("refunded");
        }
        // After a thank-you nobody wants to read that the payment is being waited for.
        SessionOutcome::Failed => vec![Effect::email_about(SessionOutcome::Paid)],
        SessionOutcome::Pending => {
            vec![Effect::email_about(SessionOutcome::Paid), Effect::email_about(SessionOutcome::Failed)]
        }
    };
    let overtaken = history.iter().any(|row| {
        later.contains(&row.effect)
            && matches!(row.state, EffectState::Done | EffectState::Claimed(_) | EffectState::Unknown { .. })
    });
    overtaken.then_some("overtaken")
}

impl<L: EffectStore, S: EmailSender, F: TemplateFiles, D: Downloads, C: Clock> ThankYouEmail<L, S, F, D, C> {
    /// What was bought, when files were.
    async fn download(&self, event: &SessionEvent) -> Result<Option<Download>, TaskFailed> {
        if event.outcome != SessionOutcome::Paid || event.link.kind != FulfilmentKind::Download {
            return Ok(None);
        }
        self.downloads.of(event).await.map(Some).map_err(TaskFailed::NoDownload)
    }

    /// Parks the mail that will say that the files are there, before the customer is told that they will follow: a
    /// promise that nobody remembers would not be kept.
    async fn promise_files(
        &self,
        missing: Option<&TaskFailed>,
        payment_id: &PaymentId,
        history: &[EffectRow],
        delivery: &Delivery,
    ) -> Result<(), TaskFailed> {
        let key = EffectKey { payment_id: payment_id.clone(), effect: files_ready() };
        let set_aside = match missing {
            Some(missing) => {
                delivery.note(FILES_MISSING);
                SetAside::Parked(missing.reason())
            }
            // They have come before this mail, which lists them.
            None if promised_files(history) => SetAside::Skipped("told_otherwise"),
            None => return Ok(()),
        };
        // Whether it is written or was dealt with before, nobody forgets it.
        let (policy, event_id) = (Attempts::AtMostOnce, delivery.event.id());
        put_aside::<_, TaskFailed>(&self.ledger, &self.clock, &key, policy, set_aside, event_id).await?;
        Ok(())
    }

    /// The second mail, once the promised files are there.
    async fn tell_of_files(
        &self,
        event: &SessionEvent,
        history: &[EffectRow],
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let key = EffectKey { payment_id: event.payment_id.clone(), effect: files_ready() };
        if let Some(reason) = no_longer_wanted(event, history) {
            return delivery.skip(&self.ledger, &self.clock, &key, Attempts::AtMostOnce, reason).await;
        }
        let download = self.download(event).await?;
        if let Some(missing) = download.as_ref().and_then(missing) {
            delivery.note(FILES_MISSING);
            return delivery.park(&self.ledger, &self.clock, &key, Attempts::AtMostOnce, missing).await;
        }
        self.prepare_and_send(event, About::FilesReady, download.as_ref(), &key, delivery).await
    }

    async fn prepare_and_send(
        &self,
        event: &SessionEvent,
        about: About,
        download: Option<&Download>,
        key: &EffectKey,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        match self.prepare(event, about, download, key, delivery.resend.as_ref()).await {
            Ok(prepared) => self.send(&prepared, event, delivery).await,
            Err(error) => match error.class() {
                FailureClass::Permanent => {
                    delivery.park(&self.ledger, &self.clock, key, Attempts::AtMostOnce, error).await
                }
                FailureClass::Retryable | FailureClass::Throttled => Err(error),
            },
        }
    }

    /// Everything that can fail without the mail service.
    async fn prepare(
        &self,
        event: &SessionEvent,
        about: About,
        download: Option<&Download>,
        key: &EffectKey,
        resend: Option<&Resend>,
    ) -> Result<Prepared, TaskFailed> {
        let elsewhere = resend.and_then(|resend| resend.to.as_ref());
        let to = elsewhere.or(event.email.as_ref()).filter(|email| is_one_address(email.expose()));
        let to = to.ok_or(TaskFailed::NoRecipient)?.clone();
        let context = MailContext {
            occasion: match about {
                About::Session(SessionOutcome::Paid) => {
                    Occasion::ThankYou { template: event.link.thank_you.as_ref() }
                }
                About::Session(SessionOutcome::Pending) => Occasion::PaymentPending,
                About::Session(SessionOutcome::Failed) => Occasion::PaymentFailed,
                About::FilesReady => Occasion::FilesReady,
            },
            download,
            kind: event.link.kind,
            policy: &self.policy,
            locale: LocaleRequest { session: event.locale.as_deref(), country: event.country.as_deref() },
            customer_name: event.name.as_ref().map(|name| name.expose().as_str()),
            amount: *event.shown_amount(),
            paid_on: event.occurred_at,
            reference: &event.payment_id.reference(),
        };
        let mut passed_over = Vec::new();
        if let (About::Session(SessionOutcome::Paid), Some(error)) = (about, &event.link.unusable_thank_you) {
            passed_over.push(cause_chain(error));
        }
        let own = match self.overrides.wordings(&context.templates()).await {
            Ok(own) => own,
            Err(error @ ObjectsError::Unavailable(_)) => return Err(TaskFailed::NoWording(error)),
            Err(error @ ObjectsError::Refused(_)) => {
                passed_over.push(cause_chain(&error));
                None
            }
        };
        let rendered = render(own.as_deref(), &context).map_err(TaskFailed::NotRendered)?;
        passed_over.extend(rendered.passed_over.iter().map(|error| cause_chain(error)));
        let mail = OutgoingMail {
            key: key.clone(),
            to,
            reply_to: self.policy.organisation.contact.clone(),
            subject: Personal::new(rendered.subject),
            html: Personal::new(rendered.html),
            text: Personal::new(rendered.text),
        };
        Ok(Prepared { mail, passed_over })
    }

    async fn send(
        &self,
        Prepared { mail, passed_over }: &Prepared,
        event: &SessionEvent,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let policy = Attempts::AtMostOnce;
        let send = async |executor| {
            let act = async || {
                for cause in passed_over {
                    warn!(payment.id = %mail.key.payment_id.reference(), "wording passed over: {cause}");
                }
                if !passed_over.is_empty() {
                    delivery.note(BROKEN_WORDING);
                }
                self.sender.send(mail).await
            };
            perform(&self.ledger, &self.clock, &mail.key, policy, executor, act, SendError::reason).await
        };
        let mut performed = send(delivery.executor()).await?;
        if let Performed::News(knows) = performed {
            let history = self.ledger.of_payment(&mail.key.payment_id).await?;
            if let Some(reason) = no_longer_wanted(event, &history) {
                return delivery.skip(&self.ledger, &self.clock, &mail.key, policy, reason).await;
            }
            performed = send(Executor { knows, ..delivery.executor() }).await?;
        }
        match performed {
            Performed::Done { .. } => Ok(Outcome::Done),
            Performed::AlreadySettled { state, .. } => {
                Ok(Outcome::Skipped(already_settled(&state).unwrap_or("already_done")))
            }
            Performed::Ambiguous(error) => Ok(Outcome::Unknown(error.reason())),
            Performed::Abandoned => Ok(Outcome::Unknown("lease_expired")),
            Performed::NotDone(error) => {
                if matches!(error, SendError::Throttled(_)) {
                    delivery.note(MAIL_THROTTLED);
                }
                Err(TaskFailed::NotSent(error))
            }
            Performed::Rejected(error) => Err(TaskFailed::Rejected(error)),
            // Also when there is more news already: the next delivery looks again.
            Performed::Busy | Performed::News(_) => Err(TaskFailed::InFlight(Busy)),
            Performed::LeaseLost => Err(TaskFailed::LeaseLost),
        }
    }
}

/// Whether a text is one address and nothing else: it becomes a header.
fn is_one_address(email: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !",;<>\"".contains(c);
    let parts = email.split_once('@');
    email.len() <= 320
        && email.chars().all(plain)
        && parts.is_some_and(|(user, domain)| {
            !user.is_empty() && domain.contains('.') && !domain.contains('@') && !domain.starts_with('.')
        })
}

#[cfg(test)]
mod tests;
