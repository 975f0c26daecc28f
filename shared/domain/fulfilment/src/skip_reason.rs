/// Why an event is acknowledged without doing anything. Counted by [`SkipReason::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// Carries no object to act on.
    #[error("thin events carry no object and are not supported")]
    ThinEvent,
    /// Of a connected account: its owner may make any link, and is paid for it.
    #[error("the event is of a connected account, which sells nothing of ours")]
    ConnectedAccount,
    /// Another event type than this task reacts to.
    #[error("not an event this task reacts to")]
    OtherEventType,
    /// Test events in live, or the other way round.
    #[error("its livemode is not this stage's")]
    OtherLivemode,
    /// No marker: another business of the same Stripe account.
    #[error("the session does not carry our marker, so it belongs to another business")]
    AnotherBusiness,
    /// Its marker is misspelt so that it is not read. Most likely it was meant to be ours.
    #[error("the session carries a key that is nearly our marker")]
    MisspeltMarker,
    /// A `setup` session saves a payment method.
    #[error("a session in setup mode sells nothing")]
    SetupMode,
    /// A refund or a dispute of a charge that Checkout did not make.
    #[error("no payment intent, so no Payment Link was paid")]
    NoPaymentIntent,
    /// An invoice of a one-off payment, whose session reports it, or one made by hand.
    #[error("the invoice is not a subscription's")]
    NoSubscription,
    /// An invoice that is void, written off or still open.
    #[error("the invoice is not paid")]
    NotPaid,
    /// An invoice that credits the customer: nothing was paid, and no money went back.
    #[error("the invoice credits the customer")]
    Credit,
}

impl SkipReason {
    /// A short name for metrics and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ThinEvent => "thin_event",
            Self::ConnectedAccount => "connected_account",
            Self::OtherEventType => "other_event_type",
            Self::OtherLivemode => "other_livemode",
            Self::AnotherBusiness => "another_business",
            Self::MisspeltMarker => "misspelt_marker",
            Self::SetupMode => "setup_mode",
            Self::NoPaymentIntent => "no_payment_intent",
            Self::NoSubscription => "no_subscription",
            Self::NotPaid => "not_paid",
            Self::Credit => "credit",
        }
    }
}
