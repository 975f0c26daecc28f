//! Who does something, and the rules about doing.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use effect_ledger::{Effect, OperatorAction, Verb};

use crate::deployment::Deployment;

/// The arguments of everything that changes something.
#[derive(Debug, Args)]
pub(crate) struct Acting {
    /// Does it; without this nothing is changed. Takes a reason
    #[arg(long)]
    pub(crate) yes: bool,
    /// The reason, for later readers of the ledger; no names, no addresses
    #[arg(long, value_name = "WHY")]
    pub(crate) because: Option<String>,
}

impl Acting {
    /// Why, for a deed; none for a dry run.
    ///
    /// # Errors
    ///
    /// When a deed has no reason, or one that the ledger must not hold.
    fn reason(&self) -> Result<Option<&str>> {
        let why = self.because.as_deref().map(str::trim).filter(|why| !why.is_empty());
        if why.is_some_and(|why| why.contains('@')) {
            bail!("--because has an email address in it, and the ledger keeps none: say why without it");
        }
        match (self.yes, why) {
            (false, _) => Ok(None),
            (true, Some(why)) => Ok(Some(why)),
            (true, None) => bail!("say why with --because: whoever reads the ledger later will want to know"),
        }
    }

    /// Who acts; none for a dry run. Asked before anything else, so that nothing is begun without a reason.
    ///
    /// # Errors
    ///
    /// When a deed has no reason, or one that the ledger must not hold; when AWS does not say who is calling.
    pub(crate) async fn operator(&self, deployment: &Deployment, now: i64) -> Result<Option<Operator>> {
        let Some(because) = self.reason()? else { return Ok(None) };
        let caller = aws_sdk_sts::Client::new(&deployment.sdk).get_caller_identity().send().await;
        let caller = caller.context("AWS does not say who you are (sts:GetCallerIdentity)")?;
        let by = caller.arn.context("AWS knows no name for you")?;
        Ok(Some(Operator { by, at: now, because: because.to_owned() }))
    }
}

/// An operator at work: who, when and why.
#[derive(Clone)]
pub(crate) struct Operator {
    by: String,
    at: i64,
    because: String,
}

impl Operator {
    #[cfg(test)]
    pub(crate) fn named(by: &str, at: i64, because: &str) -> Self {
        Self { by: by.to_owned(), at, because: because.to_owned() }
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
            because: Some(self.because.clone()),
            about,
            before: before.into(),
            after: after.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deed_has_a_reason_without_an_address_in_it() {
        let reason = |yes, because: Option<&str>| {
            let acting = Acting { yes, because: because.map(str::to_owned) };
            acting.reason().map(|why| why.map(str::to_owned)).map_err(|error| error.to_string())
        };
        assert_eq!(reason(true, Some(" the key is back ")), Ok(Some("the key is back".to_owned())));
        assert_eq!(reason(false, None), Ok(None));
        assert_eq!(reason(false, Some("a look")), Ok(None));
        for because in [None, Some(""), Some("  ")] {
            assert!(reason(true, because).unwrap_err().contains("--because"), "{because:?}");
        }
        for yes in [true, false] {
            let refused = reason(yes, Some("ada@example.org asked by phone")).unwrap_err();
            assert!(refused.contains("email address") && !refused.contains("ada"), "{refused}");
        }
    }
}
