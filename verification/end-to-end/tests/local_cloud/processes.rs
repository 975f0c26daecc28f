//! The functions' processes, as Linux shows them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use xtask::aws::Aws;

use crate::stack::Cloud;

/// A running process of a function.
pub(crate) struct Process {
    pid: String,
    environment: BTreeMap<String, String>,
}

/// The processes of a function of this stack; none before its first call.
pub(crate) fn processes_of(cloud: &Cloud, function: &str) -> Vec<Process> {
    let name = cloud.stack.function_name(function).unwrap();
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|pid| {
            // A process may end while we look.
            let environment = fs::read_to_string(format!("/proc/{pid}/environ")).ok()?;
            let environment: BTreeMap<_, _> = environment
                .split('\0')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let ours = environment.get("AWS_LAMBDA_FUNCTION_NAME").is_some_and(|theirs| theirs == name)
                && environment.get("AWS_ENDPOINT_URL") == Some(&cloud.stack.aws.endpoint);
            ours.then_some(Process { pid, environment })
        })
        .collect()
}

impl Process {
    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid]).status().unwrap();
        assert!(status.success(), "kill -{name} {}", self.pid);
    }

    /// Calls with the function's own credentials.
    pub(crate) fn aws(&self, cloud: &Cloud) -> Aws {
        let variable = |name: &str| self.environment.get(name).cloned();
        Aws {
            access_key_id: variable("AWS_ACCESS_KEY_ID").unwrap(),
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY").unwrap(),
            session_token: variable("AWS_SESSION_TOKEN").filter(|token| !token.is_empty()),
            ..cloud.stack.aws.clone()
        }
    }
}
