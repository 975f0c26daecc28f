//! Where to look: a stage in AWS, or the local cloud, and what its stacks say of themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use aws::{Environment, http_client, sdk_config};
use aws_config::BehaviorVersion;
use aws_runtime::env_config::file::EnvConfigFiles as ProfileFiles;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::region::Region;
use catalogue::{Function, construct_id};
use clap::Args;
use effect_ledger::DynamoDbEffects;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::query_api::{QueryApi, QueryError};

/// The file in which `cargo xtask local up` describes the local cloud.
const STACK_FILE: &str = "target/local/stack.json";

/// The stacks of a stage, each with outputs of its own. The last is not deployed everywhere.
const STACKS: [&str; 3] = ["data", "pipeline", "operations"];

#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The stage in AWS
    #[arg(long, global = true, env = "AFTERLINK_STAGE", value_name = "NAME")]
    stage: Option<String>,
    /// The profile of AWS's shared configuration
    #[arg(long, global = true, env = "AWS_PROFILE")]
    profile: Option<String>,
    /// The region the stage is in
    #[arg(long, global = true, env = "AWS_REGION")]
    region: Option<String>,
    /// The local cloud instead of AWS
    #[arg(long, global = true)]
    pub(crate) local: bool,
    /// Where the local cloud left word of itself
    #[arg(long, global = true, env = "AFTERLINK_STACK", default_value = STACK_FILE, value_name = "FILE")]
    stack_file: PathBuf,
}

/// A deployed stage, and how to reach it.
pub(crate) struct Deployment {
    /// `local`, `test`, `live`
    pub(crate) stage: String,
    pub(crate) local: bool,
    pub(crate) sdk: SdkConfig,
    outputs: BTreeMap<String, String>,
}

impl Deployment {
    /// A stage that is nothing but its outputs.
    #[cfg(test)]
    pub(crate) fn in_memory(sdk: SdkConfig, outputs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { stage: "test".to_owned(), local: false, sdk, outputs: outputs.into_iter().collect() }
    }

    /// # Errors
    ///
    /// When there is no such stage, no way to it, or nothing deployed.
    pub(crate) async fn find(place: &Where) -> Result<Self> {
        if place.local {
            return Self::read_stack_file(&place.stack_file);
        }
        let Some(stage) = &place.stage else {
            bail!(
                "which stage? Say --stage test or --stage live (or set AFTERLINK_STAGE), or --local for the \
                 local cloud"
            );
        };
        Self::ask_cloudformation(stage, place).await
    }

    fn read_stack_file(file: &std::path::Path) -> Result<Self> {
        let up = "Start one with `cargo xtask local up`, or say where its stack.json is with --stack-file.";
        let text = std::fs::read(file)
            .with_context(|| format!("no local cloud is up: {} cannot be read. {up}", file.display()))?;
        let values: Map<String, Value> = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not a stack.json", file.display()))?;
        let outputs: BTreeMap<_, _> =
            values.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect();
        let variables = |name: &str| {
            let name = match name {
                "AWS_REGION" => "region",
                "AWS_ACCESS_KEY_ID" => "access_key_id",
                "AWS_SECRET_ACCESS_KEY" => "secret_access_key",
                "AWS_ENDPOINT_URL" => "endpoint",
                _ => return None,
            };
            outputs.get(name).cloned()
        };
        let mut env = Environment::new(variables);
        let sdk = sdk_config(&mut env);
        let sdk = env.finish(|| sdk).with_context(|| format!("{} lacks something", file.display()))?;
        Ok(Self { stage: "local".to_owned(), local: true, sdk, outputs })
    }

    async fn ask_cloudformation(stage: &str, place: &Where) -> Result<Self> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(15))
            .operation_timeout(Duration::from_secs(45))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client())
            .timeout_config(timeouts);
        if let Some(profile) = &place.profile {
            check_profile(profile).await?;
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &place.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let sdk = loader.load().await;
        let Some(region) = sdk.region() else {
            bail!("which region? Say --region, or set AWS_REGION or the profile's own");
        };
        let cloudformation = QueryApi::of("cloudformation", &sdk)?;
        let mut outputs = BTreeMap::new();
        for stack in STACKS {
            let name = format!("afterlink-{stage}-{stack}");
            let form = [("Action", "DescribeStacks"), ("Version", "2010-05-15"), ("StackName", &name)];
            match cloudformation.call(&form).await {
                Ok(answer) => outputs.extend(outputs_of(&answer)?),
                Err(error) if error.says("does not exist") && stack == "operations" => {}
                Err(error) if error.says("does not exist") => {
                    return Err(anyhow!(error).context(format!(
                        "there is no stack {name} in {region} of this account. Are stage, region and profile \
                         right?"
                    )));
                }
                // The chain of providers that were tried in vain says less than what to do.
                Err(QueryError::NotSigned(_)) => bail!(
                    "there are no AWS credentials here. Sign in (`aws sso login --profile …`) and say --profile, or set \
                     AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                ),
                Err(error) => {
                    return Err(anyhow!(error).context(
                        "CloudFormation cannot be asked. Are you signed in (`aws sso login --profile …`), and \
                         is the profile the right one?",
                    ));
                }
            }
        }
        Ok(Self { stage: stage.to_owned(), local: false, sdk, outputs })
    }

    /// A stack output.
    ///
    /// # Errors
    ///
    /// When the deployed stacks are of a version without it.
    pub(crate) fn output(&self, name: &str) -> Result<&str> {
        self.optional(name).with_context(|| {
            format!(
                "stage {} has no stack output {name}: deploy this version of the CDK app first",
                self.stage
            )
        })
    }

    /// A stack output that not every stage has.
    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        self.outputs.get(name).map(String::as_str)
    }

    /// The queue of a task, or of another function behind one.
    pub(crate) fn queue_url(&self, of: impl Into<Function>) -> Result<&str> {
        self.output(&format!("{}QueueUrl", construct_id(of.into().name)))
    }

    /// Its dead-letter queue.
    pub(crate) fn dlq_url(&self, of: impl Into<Function>) -> Result<&str> {
        self.output(&format!("{}DlqUrl", construct_id(of.into().name)))
    }

    pub(crate) fn ledger(&self) -> Result<DynamoDbEffects> {
        let client = aws_sdk_dynamodb::Client::new(&self.sdk);
        Ok(DynamoDbEffects::new(client, self.output("EffectsTableName")?))
    }

    pub(crate) fn livemode(&self) -> Result<bool> {
        Ok(self.output("Livemode")? == "true")
    }

    pub(crate) fn supporter_namespace(&self) -> Result<Uuid> {
        self.output("SupporterNamespace")?.parse().context("the output SupporterNamespace is not a UUID")
    }
}

/// The SDK takes a profile that does not exist for one without credentials, and goes on to look for some elsewhere.
async fn check_profile(name: &str) -> Result<()> {
    let (fs, env) = (Fs::real(), Env::real());
    let profiles = aws_config::profile::load(&fs, &env, &ProfileFiles::default(), None).await;
    let profiles = profiles.context("AWS's configuration files cannot be read")?;
    if profiles.get_profile(name).is_some() {
        return Ok(());
    }
    let mut known: Vec<_> = profiles.profiles().collect();
    known.sort_unstable();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    bail!("there is no profile {name} in ~/.aws/config or ~/.aws/credentials; known: {known}")
}

/// The outputs in an answer of `DescribeStacks`.
///
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html>
fn outputs_of(answer: &str) -> Result<Vec<(String, String)>> {
    let document = roxmltree::Document::parse(answer).context("CloudFormation's answer is not XML")?;
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let child = node.children().find(|child| child.has_tag_name(name) || child.tag_name().name() == name);
        child.and_then(|child| child.text()).unwrap_or_default().to_owned()
    };
    let members = document
        .descendants()
        .filter(|node| node.children().any(|child| child.tag_name().name() == "OutputKey"));
    Ok(members.map(|member| (text(member, "OutputKey"), text(member, "OutputValue"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_outputs_of_a_stack() {
        let answer = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
            <DescribeStacksResult><Stacks><member><StackName>afterlink-test-data</StackName><Outputs>
              <member><OutputKey>EffectsTableName</OutputKey><OutputValue>effects-1</OutputValue></member>
              <member><OutputValue>a &amp; b</OutputValue><OutputKey>Other</OutputKey></member>
            </Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"#;
        let outputs = outputs_of(answer).unwrap();
        assert_eq!(
            outputs,
            [("EffectsTableName", "effects-1"), ("Other", "a & b")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
