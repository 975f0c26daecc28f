//! One event, at most one mail. In this order:
//!
//! 1. the event is read: a session's outcome, or a renewal where the policy thanks for renewals;
//! 2. a first thank-you is claimed at once; every other mail first reads the payment's rows, and is skipped where it is
//!    settled or out of date;
//! 3. the files of a purchase are looked up; missing ones are promised, and a second mail is parked; of subscriptions
//!    and unnamed files Stripe is asked what was sold, and the mail does without where it does not answer;
//! 4. everything that can fail without the mail service: recipient, wording, limit;
//! 5. claim, one call of SES, settle. Where the payment's rows have changed meanwhile, they are read and the mail is
//!    skipped or claimed once more.

use aws::{Clock, cause_chain};
use effect_ledger::{
    Busy, Disposition, EffectKey, EffectStore, Executor, Performed, StoreError, Subject, dispose, perform,
};
use fulfilment::{BrokenSession, InvoiceEvent, PaymentId, Policy, Reading, SessionOutcome, SkipReason};
use mail_rendering::render;
use payment_ledger::as_filed;
use payment_lookup::{PaymentLookup, Stripe, Whose};
use stripe_events::{Event, Personal, shown_id};
use task_runtime::{Delivery, FailureClass, Outcome, Task, TaskError};
use tracing::warn;

use crate::downloads::{Downloads, DownloadsError};
use crate::failure::TaskFailed;
use crate::limit::{AddressLimit, Admission};
use crate::mailing::{About, Mailing, already_settled, effect_of, files_ready, promised_files};
use crate::overrides::{FilesError, Overrides, TemplateFiles};
use crate::payment::Payment;
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

/// `policy.toml` thanks once for what the subscription sells.
const RENEWALS_NOT_THANKED: &str = "renewals_not_thanked";

/// The cause that is logged where a message was received before.
const CAME_BACK: &str = "the message was delivered before and left no trace, so its own wording was not used: it may \
                         have ended the process";

/// A mail that is ready to go.
struct Prepared {
    mail: OutgoingMail,
    /// The wording it is written in, and what was passed over for it, for the ledger.
    wording: String,
    /// Why its own wording was not used, where it was not. Logged when the mail is sent: a duplicate sends none.
    passed_over: Vec<String>,
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
        let filed = as_filed(&self.ledger, &delivery.event).await?;
        match Reading::from_event(&filed, self.livemode) {
            Ok(Reading::Session(Ok(session))) => {
                self.mail(Mailing::about_payment(Payment::Session(&session), delivery)).await
            }
            Ok(Reading::Session(Err(BrokenSession { payment_id, intended, broken }))) => {
                let key = EffectKey::new(payment_id, effect_of(intended, delivery));
                self.park(&key, TaskFailed::Broken(broken), delivery).await
            }
            Ok(Reading::Invoice(invoice)) => self.mail_about_renewal(*invoice, delivery).await,
            Ok(
                Reading::Refund(_)
                | Reading::Dispute(_)
                | Reading::FraudWarning(_)
                | Reading::InvoicePayment { .. },
            ) => Ok(Outcome::Skipped(SkipReason::OtherEventType.as_str())),
            Err(reason) => Ok(Outcome::Skipped(reason.as_str())),
        }
    }
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
    /// Thanks for the renewal of a subscription, where the policy does for what it sells.
    async fn mail_about_renewal(
        &self,
        invoice: InvoiceEvent,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        if invoice.is_first {
            return Ok(Outcome::Skipped(TOLD_BY_SESSION));
        }
        // Then no row of it is expected, and whose the subscription is need not be looked up.
        if !self.policy.thanks_renewals() {
            return Ok(Outcome::Skipped(RENEWALS_NOT_THANKED));
        }
        let key = EffectKey::new(&invoice.payment_id, effect_of(SessionOutcome::Paid, delivery));
        let whose = self.lookup.whose(&invoice, delivery.executor()).await?;
        if let Whose::Ours(contract) = &whose
            && !self.policy.kind(contract.kind).thank_renewals
        {
            return self.skip(&key, RENEWALS_NOT_THANKED, delivery).await;
        }
        match whose.payment(invoice) {
            Some(Ok(payment)) => {
                self.mail(Mailing::about_payment(Payment::Renewal(&payment), delivery)).await
            }
            Some(Err(broken)) => self.park(&key, TaskFailed::Broken(broken), delivery).await,
            None => Ok(Outcome::Skipped(SkipReason::AnotherBusiness.as_str())),
        }
    }

    /// Sends the mail about a payment, unless it is settled or out of date.
    async fn mail(&self, mailing: Mailing<'_>) -> Result<Outcome, TaskFailed> {
        if mailing.is_claimed_unread() {
            return self.prepare_and_send(&mailing).await;
        }
        let rows = self.ledger.of_subject(&mailing.key.subject).await?;
        if let Some(already) = mailing.row(&rows).and_then(|row| already_settled(&row.state)) {
            let owes_files = mailing.payment.outcome() == SessionOutcome::Paid && promised_files(&rows);
            if !owes_files {
                return Ok(Outcome::Skipped(already));
            }
            let mailing = mailing.about_files();
            if let Some(reason) = mailing.out_of_date(&rows) {
                return self.skip(&mailing.key, reason, mailing.delivery).await;
            }
            return self
                .mail_about_files(self.with_purchase(mailing).await?.with_wording_allowed_by(&rows))
                .await;
        }
        if let Some(reason) = mailing.out_of_date(&rows) {
            return self.skip(&mailing.key, reason, mailing.delivery).await;
        }
        let mailing = self.with_purchase(mailing).await?.with_wording_allowed_by(&rows);
        match mailing.missing_files() {
            Some(missing) => self.mail_with_promise(&mailing, missing).await,
            None => {
                let outcome = self.prepare_and_send(&mailing).await?;
                if outcome == Outcome::Done && promised_files(&rows) {
                    self.take_back_promise(&mailing).await?;
                }
                Ok(outcome)
            }
        }
    }

    /// The same mail with the files that were bought, where files were, and with what was sold.
    async fn with_purchase<'a>(&self, mailing: Mailing<'a>) -> Result<Mailing<'a>, TaskFailed> {
        let payment = mailing.payment;
        let (download, mut sold) = match payment.download() {
            Some(session) => {
                let bought = self.downloads.of(session).await.map_err(TaskFailed::NoDownload)?;
                (Some(bought.download), bought.sold)
            }
            None => (None, Vec::new()),
        };
        if let Some(session) = payment.asks_what_was_sold()
            && sold.is_empty()
        {
            match self.downloads.sold(session).await {
                Ok(items) => sold = items,
                // Only words are lacking: neither a delay nor a failure of Stripe's is worth a mail.
                Err(error) => log_without_words(payment, &error),
            }
        }
        Ok(Mailing { download, sold, ..mailing })
    }

    /// The second mail of a purchase, if the promised files are there.
    async fn mail_about_files(&self, mailing: Mailing<'_>) -> Result<Outcome, TaskFailed> {
        match mailing.missing_files() {
            Some(missing) => {
                mailing.delivery.count(FILES_MISSING);
                self.park(&mailing.key, missing, mailing.delivery).await
            }
            None => self.prepare_and_send(&mailing).await,
        }
    }

    /// A mail that promises files which are not there. The mail that will report them is parked first: a promise without
    /// a row would not be kept. The message goes to the DLQ, so that an operator redrives it once the files are there.
    async fn mail_with_promise(
        &self,
        mailing: &Mailing<'_>,
        missing: TaskFailed,
    ) -> Result<Outcome, TaskFailed> {
        mailing.delivery.count(FILES_MISSING);
        let park = Disposition::Park { reason: missing.reason(), detail: &missing.to_string() };
        self.dispose_of_files_ready(mailing, park).await?;
        self.prepare_and_send(mailing).await?;
        Err(missing)
    }

    /// Skips the second mail: the files came before the first one, which lists them. Only once that one is done: an earlier
    /// attempt at it may have been sent with the promise in it.
    async fn take_back_promise(&self, mailing: &Mailing<'_>) -> Result<(), TaskFailed> {
        self.dispose_of_files_ready(mailing, Disposition::Skip("told_otherwise")).await
    }

    async fn dispose_of_files_ready(
        &self,
        mailing: &Mailing<'_>,
        disposition: Disposition<'_>,
    ) -> Result<(), TaskFailed> {
        let key = EffectKey::new(mailing.payment.payment_id(), files_ready());
        let event_id = mailing.delivery.event.id();
        // Either it is written now or it was settled before.
        dispose::<_, TaskFailed>(&self.ledger, &self.clock, &key, disposition, event_id).await?;
        Ok(())
    }

    async fn prepare_and_send(&self, mailing: &Mailing<'_>) -> Result<Outcome, TaskFailed> {
        match self.prepare(mailing).await {
            Ok(prepared) => self.send(&prepared, mailing).await,
            Err(error) => match error.class() {
                FailureClass::Permanent => self.park(&mailing.key, error, mailing.delivery).await,
                FailureClass::Retryable | FailureClass::Throttled => Err(error),
            },
        }
    }

    /// Everything that can fail without the mail service.
    async fn prepare(&self, mailing: &Mailing<'_>) -> Result<Prepared, TaskFailed> {
        let to = mailing.recipient().map_err(TaskFailed::NoRecipient)?;
        let reference = mailing.payment.payment_id().reference();
        let context = mailing.context(&self.policy, &reference);
        let mut passed_over = Vec::new();
        if let (About::Money(SessionOutcome::Paid), Some(error)) =
            (mailing.about, mailing.payment.unusable_thank_you())
        {
            passed_over.push(cause_chain(error));
        }
        let own = match self.overrides.wordings(&context.templates()).await {
            Ok(Some(_)) if !mailing.own_wording => {
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
        if mailing.payment.costs_nothing() && mailing.delivery.resend.is_none() {
            self.admit(&to, mailing).await?;
        }
        let wording = std::iter::once(format!("wording {}/{}", rendered.template, rendered.locale));
        let wording = wording.chain(passed_over.iter().map(|cause| format!("passed over: {cause}")));
        let wording = wording.collect::<Vec<_>>().join("; ");
        let mail = OutgoingMail {
            key: mailing.key.clone(),
            to: Personal::new(to),
            reply_to: self.policy.organisation.contact.clone(),
            subject: Personal::new(rendered.subject),
            html: Personal::new(rendered.html),
            text: Personal::new(rendered.text),
        };
        Ok(Prepared { mail, wording, passed_over })
    }

    /// Counts a mail about a payment that costs nothing against its address's limit.
    async fn admit(&self, to: &str, mailing: &Mailing<'_>) -> Result<(), TaskFailed> {
        match self.limit.admit(to, &mailing.key).await.map_err(TaskFailed::LimitUnknown)? {
            Admission::Admitted => Ok(()),
            Admission::OverLimit => {
                mailing.delivery.count(MAIL_LIMITED);
                Err(TaskFailed::OverLimit)
            }
        }
    }

    /// Claims the mail and sends it, at most once. A claim that the row's version refuses is tried once more, after the
    /// payment's rows were read.
    async fn send(&self, prepared: &Prepared, mailing: &Mailing<'_>) -> Result<Outcome, TaskFailed> {
        let delivery = mailing.delivery;
        let mut performed = self.perform(prepared, delivery, delivery.executor()).await?;
        if let Performed::Stale { version } = performed {
            let rows = self.ledger.of_subject(&mailing.key.subject).await?;
            if let Some(reason) = mailing.out_of_date(&rows) {
                return self.skip(&mailing.key, reason, delivery).await;
            }
            let executor = Executor { expected_version: version, ..delivery.executor() };
            performed = self.perform(prepared, delivery, executor).await?;
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
                    delivery.count(MAIL_THROTTLED);
                }
                Err(TaskFailed::NotSent(error))
            }
            Performed::Rejected(error) => Err(TaskFailed::Rejected(error)),
            // Also when the version has risen again: the next delivery reads the rows again.
            Performed::Busy | Performed::Stale { .. } => Err(TaskFailed::InFlight(Busy)),
            Performed::LeaseLost => Err(TaskFailed::LeaseLost),
        }
    }

    async fn perform(
        &self,
        Prepared { mail, wording, passed_over }: &Prepared,
        delivery: &Delivery,
        executor: Executor<'_>,
    ) -> Result<Performed<SendError>, StoreError> {
        let act = async || {
            for cause in passed_over {
                warn!(payment.id = %shown_id(mail.key.subject.as_str()), "wording passed over: {cause}");
            }
            if !passed_over.is_empty() {
                delivery.count(BROKEN_WORDING);
            }
            self.sender.send(mail).await
        };
        let executor = Executor { detail: Some(wording), ..executor };
        perform(&self.ledger, &self.clock, &mail.key, executor, act, SendError::reason).await
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
}

fn log_without_words(payment: Payment<'_>, error: &DownloadsError) {
    let payment_id = shown_id(payment.payment_id().as_str());
    warn!(payment.id = %payment_id, "the mail does not name what was bought: {}", cause_chain(error));
}

#[cfg(test)]
mod tests;
