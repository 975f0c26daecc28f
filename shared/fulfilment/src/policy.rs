use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{FulfilmentKind, TemplateName};

/// What the business decides: `policy.toml`, compiled in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Who writes to the customer.
    pub organisation: Organisation,
    contribution: KindPolicy,
    download: KindPolicy,
    membership: KindPolicy,
}

/// Who writes to the customer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    /// As shown in mails.
    pub name: String,
    /// Where a customer can get help.
    pub contact: String,
}

/// What is decided per kind of fulfilment.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindPolicy {
    /// The product's name in records and reports.
    pub product: String,
    /// What the customer reads, by language.
    shown_as: BTreeMap<String, String>,
    /// The mail template, unless the link names its own.
    pub thank_you: TemplateName,
    /// How long records are kept, in days from the payment.
    pub retention_days: i64,
}

/// A mistake in `policy.toml`, in a sentence for whoever edited it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy.toml: {0}")]
pub struct PolicyError(String);

impl Policy {
    /// The policy this build was made with.
    ///
    /// # Errors
    ///
    /// When the file is wrong, which `cargo xtask test` catches before a build ships.
    pub fn compiled_in() -> Result<Self, PolicyError> {
        Self::parse(include_str!("../../../policy.toml"))
    }

    /// Reads a policy and checks what its types cannot.
    ///
    /// # Errors
    ///
    /// Names the first mistake and where it is.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = toml::from_str(text).map_err(|error| PolicyError(error.to_string()))?;
        let wrong = |problem: String| Err(PolicyError(problem));
        if policy.organisation.name.trim().is_empty() {
            return wrong("[organisation] `name` is empty; write the name customers know you by".into());
        }
        if !policy.organisation.contact.contains('@') {
            return wrong("[organisation] `contact` must be an email address".into());
        }
        for kind in FulfilmentKind::ALL {
            let decided = policy.kind(kind);
            if decided.product.trim().is_empty() {
                return wrong(format!("[{kind}] `product` is empty; write the name used in reports"));
            }
            if !decided.shown_as.contains_key("en") {
                return wrong(format!("[{kind}] `shown_as` lacks `en`, the name shown when no other fits"));
            }
            if decided.retention_days < 1 {
                return wrong(format!("[{kind}] `retention_days` must be at least 1"));
            }
        }
        Ok(policy)
    }

    /// What is decided for a kind.
    pub const fn kind(&self, kind: FulfilmentKind) -> &KindPolicy {
        match kind {
            FulfilmentKind::Contribution => &self.contribution,
            FulfilmentKind::Download => &self.download,
            FulfilmentKind::Membership => &self.membership,
        }
    }
}

impl KindPolicy {
    /// The product's name in a language (`de`), in English when there is none.
    pub fn shown_as(&self, language: &str) -> &str {
        let name = self.shown_as.get(language).or_else(|| self.shown_as.get("en"));
        name.unwrap_or(&self.product)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../../policy.toml");

    #[test]
    fn the_file_is_right() {
        if let Err(mistake) = Policy::compiled_in() {
            panic!("{mistake}");
        }
    }

    fn check(from: &str, to: &str, expected: &str) {
        assert!(FILE.contains(from), "{from}");
        let mistake = Policy::parse(&FILE.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(mistake.contains(expected), "{mistake}");
    }

    #[test]
    fn a_mistake_is_named_where_it_is() {
        check(
            "retention_days = 3653",
            "retention_days = 0",
            "[contribution] `retention_days` must be at least 1",
        );
        check("retention_days = 3653", "retention = 3653", "unknown field `retention`");
        check("[download]", "[downloads]", "unknown field `downloads`");
        check(
            "thank_you = \"contribution\"",
            "thank_you = \"Thank You\"",
            "lower-case letters, digits and hyphens",
        );
        check("en = \"Contribution\"", "uk = \"Contribution\"", "[contribution] `shown_as` lacks `en`");
        check(
            "contact = \"hello@example.org\"",
            "contact = \"our site\"",
            "`contact` must be an email address",
        );
    }

    #[test]
    fn names_products_in_the_customers_language() {
        let policy = Policy::compiled_in().unwrap();
        let contribution = policy.kind(FulfilmentKind::Contribution);
        assert_eq!(contribution.shown_as("de"), "Spende");
        assert_eq!(contribution.shown_as("nl"), "Contribution");
    }
}
