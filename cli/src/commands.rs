//! One file a command: its arguments, how it finds out or acts, and what it says.

pub(crate) mod acquisitions;
pub(crate) mod close;
pub(crate) mod complete;
pub(crate) mod discard;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod links;
pub(crate) mod log;
pub(crate) mod mail;
pub(crate) mod publish;
pub(crate) mod reconcile;
pub(crate) mod redrive;
pub(crate) mod renew_link;
pub(crate) mod resend;
pub(crate) mod reset_fetches;
pub(crate) mod resolve;
pub(crate) mod retry;
pub(crate) mod status;
pub(crate) mod tasks;
