use aws::{Clock, cause_chain};
use customer_locale::LocaleRequest;
use effect_ledger::{
    Busy, Disposition, Effect, EffectKey, EffectRow, EffectState, EffectStore, Executor, Performed,
    StoreError, Subject, dispose, perform,
};
use fulfilment::{
    FulfilmentKind, InvoiceEvent, NotReadable, PaymentId, Policy, SessionBroken, SessionEvent,
    SessionOutcome, SkipReason, effects, without_invisible,
};
use payment_ledger::as_filed;
use payment_lookup::{LookupFailed, PaymentLookup, Stripe, Whose};
use stripe_events::{Event, Object, Personal, shown_id};
use task_runtime::{Delivery, FailureClass, Outcome, Task, TaskError};
use tracing::warn;

use crate::downloads::{Download, Downloads, DownloadsError};
use crate::limit::{AddressLimit, Admission, LimitError};
use crate::mail::{MailContext, Occasion, RenderError, render};
use crate::overrides::{FilesError, Overrides, TemplateFiles};
use crate::payment::Payment;
use crate::recipient::{NoRecipient, recipient};
use crate::sender::{EmailSender, OutgoingMail, SendError};

/// Sends the mail that a session event or a renewal calls for, at most once each.
pub(crate) struct ThankYouEmail<L, I, S, F, D, A, C> {
    pub(crate) ledger: L,
    /// Whose the subscription of a renewal is.
    pub(crate) lookup: PaymentLookup<I, L, C>,
    pub(crate) sender: S,
    pub(crate) overrides: Overrides<F, C>,
    pub(crate) downloads: D,
    pub(crate) limit: A,
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

/// The metric that counts mails which were parked because their address has had its mails of the day.
const MAIL_LIMITED: &str = "MailLimited";

/// The session of a subscription's first payment says more than its invoice, and is thanked for.
const TOLD_BY_SESSION: &str = "told_by_session";

/// What the subscription sells is thanked for once, says `policy.toml`.
const RENEWALS_NOT_THANKED: &str = "renewals_not_thanked";

/// Why a wording that is there was not used.
const CAME_BACK: &str = "the message was delivered before and left no trace, so its own wording was not used: it may \
                         have ended the process";

#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskFailed {
    #[error("the event is ours but cannot be acted on")]
    Broken(#[source] SessionBroken),
    #[error("the mail cannot be addressed")]
    NoRecipient(#[source] NoRecipient),
    #[error("the address has had its mails of the day about payments that cost nothing")]
    OverLimit,
    #[error("it is not known how many mails the address has had")]
    LimitUnknown(#[source] LimitError),
    #[error("the mail's wording cannot be had")]
    NoWording(#[source] FilesError),
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
    #[error(transparent)]
    Lookup(#[from] LookupFailed),
}

impl TaskError for TaskFailed {
    fn class(&self) -> FailureClass {
        match self {
            Self::Broken(_)
            | Self::NoRecipient(_)
            | Self::OverLimit
            | Self::FilesMissing(_)
            | Self::NoFiles
            | Self::NotRendered(_)
            | Self::Rejected(_) => FailureClass::Permanent,
            Self::NotSent(SendError::Throttled(_)) => FailureClass::Throttled,
            Self::NoDownload(_)
            | Self::LimitUnknown(_)
            | Self::NoWording(_)
            | Self::NotSent(_)
            | Self::InFlight(_)
            | Self::LeaseLost
            | Self::Ledger(_)
            | Self::Lookup(_) => FailureClass::Retryable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Broken(broken) => broken.as_str(),
            Self::NoRecipient(problem) => problem.reason(),
            Self::OverLimit => "too_many_to_one_address",
            Self::LimitUnknown(_) => "limit_unavailable",
            Self::NoWording(_) => "templates_unavailable",
            Self::NoDownload(_) => "purchase_unavailable",
            Self::FilesMissing(_) => "file_missing",
            Self::NoFiles => "no_files",
            Self::NotRendered(_) => "not_rendered",
            Self::NotSent(error) | Self::Rejected(error) => error.reason(),
            Self::InFlight(_) => "in_flight",
            Self::LeaseLost => "lease_lost",
            Self::Ledger(_) => "ledger_unavailable",
            Self::Lookup(error) => error.reason(),
        }
    }
}

impl<L, I, S, F, D, A, C> Task for ThankYouEmail<L, I, S, F, D, A, C>
where
    L: EffectStore,
    I: Stripe,
    S: EmailSender,
    F: TemplateFiles,
    D: Downloads,
    A: AddressLimit,
    C: Clock,
{
    type Error = TaskFailed;

    fn subject(&self, event: &Event) -> Option<Subject> {
        PaymentId::subject_of(event)
    }

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        if let Some(Object::Invoice(_)) = delivery.event.object() {
            return self.thank_again(delivery).await;
        }
        let filed = as_filed(&self.ledger, &delivery.event).await?;
        match SessionEvent::from_event(&filed, self.livemode) {
            Ok(event) => self.tell(Payment::Session(&event), delivery).await,
            Err(NotReadable::Skip(reason)) => Ok(Outcome::Skipped(reason.as_str())),
            Err(NotReadable::Broken { payment_id, intended, broken }) => {
                let key = EffectKey::new(payment_id, wanted(intended, delivery));
                self.park(&key, TaskFailed::Broken(broken), delivery).await
            }
        }
    }
}

/// Whether the mail is claimed without a look at the payment's other rows.
///
/// Whoever records that money went back leaves word on the thank-you's own row, and the claim is refused until that is
/// looked at. The others look first: pending and failed mails for what overtook them, one mail more for what became of
/// the first. A purchase of files does because finding them out costs more, which a duplicate need not. A message that
/// was delivered before does because how that ended decides about the wording.
fn is_claimed_unseen(payment: Payment<'_>, delivery: &Delivery) -> bool {
    payment.outcome() == SessionOutcome::Paid
        && payment.kind() != FulfilmentKind::Download
        && delivery.resend.is_none()
        && delivery.receive_count <= 1
}

/// Whether a mail may be written with a marketer's own wording, which may be a mistake that kills the process.
///
/// A message that comes back without a trace of its first delivery is one whose process may have died over the wording:
/// it goes out with the built-in one. A delivery that got as far as SES left `retry` behind, and its wording is good.
fn may_use_own_wording(delivery: &Delivery, so_far: Option<&EffectRow>) -> bool {
    let was_rendered = so_far.is_some_and(|row| matches!(row.state, EffectState::Retry { .. }));
    delivery.receive_count <= 1 || was_rendered
}

/// The mail that says that files are there which an earlier one promised.
fn files_ready() -> Effect {
    effects::email("files-ready")
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
    let own = effects::email_about(outcome);
    match &delivery.resend {
        Some(resend) => effects::resent(&own, &resend.id),
        None => own,
    }
}

/// A mail that is to be written and sent.
#[derive(Clone, Copy)]
struct Planned<'a> {
    payment: Payment<'a>,
    about: About,
    download: Option<&'a Download>,
    key: &'a EffectKey,
    /// Whether a marketer's own wording may be used.
    own_wording: bool,
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
    /// How the money stands.
    Money(SessionOutcome),
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
fn no_longer_wanted(payment: Payment<'_>, history: &[EffectRow]) -> Option<&'static str> {
    let later = match payment.outcome() {
        // Thanks for a gift that has been given back would read as mockery.
        SessionOutcome::Paid => {
            return payment_ledger::is_refunded(history, payment.amount()).then_some("refunded");
        }
        // After a thank-you nobody wants to read that the payment is being waited for.
        SessionOutcome::Failed => vec![effects::email_about(SessionOutcome::Paid)],
        SessionOutcome::Pending => {
            vec![effects::email_about(SessionOutcome::Paid), effects::email_about(SessionOutcome::Failed)]
        }
    };
    let overtaken = history.iter().any(|row| {
        later.contains(&row.effect)
            && matches!(row.state, EffectState::Done | EffectState::Claimed(_) | EffectState::Unknown { .. })
    });
    overtaken.then_some("overtaken")
}

impl<L, I, S, F, D, A, C> ThankYouEmail<L, I, S, F, D, A, C>
where
    L: EffectStore,
    I: Stripe,
    S: EmailSender,
    F: TemplateFiles,
    D: Downloads,
    A: AddressLimit,
    C: Clock,
{
    /// Thanks for what a subscription was paid again, where that is decided for what it sells.
    async fn thank_again(&self, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let invoice = match InvoiceEvent::from_event(&delivery.event, self.livemode) {
            Ok(invoice) => invoice,
            Err(reason) => return Ok(Outcome::Skipped(reason.as_str())),
        };
        if invoice.is_first {
            return Ok(Outcome::Skipped(TOLD_BY_SESSION));
        }
        // Then nobody looks for a row of it, and whose the subscription is need not be known.
        if !self.policy.thanks_renewals() {
            return Ok(Outcome::Skipped(RENEWALS_NOT_THANKED));
        }
        let effect = wanted(SessionOutcome::Paid, delivery);
        let key = EffectKey::new(&invoice.payment_id, effect);
        let whose = self.lookup.whose(&invoice, delivery.executor()).await?;
        if let Whose::Ours(contract) = &whose
            && !self.policy.kind(contract.kind).thank_renewals
        {
            return self.skip(&key, RENEWALS_NOT_THANKED, delivery).await;
        }
        match whose.payment(invoice) {
            Some(Ok(payment)) => self.tell(Payment::Renewal(&payment), delivery).await,
            Some(Err(broken)) => self.park(&key, TaskFailed::Broken(broken), delivery).await,
            None => Ok(Outcome::Skipped(SkipReason::AnotherBusiness.as_str())),
        }
    }

    /// Sends the mail about a payment, unless that is over already or no longer wanted.
    async fn tell(&self, payment: Payment<'_>, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let effect = wanted(payment.outcome(), delivery);
        let key = EffectKey::new(payment.payment_id(), effect);
        let about = About::Money(payment.outcome());
        let planned = Planned { payment, about, download: None, key: &key, own_wording: true };
        if is_claimed_unseen(payment, delivery) {
            return self.prepare_and_send(&planned, delivery).await;
        }
        let history = self.ledger.of_subject(&key.subject).await?;
        let so_far = history.iter().find(|row| row.effect == key.effect);
        if let Some(already) = so_far.and_then(|row| already_settled(&row.state)) {
            if payment.outcome() == SessionOutcome::Paid && promised_files(&history) {
                return self.tell_of_files(payment, &history, delivery).await;
            }
            return Ok(Outcome::Skipped(already));
        }
        if let Some(reason) = no_longer_wanted(payment, &history) {
            return self.skip(&key, reason, delivery).await;
        }
        let download = self.download(payment).await?;
        let missing = download.as_ref().and_then(missing);
        if let Some(missing) = &missing {
            self.promise_files(missing, payment.payment_id(), delivery).await?;
        }
        let own_wording = may_use_own_wording(delivery, so_far);
        let planned = Planned { download: download.as_ref(), own_wording, ..planned };
        let outcome = self.prepare_and_send(&planned, delivery).await?;
        if missing.is_none() && outcome == Outcome::Done && promised_files(&history) {
            self.take_back_promise(payment.payment_id(), delivery).await?;
        }
        missing.map_or(Ok(outcome), Err)
    }

    async fn skip(
        &self,
        key: &EffectKey,
        reason: &'static str,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        delivery.skip(&self.ledger, &self.clock, key, reason).await
    }

    async fn park(
        &self,
        key: &EffectKey,
        error: TaskFailed,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        delivery.park(&self.ledger, &self.clock, key, error).await
    }
    /// What was bought, when files were.
    async fn download(&self, payment: Payment<'_>) -> Result<Option<Download>, TaskFailed> {
        let Some(event) = payment.download() else {
            return Ok(None);
        };
        self.downloads.of(event).await.map(Some).map_err(TaskFailed::NoDownload)
    }

    /// Parks the mail that will say that the files are there, before the first mail promises it: a promise without a
    /// row would not be kept.
    async fn promise_files(
        &self,
        missing: &TaskFailed,
        payment_id: &PaymentId,
        delivery: &Delivery,
    ) -> Result<(), TaskFailed> {
        delivery.note(FILES_MISSING);
        self.set_aside_files_ready(Disposition::Park(missing.reason()), payment_id, delivery).await
    }

    /// Drops the promise of a second mail: the files came before the first one, which lists them. Only once that one is
    /// done: an earlier attempt at it may have been sent, with the promise in it.
    async fn take_back_promise(&self, payment_id: &PaymentId, delivery: &Delivery) -> Result<(), TaskFailed> {
        self.set_aside_files_ready(Disposition::Skip("told_otherwise"), payment_id, delivery).await
    }

    async fn set_aside_files_ready(
        &self,
        write_disposition: Disposition<'_>,
        payment_id: &PaymentId,
        delivery: &Delivery,
    ) -> Result<(), TaskFailed> {
        let key = EffectKey::new(payment_id, files_ready());
        // Either it is written now or it was dealt with before.
        dispose::<_, TaskFailed>(&self.ledger, &self.clock, &key, write_disposition, delivery.event.id())
            .await?;
        Ok(())
    }

    /// The second mail, once the promised files are there.
    async fn tell_of_files(
        &self,
        payment: Payment<'_>,
        history: &[EffectRow],
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let key = EffectKey::new(payment.payment_id(), files_ready());
        if let Some(reason) = no_longer_wanted(payment, history) {
            return self.skip(&key, reason, delivery).await;
        }
        let download = self.download(payment).await?;
        if let Some(missing) = download.as_ref().and_then(missing) {
            delivery.note(FILES_MISSING);
            return self.park(&key, missing, delivery).await;
        }
        let so_far = history.iter().find(|row| row.effect == key.effect);
        let planned = Planned {
            payment,
            about: About::FilesReady,
            download: download.as_ref(),
            key: &key,
            own_wording: may_use_own_wording(delivery, so_far),
        };
        self.prepare_and_send(&planned, delivery).await
    }

    async fn prepare_and_send(
        &self,
        planned: &Planned<'_>,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        match self.prepare(planned, delivery).await {
            Ok(prepared) => self.send(&prepared, planned.payment, delivery).await,
            Err(error) => match error.class() {
                FailureClass::Permanent => self.park(planned.key, error, delivery).await,
                FailureClass::Retryable | FailureClass::Throttled => Err(error),
            },
        }
    }

    /// Everything that can fail without the mail service.
    async fn prepare(&self, planned: &Planned<'_>, delivery: &Delivery) -> Result<Prepared, TaskFailed> {
        let Planned { payment, key, .. } = *planned;
        let resend = delivery.resend.as_ref();
        let elsewhere = resend.and_then(|resend| resend.to.as_ref());
        let to = elsewhere.or(payment.email()).and_then(|email| without_invisible(email.expose()));
        let to =
            to.ok_or(NoRecipient::NotOne).and_then(|to| recipient(&to)).map_err(TaskFailed::NoRecipient)?;
        let reference = payment.payment_id().reference();
        let context = self.context(planned, &reference);
        let mut passed_over = Vec::new();
        if let (About::Money(SessionOutcome::Paid), Some(error)) =
            (planned.about, payment.unusable_thank_you())
        {
            passed_over.push(cause_chain(error));
        }
        let own = match self.overrides.wordings(&context.templates()).await {
            Ok(Some(_)) if !planned.own_wording => {
                passed_over.push(CAME_BACK.to_owned());
                None
            }
            Ok(own) => own,
            Err(error @ FilesError::Unavailable(_)) => return Err(TaskFailed::NoWording(error)),
            Err(error @ FilesError::Refused(_)) => {
                passed_over.push(cause_chain(&error));
                None
            }
        };
        let rendered = render(own.as_deref(), &context).map_err(TaskFailed::NotRendered)?;
        passed_over.extend(rendered.passed_over.iter().map(|error| cause_chain(error)));
        // Last of all, so that only a mail that can be sent counts.
        if payment.costs_nothing() && resend.is_none() {
            self.admit(&to, key, delivery).await?;
        }
        let mail = OutgoingMail {
            key: key.clone(),
            to: Personal::new(to),
            reply_to: self.policy.organisation.contact.clone(),
            subject: Personal::new(rendered.subject),
            html: Personal::new(rendered.html),
            text: Personal::new(rendered.text),
        };
        Ok(Prepared { mail, passed_over })
    }

    /// Counts a mail that costs nothing.
    async fn admit(&self, to: &str, mail: &EffectKey, delivery: &Delivery) -> Result<(), TaskFailed> {
        match self.limit.admit(to, mail).await.map_err(TaskFailed::LimitUnknown)? {
            Admission::Admitted => Ok(()),
            Admission::OverLimit => {
                delivery.note(MAIL_LIMITED);
                Err(TaskFailed::OverLimit)
            }
        }
    }

    fn context<'a>(&'a self, planned: &Planned<'a>, reference: &'a str) -> MailContext<'a> {
        let Planned { payment, about, download, .. } = *planned;
        MailContext {
            occasion: match about {
                About::Money(SessionOutcome::Paid) => Occasion::ThankYou { template: payment.thank_you() },
                About::Money(SessionOutcome::Pending) => Occasion::PaymentPending,
                About::Money(SessionOutcome::Failed) => Occasion::PaymentFailed,
                About::FilesReady => Occasion::FilesReady,
            },
            download,
            kind: payment.kind(),
            renewal: payment.is_renewal(),
            policy: &self.policy,
            locale: LocaleRequest { session: payment.locale(), country: payment.country() },
            customer_name: payment.name().map(|name| name.expose().as_str()),
            amount: payment.shown_amount(),
            paid_on: payment.paid_on(),
            reference,
        }
    }

    async fn send(
        &self,
        Prepared { mail, passed_over }: &Prepared,
        payment: Payment<'_>,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let send = async |executor| {
            let act = async || {
                for cause in passed_over {
                    warn!(payment.id = %shown_id(mail.key.subject.as_str()), "wording passed over: {cause}");
                }
                if !passed_over.is_empty() {
                    delivery.note(BROKEN_WORDING);
                }
                self.sender.send(mail).await
            };
            perform(&self.ledger, &self.clock, &mail.key, executor, act, SendError::reason).await
        };
        let mut performed = send(delivery.executor()).await?;
        if let Performed::Stale { version } = performed {
            let history = self.ledger.of_subject(&mail.key.subject).await?;
            if let Some(reason) = no_longer_wanted(payment, &history) {
                return self.skip(&mail.key, reason, delivery).await;
            }
            performed = send(Executor { expected_version: version, ..delivery.executor() }).await?;
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
            // Also when the version has risen again: the next delivery reads the rows again.
            Performed::Busy | Performed::Stale { .. } => Err(TaskFailed::InFlight(Busy)),
            Performed::LeaseLost => Err(TaskFailed::LeaseLost),
        }
    }
}

#[cfg(test)]
mod tests;
