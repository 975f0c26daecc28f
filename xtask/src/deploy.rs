//! Deploys the project's own CDK app to the local cloud, with the real CDK command line.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::aws::Aws;
use crate::checkout::Checkout;
use crate::cloud::{ACCOUNT, Cloud, REGION, random_hex};
use crate::process::run_logged;
use crate::stack::Stack;
use crate::stripe;
use crate::terminal::Step;

/// Bootstraps the cloud and deploys every stack of the stage `local`.
///
/// The bootstrap and the synthesis do not need each other, so they run at the same time.
pub(crate) fn deploy(checkout: &Checkout, cloud: &Cloud, step: &Step) -> Result<Stack> {
    let folder = cloud.site().folder();
    let assembly = folder.join("cdk.out");
    let outputs = folder.join("outputs.json");

    step.note("cdk bootstrap and cdk synth");
    std::thread::scope(|scope| -> Result<()> {
        let bootstrap = scope.spawn(|| {
            let mut command = cdk(checkout, &cloud.aws, folder);
            // As the guide says it, so that this is tried each time. It synthesizes the app to learn the environment.
            command.args(["bootstrap", "--context", "stage=local", "--context"]);
            command.arg(format!("functions={}", cloud.site().functions().display()));
            command.arg("--output").arg(folder.join("cdk-bootstrap.out"));
            run_logged(&mut command, &folder.join("cdk-bootstrap.log"), step, "")
        });
        let app = App { checkout, aws: &cloud.aws, folder, assembly: &assembly };
        let synth = app.synthesize(&cloud.site().functions(), &cloud.stripe_api, step);
        let bootstrap = bootstrap.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        synth.and(bootstrap)
    })?;

    step.note("cdk deploy");
    let remedy = format!("The cloud's own log is {}.", checkout.display(&cloud.site().log()));
    App { checkout, aws: &cloud.aws, folder, assembly: &assembly }.deploy(&outputs, &remedy, step)?;

    step.note("putting the secrets into place");
    let signing_secret = format!("whsec_{}", random_hex(16)?);
    let stack = write_stack_file(cloud, &outputs, &signing_secret)?;
    stripe::record_object(&cloud.stripe_api, &stripe::webhook_destination(stack.output("WebhookUrl")?))?;
    let input = json!({"SecretId": stack.output("SigningSecretName")?, "SecretString": signing_secret});
    stack.aws.json("secretsmanager", "secretsmanager.PutSecretValue", &input)?;
    for key in ["StripeKeyName", "StripePagesKeyName"] {
        let input = json!({"SecretId": stack.output(key)?, "SecretString": stripe::API_KEY});
        stack.aws.json("secretsmanager", "secretsmanager.PutSecretValue", &input)?;
    }
    Ok(stack)
}

/// The CDK app of the stage `local`, and the folder of the cloud that it is deployed to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct App<'a> {
    pub(crate) checkout: &'a Checkout,
    pub(crate) aws: &'a Aws,
    pub(crate) folder: &'a Path,
    /// Where its templates are written.
    pub(crate) assembly: &'a Path,
}

impl App<'_> {
    /// Writes the templates, with the packages in the folder `functions`.
    pub(crate) fn synthesize(&self, functions: &Path, stripe_api: &str, step: &Step) -> Result<()> {
        let Self { checkout, aws, folder, assembly } = *self;
        // The CDK adds to an assembly and never removes the functions of yesterday from it.
        if assembly.exists() {
            fs::remove_dir_all(assembly).with_context(|| format!("cannot remove {}", assembly.display()))?;
        }
        let mut command = cdk(checkout, aws, folder);
        command
            .args(["synth", "--quiet", "--context", "stage=local", "--context"])
            .arg(format!("functions={}", functions.display()))
            .args(["--context", &format!("stripeApi={stripe_api}")])
            .arg("--output")
            .arg(assembly);
        let remedy = "Is the CDK app sound (`npm run check` in cdk/)?";
        run_logged(&mut command, &folder.join("cdk-synth.log"), step, remedy)
    }

    /// Deploys every stack, and writes their outputs into the file `outputs`.
    pub(crate) fn deploy(&self, outputs: &Path, remedy: &str, step: &Step) -> Result<()> {
        let mut command = cdk(self.checkout, self.aws, self.folder);
        command
            .args(["deploy", "--all", "--require-approval", "never", "--method", "direct"])
            .args(["--progress", "events", "--app"])
            .arg(self.assembly)
            .arg("--outputs-file")
            .arg(outputs);
        run_logged(&mut command, &self.folder.join("cdk-deploy.log"), step, remedy)
    }
}

/// `cdk`, pointed at the local cloud and at nothing else: no profile, no credentials of this machine's owner, no
/// endpoint of a single service that would win over ours.
fn cdk(checkout: &Checkout, aws: &Aws, folder: &Path) -> Command {
    let mut command = Command::new(checkout.cdk().join("node_modules/.bin/cdk"));
    command.current_dir(checkout.cdk());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("AWS_") || name.starts_with("CDK_")) {
            command.env_remove(name);
        }
    }
    command
        .args(["--no-color", "--no-notices", "--ci"])
        .env("AWS_ENDPOINT_URL", &aws.endpoint)
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", &aws.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &aws.secret_access_key)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("CDK_DISABLE_CLI_TELEMETRY", "true")
        // The CDK remembers accounts by access key, and ours lives for minutes.
        .env("CDK_HOME", folder.join("cdk-home"))
        // AWS checks a template before it deploys it; `cdk/`'s own tests do here, and save the wait.
        .env("CDK_VALIDATION", "false")
        .env("AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED", "true")
        .env("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "true");
    command
}

/// Writes `stack.json`: how to reach the cloud, and every output of every stack by its name.
fn write_stack_file(cloud: &Cloud, outputs: &Path, signing_secret: &str) -> Result<Stack> {
    let outputs = read_outputs(outputs, &cloud.aws)?;
    let mut file = json!({
        "endpoint": cloud.aws.endpoint,
        "region": REGION,
        "account": ACCOUNT,
        "access_key_id": cloud.aws.access_key_id,
        "secret_access_key": cloud.aws.secret_access_key,
        "ministack_pid": cloud.pid,
        "stripe_api": cloud.stripe_api,
        "fault_proxy": cloud.fault_proxy,
        "signing_secret": signing_secret,
        "outputs": outputs,
    });
    if let Some(file) = file.as_object_mut() {
        file.extend(outputs);
    }
    let path = cloud.site().stack_file();
    fs::write(&path, serde_json::to_vec_pretty(&file)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Stack::read(cloud.site())
}

/// The outputs of all stacks by name, as the CDK wrote them into a file.
pub(crate) fn read_outputs(file: &Path, aws: &Aws) -> Result<Map<String, Value>> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let outputs: Value = serde_json::from_slice(&text).context("the CDK wrote outputs that are not JSON")?;
    Ok(by_name(&outputs, &aws.endpoint))
}

/// The outputs of all stacks in one map, with the function URL as it answers on loopback.
fn by_name(outputs: &Value, endpoint: &str) -> Map<String, Value> {
    let stacks = outputs.as_object().into_iter().flat_map(Map::values);
    stacks
        .filter_map(Value::as_object)
        .flatten()
        // What one stack hands to another is the CDK's business.
        .filter(|(name, _)| !name.starts_with("ExportsOutput"))
        .map(|(name, value)| {
            let value = match value.as_str().and_then(function_url_id) {
                Some(id) => Value::String(format!("{endpoint}/_aws/lambda-url/{id}/")),
                None => value.clone(),
            };
            (name.clone(), value)
        })
        .collect()
}

/// `abc` of `https://abc.lambda-url.us-east-1.on.aws/`: a name that no DNS knows here.
fn function_url_id(url: &str) -> Option<&str> {
    let (id, rest) = url.strip_prefix("https://")?.split_once('.')?;
    rest.starts_with("lambda-url.").then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathers_the_outputs_of_all_stacks_by_name() {
        let outputs = json!({
            "afterlink-local-data": {"EffectsTableName": "effects", "ExportsOutputRefEffects": "effects"},
            "afterlink-local-pipeline": {"WebhookUrl": "https://abc.lambda-url.us-east-1.on.aws/"},
        });
        let outputs = by_name(&outputs, "http://127.0.0.1:4566");
        assert_eq!(outputs.len(), 2);
        assert_eq!(outputs["EffectsTableName"], "effects");
        assert_eq!(outputs["WebhookUrl"], "http://127.0.0.1:4566/_aws/lambda-url/abc/");
    }
}
