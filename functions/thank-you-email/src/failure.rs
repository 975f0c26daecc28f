use effect_ledger::{Busy, StoreError};
use fulfilment::{NoRecipient, SessionBroken};
use mail_rendering::RenderError;
use payment_lookup::LookupFailed;
use task_runtime::{FailureClass, TaskError};

use crate::downloads::DownloadsError;
use crate::limit::LimitError;
use crate::overrides::FilesError;
use crate::sender::SendError;

/// Why a mail was not sent. The ledger and the metrics have [`TaskError::reason`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskFailed {
    #[error("the event is ours but cannot be acted on")]
    Broken(#[source] SessionBroken),
    #[error("the mail cannot be addressed")]
    NoRecipient(#[source] NoRecipient),
    #[error("the address has had its mails of the day about payments that cost nothing")]
    OverLimit,
    #[error("the count of the address's mails cannot be read")]
    LimitUnknown(#[source] LimitError),
    #[error("the mail's wording cannot be read")]
    NoWording(#[source] FilesError),
    #[error("the files of the purchase cannot be determined")]
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
