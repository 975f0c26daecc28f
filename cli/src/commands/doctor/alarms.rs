//! The alarms of the stage.

use anyhow::Result;
use aws_types::SdkConfig;

use super::Check;
use crate::deployment::Deployment;
use crate::query_api::{QueryApi, QueryError};

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>
pub(super) async fn of_alarms(deployment: &Deployment) -> Check {
    let prefix = format!("afterlink-{}-", deployment.stage);
    match alarm_states(&deployment.sdk, &prefix).await {
        Ok(states) => of_alarm_states(&states),
        Err(error) => {
            let is_denied = error.downcast_ref::<QueryError>().is_some_and(QueryError::is_denied);
            Check::unanswered("alarms", "cloudwatch:DescribeAlarms", is_denied, format!("{error:#}"))
        }
    }
}

/// The alarms whose names begin so, with their states. A page has at most a hundred of them.
pub(super) async fn alarm_states(sdk: &SdkConfig, prefix: &str) -> Result<Vec<(String, String)>> {
    let monitoring = QueryApi::of("monitoring", sdk)?;
    let mut states = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut form = vec![
            ("Action", "DescribeAlarms"),
            ("Version", "2010-08-01"),
            ("AlarmNamePrefix", prefix),
            ("MaxRecords", "100"),
        ];
        form.extend(next.as_deref().map(|token| ("NextToken", token)));
        let answer = monitoring.call(&form).await?;
        states.extend(states_in(&answer));
        next = next_token_in(&answer);
        if next.is_none() {
            return Ok(states);
        }
    }
}

fn next_token_in(answer: &str) -> Option<String> {
    let document = roxmltree::Document::parse(answer).ok()?;
    let node = document.descendants().find(|node| node.tag_name().name() == "NextToken")?;
    node.text().map(str::to_owned)
}

pub(super) fn states_in(answer: &str) -> Vec<(String, String)> {
    let Ok(document) = roxmltree::Document::parse(answer) else {
        return Vec::new();
    };
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let child = node.children().find(|child| child.tag_name().name() == name)?;
        child.text().map(str::to_owned)
    };
    document
        .descendants()
        .filter_map(|node| Some((text(node, "AlarmName")?, text(node, "StateValue")?)))
        .collect()
}

pub(super) fn of_alarm_states(alarms: &[(String, String)]) -> Check {
    let ringing: Vec<_> =
        alarms.iter().filter(|(_, state)| state == "ALARM").map(|(name, _)| name.as_str()).collect();
    if alarms.is_empty() {
        return Check::fail(
            "alarms",
            "none",
            "deploy the operations stack: without it nobody is told of anything",
        );
    }
    if ringing.is_empty() {
        return Check::pass("alarms", format!("{} there, none ringing", alarms.len()));
    }
    Check::warn(
        "alarms",
        format!("ringing: {}", ringing.join(", ")),
        "docs/runbooks/README.md names a page for each",
    )
}
