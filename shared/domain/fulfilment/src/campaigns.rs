//! Which campaigns there are, so that a mistyped code is noticed before analysts miss its sales.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::attribution::publishable;
use crate::policy_error::PolicyError;
use crate::typed::{bare, is_nearly};

/// What the business says about where sales come from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributionPolicy {
    /// The codes of all campaigns. Without any, every code is as good as another.
    #[serde(default)]
    pub campaigns: Vec<String>,
}

/// A campaign code that the policy does not list. It counts as it is: a code is never changed, because the sale may
/// well be the first of a new campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCampaign<'a> {
    code: &'a str,
    /// The codes that were probably meant; without any, all that there are.
    known: Vec<&'a str>,
}

impl AttributionPolicy {
    /// The codes that are not listed; none where nothing is.
    pub fn new_campaigns<'a>(&'a self, codes: impl IntoIterator<Item = &'a String>) -> Vec<NewCampaign<'a>> {
        let is_new = |code: &&String| !self.campaigns.is_empty() && !self.campaigns.contains(code);
        codes.into_iter().filter(is_new).map(|code| self.new_campaign(code)).collect()
    }

    fn new_campaign<'a>(&'a self, code: &'a str) -> NewCampaign<'a> {
        let all = || self.campaigns.iter().map(String::as_str);
        let meant: Vec<_> = all().filter(|known| is_meant(code, known)).collect();
        NewCampaign { code, known: if meant.is_empty() { all().collect() } else { meant } }
    }

    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let wrong = |problem: String| Err(PolicyError::new(format!("[attribution] {problem}")));
        let mut seen = BTreeSet::new();
        for code in &self.campaigns {
            if code.contains(',') || publishable(code).as_ref() != Some(code) {
                return wrong(format!(
                    "campaign \"{code}\" cannot be a code as links have it: no commas, no blanks or quotes around \
                     it, no e-mail address, at most 100 characters"
                ));
            }
            if !seen.insert(code) {
                return wrong(format!("campaign \"{code}\" is there twice"));
            }
        }
        Ok(())
    }
}

/// Whether a code was probably meant to be a known one: it differs in case, blanks, hyphens and underscores, or in one
/// typing error. Another digit is another year.
fn is_meant(code: &str, known: &str) -> bool {
    let letters = |text: &str| bare(text).replace(['-', '_', '.'], "");
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let (code, known) = (letters(code), letters(known));
    code == known || (digits(&code) == digits(&known) && known.len() > 3 && is_nearly(&code, &known, 1))
}

/// How many codes a sentence lists.
const MOST_LISTED: usize = 8;

impl std::fmt::Display for NewCampaign<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, known } = self;
        let listed = known.iter().take(MOST_LISTED).copied().collect::<Vec<_>>().join(", ");
        let more = if known.len() > MOST_LISTED { ", …" } else { "" };
        write!(f, "Campaign “{code}” is new. Known: {listed}{more}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(campaigns: &[&str]) -> AttributionPolicy {
        AttributionPolicy { campaigns: campaigns.iter().map(|code| (*code).to_owned()).collect() }
    }

    fn said(policy: &AttributionPolicy, codes: &[&str]) -> Vec<String> {
        let codes: Vec<_> = codes.iter().map(|code| (*code).to_owned()).collect();
        policy.new_campaigns(&codes).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_code_that_is_nearly_a_known_one_is_told_from_a_new_one() {
        let policy = policy(&["autumn-2026", "guide-launch"]);
        for (code, known) in [
            ("Autumn-2026", "autumn-2026"),
            ("autumn_2026", "autumn-2026"),
            ("autumn 2026", "autumn-2026"),
            ("autum-2026", "autumn-2026"),
            ("guide-luanch", "guide-launch"),
            ("autumn-2025", "autumn-2026, guide-launch"),
            ("spring", "autumn-2026, guide-launch"),
        ] {
            assert_eq!(said(&policy, &[code]), [format!("Campaign “{code}” is new. Known: {known}.")]);
        }
        assert_eq!(said(&policy, &["autumn-2026", "guide-launch"]), [""; 0]);
    }

    #[test]
    fn without_a_list_no_code_is_new() {
        assert_eq!(said(&policy(&[]), &["autumn-2026", "Autumn-2026"]), [""; 0]);
    }

    #[test]
    fn a_long_list_is_cut_short() {
        let codes: Vec<_> = (10..30).map(|number| format!("c-{number}")).collect();
        let policy = policy(&codes.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(said(&policy, &["x"])[0].ends_with("c-16, c-17, …."), "{:?}", said(&policy, &["x"]));
    }

    #[test]
    fn codes_that_no_link_could_have_are_refused() {
        for (campaigns, expected) in [
            (&["a,b"][..], "\"a,b\" cannot be a code"),
            (&["“a”"], "\"“a”\" cannot be a code"),
            (&[" a"], "\" a\" cannot be a code"),
            (&[""], "\"\" cannot be a code"),
            (&["ada@example.org"], "cannot be a code"),
            (&["a", "a"], "\"a\" is there twice"),
        ] {
            let mistake = policy(campaigns).check().unwrap_err().to_string();
            assert!(mistake.contains(expected), "{mistake}");
        }
        assert_eq!(policy(&["autumn-2026", "Herbst 2026"]).check(), Ok(()));
    }
}
