use effect_ledger::{Attempted, EffectKey};
use stripe_events::Personal;

/// Sends mails.
pub(crate) trait EmailSender {
    /// Makes one attempt, and only one: whether to try again is the ledger's decision.
    ///
    /// `Accepted` carries the service's id of the mail.
    fn send(&self, mail: &OutgoingMail) -> impl Future<Output = Attempted<SendError>>;
}

/// A mail that is ready to go.
#[derive(Debug)]
pub(crate) struct OutgoingMail {
    /// Whose effect this mail is; the mail carries the ids as tags.
    pub(crate) key: EffectKey,
    pub(crate) to: Personal<String>,
    /// Where the customer's answer goes.
    pub(crate) reply_to: String,
    pub(crate) subject: Personal<String>,
    pub(crate) html: Personal<String>,
    pub(crate) text: Personal<String>,
}

/// Why a mail was not sent, or perhaps not. Codes only: the service's own sentences quote addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    /// Too many just now; nothing was sent.
    #[error("the mail service is busy ({0})")]
    Throttled(String),
    /// The request never left, or was refused before it was looked at; nothing was sent.
    #[error("the mail service cannot be used ({0})")]
    Unavailable(String),
    /// Refused for good.
    #[error("the mail service rejects this mail ({0})")]
    Rejected(String),
    /// The reply is missing or says nothing.
    #[error("nobody can tell whether the mail was sent ({0})")]
    ReplyLost(String),
}

impl SendError {
    /// A short name for the ledger and the metrics.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Throttled(_) => "mail_throttled",
            Self::Unavailable(_) => "mail_unavailable",
            Self::Rejected(_) => "mail_rejected",
            Self::ReplyLost(_) => "mail_reply_lost",
        }
    }
}
