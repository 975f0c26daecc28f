//! Whether each function is there, is switched on, and starts.

use anyhow::{Context as _, Result};
use catalogue::{Function, construct_id, functions};
use serde::Deserialize;

use super::Check;
use crate::deployment::Deployment;
use crate::metric::sum_of_metric;
use crate::page::count;
use crate::query_api::{QueryApi, QueryError};

/// So far back the calls of a function are counted, in milliseconds.
const SINCE_MS: i64 = 15 * 60 * 1000;

pub(super) async fn of_functions(deployment: &Deployment, now: i64) -> Vec<Check> {
    let lambda = match QueryApi::of("lambda", &deployment.sdk) {
        Ok(lambda) => lambda,
        Err(error) => return vec![Check::unanswered("functions", "lambda", false, format!("{error:#}"))],
    };
    let mut checks = Vec::new();
    for function in functions() {
        let looked = of_function(deployment, &lambda, function, now).await;
        checks.push(looked.unwrap_or_else(|error| {
            let is_denied = error.downcast_ref::<QueryError>().is_some_and(QueryError::is_denied);
            let what = format!("function {}", function.name);
            Check::unanswered(what, "lambda:GetFunctionConfiguration", is_denied, format!("{error:#}"))
        }));
    }
    checks
}

/// <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html>
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    state_reason: Option<String>,
    #[serde(default)]
    last_update_status: Option<String>,
    #[serde(default)]
    last_update_status_reason: Option<String>,
}

/// <https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html>
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mappings {
    event_source_mappings: Vec<Mapping>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mapping {
    #[serde(rename = "UUID")]
    uuid: String,
    #[serde(default)]
    state: Option<String>,
}

/// What became of the calls of the last quarter of an hour.
struct Calls {
    invocations: i64,
    errors: i64,
    throttles: i64,
}

async fn of_function(
    deployment: &Deployment,
    lambda: &QueryApi,
    function: Function,
    now: i64,
) -> Result<Check> {
    let what = format!("function {}", function.name);
    let name = deployment.output(&format!("{}FunctionName", construct_id(function.name)))?;
    let answer = lambda.request("GET", &format!("/2015-03-31/functions/{name}/configuration"), "").await?;
    let configuration = serde_json::from_str(&answer).context("Lambda's answer cannot be read")?;
    if let Some(seen) = of_configuration(&configuration) {
        return Ok(Check::fail(what, seen, "deploy the pipeline stack again, and read what it says"));
    }
    if function.trigger.is_queued() {
        let target = format!("/2015-03-31/event-source-mappings/?FunctionName={name}");
        let answer = lambda.request("GET", &target, "").await?;
        let mappings: Mappings = serde_json::from_str(&answer).context("Lambda's answer cannot be read")?;
        if let Some((seen, fix)) = of_mappings(&mappings.event_source_mappings) {
            return Ok(Check::fail(what, seen, fix));
        }
    }
    let calls = if deployment.local {
        // The local cloud counts no calls. A batch of no messages starts the function and asks nothing of it.
        tried(lambda, name, function.trigger.is_queued()).await?
    } else {
        counted(deployment, name, now).await?
    };
    Ok(match of_calls(&calls) {
        Some(seen) => Check::fail(
            what,
            seen,
            "docs/runbooks/function-errors.md; for throttles docs/runbooks/throttled.md",
        ),
        None => Check::pass(what, "there, and switched on"),
    })
}

fn of_configuration(configuration: &Configuration) -> Option<String> {
    let Configuration { state, state_reason, last_update_status, last_update_status_reason } = configuration;
    let because = |reason: &Option<String>| reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    match (state.as_deref(), last_update_status.as_deref()) {
        // A function that was not called for weeks is inactive, and starts at the next call.
        (Some("Failed"), _) => Some(format!("is not there{}", because(state_reason))),
        (_, Some("Failed")) => Some(format!("could not be updated{}", because(last_update_status_reason))),
        _ => None,
    }
}

fn of_mappings(mappings: &[Mapping]) -> Option<(String, String)> {
    let off: Vec<_> = mappings
        .iter()
        .filter(|mapping| mapping.state.as_deref().is_some_and(|state| state.starts_with("Disabl")))
        .collect();
    if mappings.is_empty() {
        return Some((
            "nothing brings it its queue's messages".to_owned(),
            "deploy the pipeline stack".to_owned(),
        ));
    }
    let uuid = &off.first()?.uuid;
    Some((
        "is switched off: its queue is not being emptied".to_owned(),
        format!("`aws lambda update-event-source-mapping --uuid {uuid} --enabled` switches it on"),
    ))
}

fn of_calls(calls: &Calls) -> Option<String> {
    let Calls { invocations, errors, throttles } = *calls;
    let number = |number: i64, what: &str| count(usize::try_from(number).unwrap_or_default(), what);
    if errors > 0 && errors >= invocations {
        return Some(format!(
            "does not start, or fails at once: {} of the last quarter of an hour, none good",
            number(errors, "call")
        ));
    }
    (throttles > 0 && invocations == 0).then(|| {
        format!("may not run: {} of the last quarter of an hour, none let in", number(throttles, "call"))
    })
}

async fn counted(deployment: &Deployment, name: &str, now: i64) -> Result<Calls> {
    let sum = async |metric: &str| {
        let dimension = ("FunctionName", name);
        sum_of_metric(&deployment.sdk, "AWS/Lambda", metric, dimension, now - SINCE_MS, now).await
    };
    Ok(Calls {
        invocations: sum("Invocations").await?,
        errors: sum("Errors").await?,
        throttles: sum("Throttles").await?,
    })
}

/// Calls a function behind a queue with no messages. Other functions would do something.
async fn tried(lambda: &QueryApi, name: &str, is_queued: bool) -> Result<Calls> {
    if !is_queued {
        return Ok(Calls { invocations: 0, errors: 0, throttles: 0 });
    }
    let target = format!("/2015-03-31/functions/{name}/invocations");
    let answer = lambda.request("POST", &target, r#"{"Records":[]}"#).await?;
    let failed = serde_json::from_str::<serde_json::Value>(&answer)
        .map_or(true, |answer| !answer["errorMessage"].is_null());
    Ok(Calls { invocations: 1, errors: i64::from(failed), throttles: 0 })
}

#[cfg(test)]
mod tests {
    use catalogue::Task;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_function_has_its_outputs() {
        let names: Vec<_> = functions().map(|function| construct_id(function.name)).collect();
        for task in Task::ALL {
            assert!(names.contains(&task.id().to_owned()), "{names:?}");
        }
        assert!(
            names.contains(&"StripeWebhook".to_owned()) && names.contains(&"Reconcile".to_owned()),
            "{names:?}"
        );
    }

    #[test]
    fn a_function_that_is_off_or_does_not_start_is_named() {
        let configuration = |value| of_configuration(&serde_json::from_value(value).unwrap());
        assert_eq!(configuration(json!({ "State": "Active", "LastUpdateStatus": "Successful" })), None);
        assert_eq!(configuration(json!({ "State": "Inactive" })), None);
        assert_eq!(
            configuration(json!({ "State": "Failed", "StateReason": "no role" })).unwrap(),
            "is not there: no role"
        );
        assert!(configuration(json!({ "State": "Active", "LastUpdateStatus": "Failed" })).is_some());

        let mappings = |states: &[&str]| {
            let mappings = states
                .iter()
                .map(|state| Mapping { uuid: "u-1".to_owned(), state: Some((*state).to_owned()) });
            of_mappings(&mappings.collect::<Vec<_>>())
        };
        assert_eq!(mappings(&["Enabled"]), None);
        assert_eq!(mappings(&["Updating"]), None);
        assert!(mappings(&["Disabled"]).unwrap().1.contains("--uuid u-1 --enabled"));
        assert!(mappings(&["Disabling"]).is_some() && mappings(&[]).is_some());

        let calls = |invocations, errors, throttles| of_calls(&Calls { invocations, errors, throttles });
        assert_eq!(calls(0, 0, 0), None);
        assert_eq!(calls(20, 19, 3), None, "one was good");
        assert!(calls(3, 3, 0).unwrap().contains("3 calls"));
        assert!(calls(0, 0, 1).unwrap().contains("1 call"));
    }
}
