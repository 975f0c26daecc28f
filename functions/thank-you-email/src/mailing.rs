use customer_locale::LocaleRequest;
use download_claims::SoldItem;
use effect_ledger::{Effect, EffectKey, EffectRow, EffectState};
use fulfilment::{
    FulfilmentKind, NoRecipient, Policy, SessionOutcome, effects, recipient, without_invisible,
};
use task_runtime::Delivery;

use crate::failure::TaskFailed;
use crate::payment::Payment;
use mail_rendering::{Download, MailContext, Occasion, Sale};

/// One mail that a delivery calls for: everything that the decisions about it look at.
pub(crate) struct Mailing<'a> {
    pub(crate) delivery: &'a Delivery,
    pub(crate) payment: Payment<'a>,
    pub(crate) about: About,
    /// The mail's effect.
    pub(crate) key: EffectKey,
    /// The files that were bought, and which of them are there; `None` where no files were.
    pub(crate) download: Option<Download>,
    /// What was sold, line by line; none where Stripe was not asked, or did not answer.
    pub(crate) sold: Vec<SoldItem>,
    /// Whether a marketer's own wording may be used.
    pub(crate) own_wording: bool,
}

/// The subject matter of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// The outcome of the payment.
    Money(SessionOutcome),
    /// Files that an earlier mail promised.
    FilesReady,
}

impl<'a> Mailing<'a> {
    /// The mail about a payment's outcome: its own, or the one more that an operator asks for.
    pub(crate) fn about_payment(payment: Payment<'a>, delivery: &'a Delivery) -> Self {
        let effect = effect_of(payment.outcome(), delivery);
        let key = EffectKey::new(payment.payment_id(), effect);
        let about = About::Money(payment.outcome());
        Self { delivery, payment, about, key, download: None, sold: Vec::new(), own_wording: true }
    }

    /// The second mail of a purchase, once the promised files are there.
    pub(crate) fn about_files(self) -> Self {
        let key = EffectKey::new(self.payment.payment_id(), files_ready());
        Self { about: About::FilesReady, key, ..self }
    }

    /// Whether the mail is claimed without reading the payment's other rows.
    ///
    /// The task that records a refund raises the version of the thank-you's own row, and the claim is refused until the
    /// rows are read. The other mails read first: pending and failed ones to find out whether they were overtaken, a
    /// resent one for the state of the first. A purchase of files and a subscription do, because looking up what was sold
    /// costs more, which a duplicate need not. A message that was received before does, because the end of its last delivery decides about the
    /// wording.
    pub(crate) fn is_claimed_unread(&self) -> bool {
        self.payment.outcome() == SessionOutcome::Paid
            && self.payment.kind() != FulfilmentKind::Download
            && self.payment.asks_what_was_sold().is_none()
            && self.delivery.resend.is_none()
            && self.delivery.receive_count <= 1
    }

    /// The row of this mail's effect.
    pub(crate) fn row<'r>(&self, rows: &'r [EffectRow]) -> Option<&'r EffectRow> {
        rows.iter().find(|row| row.effect == self.key.effect)
    }

    /// The same mail with the wording that its row allows.
    ///
    /// A marketer's own wording may be a mistake that kills the process. A message that is received again without a trace
    /// of its first delivery may be one: it goes out with the built-in wording. A delivery that got as far as SES left
    /// `retry` behind, and its wording is good.
    pub(crate) fn with_wording_allowed_by(self, rows: &[EffectRow]) -> Self {
        let was_rendered = self.row(rows).is_some_and(|row| matches!(row.state, EffectState::Retry { .. }));
        let own_wording = self.delivery.receive_count <= 1 || was_rendered;
        Self { own_wording, ..self }
    }

    /// The reason for which the mail is out of date, if it is: events come in any order, and payments change.
    pub(crate) fn out_of_date(&self, rows: &[EffectRow]) -> Option<&'static str> {
        let later = match self.payment.outcome() {
            // Thanks for a gift that has been given back would read as mockery.
            SessionOutcome::Paid => {
                return payment_ledger::is_refunded(rows, self.payment.amount()).then_some("refunded");
            }
            // After a thank-you, a mail about a payment that is awaited would only confuse.
            SessionOutcome::Failed => vec![effects::email_about(SessionOutcome::Paid)],
            SessionOutcome::Pending => {
                vec![effects::email_about(SessionOutcome::Paid), effects::email_about(SessionOutcome::Failed)]
            }
        };
        let overtaken = rows.iter().any(|row| {
            later.contains(&row.effect)
                && matches!(
                    row.state,
                    EffectState::Done | EffectState::Claimed(_) | EffectState::Unknown { .. }
                )
        });
        overtaken.then_some("overtaken")
    }

    /// Why the purchase cannot be fetched yet, if it cannot.
    pub(crate) fn missing_files(&self) -> Option<TaskFailed> {
        let download = self.download.as_ref()?;
        if download.files.is_empty() {
            return Some(TaskFailed::NoFiles);
        }
        let missing = download.files.iter().filter(|offered| offered.size.is_none());
        let missing: Vec<&str> = missing.map(|offered| offered.file.key.as_str()).collect();
        (!missing.is_empty()).then(|| TaskFailed::FilesMissing(missing.join(", ")))
    }

    /// The address that the mail goes to: the customer's, or the one that an operator names.
    pub(crate) fn recipient(&self) -> Result<String, NoRecipient> {
        let named = self.delivery.resend.as_ref().and_then(|resend| resend.to.as_ref());
        let address = named.or(self.payment.email()).and_then(|email| without_invisible(email.expose()));
        recipient(&address.ok_or(NoRecipient::NotOne)?)
    }

    /// What the mail's templates are filled with.
    pub(crate) fn context<'c>(&'c self, policy: &'c Policy, reference: &'c str) -> MailContext<'c> {
        let payment = self.payment;
        MailContext {
            occasion: match self.about {
                About::Money(SessionOutcome::Paid) => Occasion::ThankYou { template: payment.thank_you() },
                About::Money(SessionOutcome::Pending) => Occasion::PaymentPending,
                About::Money(SessionOutcome::Failed) => Occasion::PaymentFailed,
                About::FilesReady => Occasion::FilesReady,
            },
            download: self.download.as_ref(),
            kind: payment.kind(),
            renewal: payment.is_renewal(),
            policy,
            locale: LocaleRequest { session: payment.locale(), country: payment.country() },
            customer_name: payment.name().map(|name| name.expose().as_str()),
            amount: payment.shown_amount(),
            sale: Sale {
                shown_as: payment.shown_as(),
                items: &self.sold,
                parts: payment.parts(),
                converted: payment.is_converted(),
            },
            paid_on: payment.paid_on(),
            reference,
        }
    }
}

/// The effect of the mail about an outcome: its own, or the one more that an operator asks for.
pub(crate) fn effect_of(outcome: SessionOutcome, delivery: &Delivery) -> Effect {
    let own = effects::email_about(outcome);
    match &delivery.resend {
        Some(resend) => effects::resent(&own, &resend.id),
        None => own,
    }
}

/// The mail that reports the files which an earlier mail promised.
pub(crate) fn files_ready() -> Effect {
    effects::email("files-ready")
}

/// Whether an earlier mail promised the customer files, and none has reported them yet.
pub(crate) fn promised_files(rows: &[EffectRow]) -> bool {
    rows.iter().any(|row| row.effect == files_ready() && already_settled(&row.state).is_none())
}

/// The reason code for skipping a mail that is settled.
pub(crate) const fn already_settled(state: &EffectState) -> Option<&'static str> {
    match state {
        EffectState::Done => Some("already_done"),
        EffectState::Skipped { .. } => Some("already_skipped"),
        EffectState::Unknown { .. } => Some("already_unknown"),
        EffectState::Retry { .. } | EffectState::Parked { .. } | EffectState::Claimed(_) => None,
    }
}
