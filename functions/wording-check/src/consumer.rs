//! One change of the bucket, at most one mail. In this order:
//!
//! 1. the event is read; what is no change of a template is skipped;
//! 2. the folder is listed, as it is now. If a later change reports on it, or it was reported on as it is, it is skipped;
//! 3. the files are read and checked, as `afterlink mail check` does; what was found is logged and counted;
//! 4. the owner is mailed. If that fails, the message is received again, and all of this is done anew.

use std::cell::RefCell;
use std::collections::BTreeMap;

use fulfilment::Policy;
use mail_rendering::check::Severity;
use mail_rendering::is_template_file;
use task_runtime::{About, Consumer, Counted, FailureClass, Outcome, Receipt, TaskError};
use tracing::warn;

use crate::bucket::{TemplatesBucket, Unavailable};
use crate::folder::{Folder, LAYOUT};
use crate::notice::{Checked, MOST_LISTED, one_line};
use crate::owner::informed;
use crate::sender::{NotSent, NoticeSender};
use crate::upload::{Change, Upload};

/// The metric that counts templates which were uploaded and cannot be used as they are.
const BROKEN_TEMPLATE: &str = "BrokenTemplate";

/// So many folders are remembered as reported.
const MOST_REMEMBERED: usize = 1000;

/// Checks templates as they are uploaded.
pub(crate) struct WordingCheck {
    bucket: TemplatesBucket,
    sender: NoticeSender,
    policy: Policy,
    stage: String,
    /// The folders that this process reported on, and their state then.
    reported: RefCell<BTreeMap<String, u64>>,
}

/// A message, as it was read.
pub(crate) struct Delivered {
    upload: Upload,
    counted: Counted,
}

/// Why a template was not reported on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckFailed {
    #[error(transparent)]
    Templates(#[from] Unavailable),
    #[error(transparent)]
    NotSent(#[from] NotSent),
}

impl TaskError for CheckFailed {
    fn class(&self) -> FailureClass {
        match self {
            Self::NotSent(NotSent::Throttled(_)) => FailureClass::Throttled,
            Self::NotSent(NotSent::Rejected(_)) => FailureClass::Permanent,
            Self::NotSent(NotSent::Unavailable(_)) | Self::Templates(_) => FailureClass::Retryable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Templates(_) => "templates_unavailable",
            Self::NotSent(NotSent::Throttled(_)) => "mail_throttled",
            Self::NotSent(NotSent::Unavailable(_)) => "mail_unavailable",
            Self::NotSent(NotSent::Rejected(_)) => "mail_rejected",
        }
    }
}

impl Consumer for WordingCheck {
    type Message = Delivered;
    type Error = CheckFailed;

    const UNDECODABLE: &'static str = "undecodable_event";

    fn read(&self, body: &[u8], receipt: Receipt) -> Result<Delivered, String> {
        Ok(Delivered { upload: Upload::from_json(body)?, counted: receipt.counted })
    }

    fn about(&self, Delivered { upload, .. }: &Delivered) -> About {
        let template = upload.folder().map(one_line);
        About {
            event_id: upload.event_id.clone(),
            event_kind: upload.kind().to_owned(),
            payment_id: None,
            subject: template.clone(),
            template,
        }
    }

    async fn handle(&self, Delivered { upload, counted }: &Delivered) -> Result<Outcome, CheckFailed> {
        if upload.bucket != self.bucket.name {
            return Ok(Outcome::Skipped("another_bucket"));
        }
        if upload.change == Change::OldVersionRemoved {
            return Ok(Outcome::Skipped("old_version"));
        }
        let Some(name) = upload.folder() else {
            report_in_no_folder(upload, counted);
            return Ok(Outcome::Skipped("in_no_folder"));
        };
        let folder = Folder::list(&self.bucket, name).await?;
        if folder.is_empty() {
            return Ok(Outcome::Skipped("no_files"));
        }
        if folder.is_overtaken(upload) {
            return Ok(Outcome::Skipped("overtaken"));
        }
        if self.reported.borrow().get(name) == Some(&folder.state()) {
            return Ok(Outcome::Skipped("already_reported"));
        }
        let outcome = self.report(&folder, counted).await?;
        self.remember(&folder);
        Ok(outcome)
    }
}

impl WordingCheck {
    pub(crate) fn new(bucket: TemplatesBucket, sender: NoticeSender, policy: Policy, stage: String) -> Self {
        Self { bucket, sender, policy, stage, reported: RefCell::default() }
    }

    async fn report(&self, folder: &Folder, counted: &Counted) -> Result<Outcome, CheckFailed> {
        let found = folder.check(&self.bucket, &self.policy).await?;
        if found.findings.is_empty() && found.usable.is_empty() {
            // Notes beside a template that is yet to come.
            return Ok(Outcome::Skipped("no_files"));
        }
        let owner_file = folder.owner_file(&self.bucket).await?;
        let informed = informed(owner_file.as_deref(), &self.policy.marketers);
        let checked = Checked {
            folder: &folder.name,
            stage: &self.stage,
            findings: found.findings,
            usable: found.usable,
            is_layout: folder.name == LAYOUT,
            is_owner_refused: informed.is_owner_refused,
        };
        log(&checked);
        if checked.is_broken() {
            counted.count(BROKEN_TEMPLATE);
        }
        if informed.to.is_empty() {
            return Ok(Outcome::Skipped("no_recipient"));
        }
        self.sender.send(&checked.notice(), &informed.to).await?;
        Ok(Outcome::Done)
    }

    fn remember(&self, folder: &Folder) {
        let mut reported = self.reported.borrow_mut();
        if reported.len() >= MOST_REMEMBERED {
            reported.clear();
        }
        reported.insert(folder.name.clone(), folder.state());
    }
}

/// A mail's text that lies beside the folders. It belongs to no template, so it has no owner either.
fn report_in_no_folder(upload: &Upload, counted: &Counted) {
    if matches!(upload.change, Change::Placed { .. }) && is_template_file(&upload.key) {
        counted.count(BROKEN_TEMPLATE);
        warn!(
            file = one_line(&upload.key),
            "it lies in no folder, so no mail uses it: a template is a folder"
        );
    }
}

/// What the operator reads who follows the alarm.
fn log(checked: &Checked<'_>) {
    for finding in checked.findings.iter().take(MOST_LISTED) {
        let is_mistake = finding.severity == Severity::Mistake;
        warn!(
            template = one_line(checked.folder),
            file = one_line(&finding.path),
            line = finding.line,
            is_mistake,
            "{}",
            finding.problem
        );
    }
}

#[cfg(test)]
mod tests;
