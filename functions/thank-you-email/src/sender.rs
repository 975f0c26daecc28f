use std::fmt;

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
    #[error("the mail service rejects {0} ({1})")]
    Rejected(Refused, String),
    /// The reply is missing or says nothing.
    #[error("it is not known whether the mail was sent ({0})")]
    ReplyLost(String),
}

/// What of a mail the service refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The sender's identity: every mail fails until the operator verifies it.
    Sender,
    /// The recipient's address.
    Recipient,
    /// What the mail holds.
    Content,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sender => "the sender",
            Self::Recipient => "the recipient",
            Self::Content => "this mail",
        })
    }
}

impl SendError {
    /// A short name for the ledger and the metrics.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Throttled(_) => "mail_throttled",
            Self::Unavailable(_) => "mail_unavailable",
            Self::Rejected(Refused::Sender, _) => "sender_refused",
            Self::Rejected(Refused::Recipient, _) => "recipient_refused",
            Self::Rejected(Refused::Content, _) => "mail_rejected",
            Self::ReplyLost(_) => "mail_reply_lost",
        }
    }
}
