//! Secrets Manager: secrets that are read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::{Response, read};

/// Secrets by name.
#[derive(Debug, Default)]
pub(super) struct SecretsManager {
    pub(super) secrets: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetSecretValue {
    secret_id: String,
}

impl SecretsManager {
    pub(super) fn answer(&self, operation: &str, body: &[u8]) -> Response {
        assert_eq!(
            operation, "GetSecretValue",
            "the cloud in memory knows no other operation of Secrets Manager"
        );
        let GetSecretValue { secret_id } = read(operation, body);
        match self.secrets.get(&secret_id) {
            Some(text) => Response::json(
                200,
                &json!({ "Name": secret_id, "SecretString": text, "VersionStages": ["AWSCURRENT"] }),
            ),
            None => {
                let message = "Secrets Manager can't find the specified secret.";
                Response::json(400, &json!({ "__type": "ResourceNotFoundException", "Message": message }))
            }
        }
    }
}

/// What Secrets Manager answers when it throttles.
pub(super) fn throttled() -> Response {
    Response::json(400, &json!({ "__type": "ThrottlingException", "message": "Rate exceeded" }))
}
