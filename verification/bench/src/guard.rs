//! What the functions may cost, as committed, against what they cost now. Sizes and counts only: they are the same
//! on every machine, and times are not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::measure::Protocol;
use crate::report::Size;
use crate::workload::FLOOR;

/// `verification/bench/budget.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// How much larger than committed a zip may be, in percent.
    zip_margin_percent: u64,
    /// How much more than committed a function may log for an event, in percent.
    log_margin_percent: u64,
    function: BTreeMap<String, FunctionBudget>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FunctionBudget {
    /// The release build's zip, in bytes, on `x86_64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    zip_bytes: Option<u64>,
    /// The bytes logged by its most frequent scenario, a paid payment for all but two, in bytes.
    log_bytes: u64,
    /// Calls to AWS by what happened.
    calls: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Budget {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("cannot understand {}", file.display()))
    }

    /// What the functions cost now, with the margins of before.
    pub(crate) fn now(&self, protocols: &BTreeMap<String, Protocol>, sizes: &BTreeMap<String, Size>) -> Self {
        let function = protocols.iter().filter(|(name, _)| *name != FLOOR).map(|(name, protocol)| {
            let before = self.function.get(name).and_then(|function| function.zip_bytes);
            let now = FunctionBudget {
                zip_bytes: sizes.get(name).map(|size| size.zip).or(before),
                log_bytes: protocol.first(name).map_or(0, |cost| cost.logged.len() as u64),
                calls: protocol
                    .scenarios
                    .iter()
                    .map(|(scenario, cost)| (scenario.clone(), cost.by_kind()))
                    .collect(),
            };
            (name.clone(), now)
        });
        Self { function: function.collect(), ..self.clone() }
    }

    /// Fails with everything that costs more now than it may, or is cheaper and not written down.
    pub(crate) fn check(&self, now: &Self) -> Result<()> {
        let mut trouble = Vec::new();
        for (name, now) in &now.function {
            let Some(may) = self.function.get(name) else {
                trouble.push(format!("{name} has no budget yet"));
                continue;
            };
            let mut at_most = |what: &str, now: u64, may: u64, percent: u64| {
                if now > may + may * percent / 100 {
                    trouble.push(format!("{name}: {what} has grown from {may} to {now} bytes"));
                }
            };
            if let (Some(now), Some(may)) = (now.zip_bytes, may.zip_bytes) {
                at_most("its zip", now, may, self.zip_margin_percent);
            }
            at_most("what it logs", now.log_bytes, may.log_bytes, self.log_margin_percent);
            for (scenario, now) in &now.calls {
                let may = may.calls.get(scenario).cloned().unwrap_or_default();
                if *now != may {
                    trouble.push(format!("{name}: calls for `{scenario}` were {may:?} and are {now:?}"));
                }
            }
        }
        if trouble.is_empty() {
            return Ok(());
        }
        bail!(
            "over budget:\n- {}\nIf this is worth it: `cargo xtask bench --guard --write`, and say why in the commit.",
            trouble.join("\n- ")
        )
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = toml::to_string(self)?;
        fs::write(file, format!("{HEADER}\n{text}"))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

const HEADER: &str = "# What the functions may cost. Checked by `cargo xtask ci`; written by
# `cargo xtask bench --guard --write`, with `--release` also the sizes.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(zip_bytes: u64, log_bytes: u64, calls: u64) -> Budget {
        let calls = [("paid".to_owned(), [("DynamoDb UpdateItem".to_owned(), calls)].into())].into();
        let function = FunctionBudget { zip_bytes: Some(zip_bytes), log_bytes, calls };
        Budget {
            zip_margin_percent: 2,
            log_margin_percent: 10,
            function: [("mail".to_owned(), function)].into(),
        }
    }

    fn check(now: &Budget, expected: Option<&str>) {
        let checked = budget(1_000_000, 1000, 2).check(now).map_err(|error| error.to_string());
        match expected {
            None => assert_eq!(checked, Ok(())),
            Some(part) => assert!(checked.clone().is_err_and(|error| error.contains(part)), "{checked:?}"),
        }
    }

    #[test]
    fn more_than_the_margin_and_any_other_call_is_too_much() {
        check(&budget(1_020_000, 1100, 2), None);
        check(&budget(1_020_001, 1000, 2), Some("its zip has grown from 1000000 to 1020001 bytes"));
        check(&budget(1_000_000, 1101, 2), Some("what it logs"));
        check(&budget(1_000_000, 1000, 3), Some("calls for `paid`"));
        check(&budget(1_000_000, 1000, 1), Some("calls for `paid`"));
    }
}
