import { resolve } from 'node:path';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { afterlink } from '../lib/app.ts';
import { deployable } from '../lib/deployable.ts';
import { functionCode, refuseDeployment, unbuilt } from '../lib/function-code.ts';
import { policyFile } from '../lib/policy.ts';
import { stageFrom, withPolicy, withProtection, withStripeApi } from '../lib/stages.ts';

// Paths are relative to the folder of cdk.json, from where the CDK CLI runs this file.
const BUILT_FUNCTIONS = '../target/lambda';

try {
  const app = new App();
  const named = stageFrom(app.node.tryGetContext('stage'), '-c stage=');
  const protectedStage = withProtection(deployable(named), app.node.tryGetContext('protection'));
  const asked = withStripeApi(protectedStage, app.node.tryGetContext('stripeApi'));
  const stage = withPolicy(asked, policyFile());
  const directory = resolve(app.node.tryGetContext('functions') ?? BUILT_FUNCTIONS);
  const names: string[] = [];
  const { data, pipeline, operations } = afterlink(app, stage, (name) => {
    names.push(name);
    return functionCode(stage, directory, name);
  });
  refuseDeployment([data, pipeline, ...(operations ? [operations] : [])], unbuilt(stage, directory, names));
  // The tests hold the local stage to the same rules; here it would only make a person wait.
  if (stage.name !== 'local') {
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
  }
  app.synth();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
