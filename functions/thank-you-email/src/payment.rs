use fulfilment::{
    AmountParts, ContractError, FulfilmentKind, Money, PaymentId, SessionEvent, SessionOutcome,
    SubscriptionPayment, TemplateName,
};
use stripe_events::Personal;

/// The payment that a mail is about, as its session reports it, or the invoice of a renewal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Payment<'a> {
    /// A session says what was sold, to whom and in which language, and how the money stands.
    Session(&'a SessionEvent),
    /// An invoice says to whom and how much; what was sold, and the language, the session said that began the
    /// subscription.
    Renewal(&'a SubscriptionPayment),
}

impl<'a> Payment<'a> {
    /// The key.
    pub(crate) const fn payment_id(self) -> &'a PaymentId {
        match self {
            Self::Session(event) => &event.payment_id,
            Self::Renewal(payment) => &payment.invoice.payment_id,
        }
    }

    /// How the money stands. Only a paid invoice is read at all.
    pub(crate) const fn outcome(self) -> SessionOutcome {
        match self {
            Self::Session(event) => event.outcome,
            Self::Renewal(_) => SessionOutcome::Paid,
        }
    }

    /// Whether a subscription was paid again.
    pub(crate) const fn is_renewal(self) -> bool {
        matches!(self, Self::Renewal(_))
    }

    /// The kind of product.
    pub(crate) const fn kind(self) -> FulfilmentKind {
        match self {
            Self::Session(event) => event.link.kind,
            Self::Renewal(payment) => payment.contract.kind,
        }
    }

    /// The session, when files were bought in it.
    pub(crate) fn download(self) -> Option<&'a SessionEvent> {
        let is_download = self.outcome() == SessionOutcome::Paid && self.kind() == FulfilmentKind::Download;
        match self {
            Self::Session(event) if is_download => Some(event),
            Self::Session(_) | Self::Renewal(_) => None,
        }
    }

    /// The session, when Stripe is to be asked what was sold in it: it says how a subscription goes on, and names files
    /// whose link has no name for them. What any other link sells is named well enough by the link, or by its kind.
    pub(crate) fn asks_what_was_sold(self) -> Option<&'a SessionEvent> {
        let Self::Session(event) = self else { return None };
        let is_unnamed = event.link.kind == FulfilmentKind::Download && event.link.shown_as.is_none();
        let asks = event.outcome == SessionOutcome::Paid && (event.subscription_id.is_some() || is_unnamed);
        asks.then_some(event)
    }

    /// The name that the link gives to what is sold.
    pub(crate) fn shown_as(self) -> Option<&'a str> {
        match self {
            Self::Session(event) => event.link.shown_as.as_deref(),
            Self::Renewal(payment) => payment.contract.shown_as.as_deref(),
        }
    }

    /// What the booked amount is made of. An invoice's parts are not read.
    pub(crate) fn parts(self) -> AmountParts {
        match self {
            Self::Session(event) => event.parts,
            Self::Renewal(_) => AmountParts::default(),
        }
    }

    /// Whether the customer saw another amount than the booked one.
    pub(crate) const fn is_converted(self) -> bool {
        match self {
            Self::Session(event) => event.presentment.is_some(),
            Self::Renewal(_) => false,
        }
    }

    /// The template that the link names.
    pub(crate) const fn thank_you(self) -> Option<&'a TemplateName> {
        match self {
            Self::Session(event) => event.link.thank_you.as_ref(),
            Self::Renewal(payment) => payment.contract.thank_you.as_ref(),
        }
    }

    /// A template's name that cannot be one. The mail for the first payment reported it.
    pub(crate) const fn unusable_thank_you(self) -> Option<&'a ContractError> {
        match self {
            Self::Session(event) => event.link.unusable_thank_you.as_ref(),
            Self::Renewal(_) => None,
        }
    }

    /// Where to write to.
    pub(crate) const fn email(self) -> Option<&'a Personal<String>> {
        match self {
            Self::Session(event) => event.email.as_ref(),
            Self::Renewal(payment) => payment.invoice.email.as_ref(),
        }
    }

    /// Whom to write to.
    pub(crate) const fn name(self) -> Option<&'a Personal<String>> {
        match self {
            Self::Session(event) => event.name.as_ref(),
            Self::Renewal(payment) => payment.invoice.name.as_ref(),
        }
    }

    /// The language tag of the payment page.
    pub(crate) fn locale(self) -> Option<&'a str> {
        match self {
            Self::Session(event) => event.locale.as_deref(),
            Self::Renewal(payment) => payment.contract.locale.as_deref(),
        }
    }

    /// ISO 3166-1 alpha-2.
    pub(crate) fn country(self) -> Option<&'a str> {
        match self {
            Self::Session(event) => event.country.as_deref(),
            Self::Renewal(payment) => payment.invoice.country.as_deref(),
        }
    }

    /// The booked amount.
    pub(crate) const fn amount(self) -> Money {
        match self {
            Self::Session(event) => event.amount,
            Self::Renewal(payment) => payment.amount,
        }
    }

    /// What the customer saw.
    pub(crate) fn shown_amount(self) -> Money {
        match self {
            Self::Session(event) => *event.shown_amount(),
            Self::Renewal(payment) => payment.amount,
        }
    }

    /// When it was paid, or tried, in Unix seconds.
    pub(crate) const fn paid_on(self) -> i64 {
        match self {
            Self::Session(event) => event.occurred_at,
            Self::Renewal(payment) => payment.invoice.paid_at,
        }
    }

    /// Whether its mail can be had for nothing: thanks for a payment of nothing, and word of one that has not come.
    pub(crate) const fn costs_nothing(self) -> bool {
        match self.outcome() {
            SessionOutcome::Paid => self.amount().is_zero(),
            SessionOutcome::Pending | SessionOutcome::Failed => true,
        }
    }
}
