//! What AWS charges.

use serde::Deserialize;

/// A price list in US dollars.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    pub(crate) region: String,
    pub(crate) as_of: String,
    pub(crate) lambda: Lambda,
    pub(crate) event_bridge: EventBridge,
    pub(crate) sqs: Sqs,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) ses: Ses,
    pub(crate) s3: S3,
    pub(crate) cloudwatch: CloudWatch,
    pub(crate) secrets_manager: SecretsManager,
    pub(crate) step_functions: StepFunctions,
}

macro_rules! service {
    ($($name:ident { $($price:ident),+ })+) => {
        $(
            #[derive(Debug, Clone, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(crate) struct $name { $(pub(crate) $price: f64),+ }
        )+
    };
}

service! {
    Lambda { million_requests, million_gb_seconds }
    EventBridge { million_events }
    Sqs { million_requests }
    DynamoDb { million_write_units, million_read_units }
    Ses { million_mails }
    S3 { million_lists, million_gets }
    CloudWatch { gb_logged, alarm_month, metric_month, dashboard_month }
    SecretsManager { secret_month, million_calls }
    StepFunctions { million_transitions }
}

impl Prices {
    /// The list that is compiled in.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(crate) fn compiled_in() -> Result<Self, toml::de::Error> {
        toml::from_str(include_str!("../prices/us-east-1.2026-11.toml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_read() {
        assert_eq!(Prices::compiled_in().unwrap().region, "us-east-1");
    }
}
