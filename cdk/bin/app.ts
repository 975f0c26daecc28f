import { resolve } from 'node:path';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { afterlink } from '../lib/app.ts';
import { functionCode } from '../lib/function-code.ts';
import { stageFrom, withStripeApi } from '../lib/stages.ts';

// Paths are relative to the folder of cdk.json, from where the CDK CLI runs this file.
const BUILT_FUNCTIONS = '../target/lambda';

try {
  const app = new App();
  const named = stageFrom(app.node.tryGetContext('stage'), '-c stage=');
  const stage = withStripeApi(named, app.node.tryGetContext('stripeApi'));
  const directory = resolve(app.node.tryGetContext('functions') ?? BUILT_FUNCTIONS);
  afterlink(app, stage, (name) => functionCode(stage, directory, name));
  // The tests hold the local stage to the same rules; here it would only make a person wait.
  if (stage.name !== 'local') {
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
  }
  app.synth();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
