use clap::ValueEnum;
use effect_ledger::Effect;
use serde::Serialize;

/// The tasks behind queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Task {
    ThankYouEmail,
    ContributionRecords,
    SoftOptIns,
    AcquisitionEvents,
}

impl Task {
    /// In the order of the design.
    pub(crate) const ALL: [Self; 4] =
        [Self::ThankYouEmail, Self::ContributionRecords, Self::SoftOptIns, Self::AcquisitionEvents];

    /// The task whose effect this is; none for names of another version.
    pub(crate) fn of(effect: &Effect) -> Option<Self> {
        let name = effect.as_str();
        Self::ALL.into_iter().find(|task| {
            let rest = name.strip_prefix(task.effects());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
        })
    }

    /// What the names of its effects begin with.
    pub(crate) const fn effects(self) -> &'static str {
        match self {
            Self::ThankYouEmail => "email",
            Self::ContributionRecords => "contribution",
            Self::SoftOptIns => "consents",
            Self::AcquisitionEvents => "acquisition",
        }
    }

    /// Its name in the account and in `functions/`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ThankYouEmail => "thank-you-email",
            Self::ContributionRecords => "contribution-records",
            Self::SoftOptIns => "soft-opt-ins",
            Self::AcquisitionEvents => "acquisition-events",
        }
    }

    /// What the names of its stack outputs begin with.
    pub(crate) const fn output(self) -> &'static str {
        match self {
            Self::ThankYouEmail => "ThankYouEmail",
            Self::ContributionRecords => "ContributionRecords",
            Self::SoftOptIns => "SoftOptIns",
            Self::AcquisitionEvents => "AcquisitionEvents",
        }
    }
}

#[cfg(test)]
mod tests {
    use fulfilment::effects;
    use fulfilment::{Movement, SessionOutcome};

    use super::*;

    #[test]
    fn every_effect_has_its_task() {
        for (effect, expected) in [
            (effects::email("thank-you"), Task::ThankYouEmail),
            (effects::resent(&effects::email("thank-you"), "1"), Task::ThankYouEmail),
            (effects::contribution(SessionOutcome::Paid), Task::ContributionRecords),
            (effects::contribution_refund("re_1"), Task::ContributionRecords),
            (effects::consents(), Task::SoftOptIns),
            (effects::consent_answers(), Task::SoftOptIns),
            (effects::acquisition(), Task::AcquisitionEvents),
            (effects::acquisition_correction(&Movement::Refund("re_1".to_owned())), Task::AcquisitionEvents),
        ] {
            assert_eq!(Task::of(&effect), Some(expected), "{effect}");
        }
        assert_eq!(Task::of(&Effect::from("emails")), None);
    }

    #[test]
    fn is_typed_as_it_is_named() {
        for task in Task::ALL {
            assert_eq!(task.to_possible_value().unwrap().get_name(), task.name());
        }
    }
}
