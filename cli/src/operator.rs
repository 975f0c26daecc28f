//! Who does something, and the rules about doing.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use effect_ledger::{Effect, OperatorAction, Verb};

use crate::deployment::Deployment;

/// The arguments of everything that changes something.
#[derive(Debug, Args)]
pub(crate) struct Acting {
    /// Does it; without this nothing is changed
    #[arg(long)]
    pub(crate) yes: bool,
    /// The reason, for later readers of the ledger; no names, no addresses
    #[arg(long, value_name = "WHY")]
    pub(crate) because: Option<String>,
}

impl Acting {
    /// Whether to act. Some decisions are not taken without a reason.
    pub(crate) fn decided(&self) -> Result<bool> {
        if self.yes && self.because.as_ref().is_none_or(|why| why.trim().is_empty()) {
            bail!("say why with --because: whoever reads the ledger later will want to know");
        }
        Ok(self.yes)
    }

    /// Who acts; none for a dry run.
    ///
    /// # Errors
    ///
    /// When AWS does not say who is calling.
    pub(crate) async fn operator(&self, deployment: &Deployment, now: i64) -> Result<Option<Operator>> {
        Ok(if self.yes { Some(Operator::identify(deployment, self, now).await?) } else { None })
    }
}

/// An operator at work: who, when and why.
pub(crate) struct Operator {
    by: String,
    at: i64,
    because: Option<String>,
}

impl Operator {
    #[cfg(test)]
    pub(crate) fn named(by: &str, at: i64, because: &str) -> Self {
        Self { by: by.to_owned(), at, because: Some(because.to_owned()) }
    }

    /// # Errors
    ///
    /// When AWS does not say who is calling.
    pub(crate) async fn identify(deployment: &Deployment, acting: &Acting, now: i64) -> Result<Self> {
        let caller = aws_sdk_sts::Client::new(&deployment.sdk).get_caller_identity().send().await;
        let caller = caller.context("AWS does not say who you are (sts:GetCallerIdentity)")?;
        let by = caller.arn.context("AWS knows no name for you")?;
        Ok(Self { by, at: now, because: acting.because.clone() })
    }

    pub(crate) fn action(
        &self,
        verb: Verb,
        about: Option<Effect>,
        before: impl Into<String>,
        after: impl Into<String>,
    ) -> OperatorAction {
        OperatorAction {
            verb,
            at: self.at,
            by: self.by.clone(),
            because: self.because.clone(),
            about,
            before: before.into(),
            after: after.into(),
        }
    }
}
