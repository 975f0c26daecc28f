import { Annotations, type App } from 'aws-cdk-lib';
import type { Code } from 'aws-cdk-lib/aws-lambda';
import { exampleValues, type Stage } from './stages.ts';
import { DataStack } from './stacks/data.ts';
import { OperationsStack } from './stacks/operations.ts';
import { PipelineStack } from './stacks/pipeline.ts';

export interface Afterlink {
  readonly data: DataStack;
  readonly pipeline: PipelineStack;
  /** Missing on the local cloud, which has neither archives nor alarms. */
  readonly operations?: OperationsStack;
}

/** Every stack of one stage. `code` gives the built function of a name. */
export function afterlink(app: App, stage: Stage, code: (name: string) => Code): Afterlink {
  if (stage.livemode && stage.stripeApiBaseUrl) {
    throw new Error(`Stage ${stage.name} has real money, which is asked for at Stripe only: take out stripeApiBaseUrl.`);
  }
  const data = new DataStack(app, stage);
  const examples = exampleValues(stage);
  if (examples.length > 0) {
    Annotations.of(data).addWarningV2(
      'afterlink:example-values',
      `Stage ${stage.name} still holds example values: ${examples.join(', ')}. See docs/DEPLOY.md.`,
    );
  }
  if (stage.livemode && !stage.pagesUrl) {
    Annotations.of(data).addWarningV2(
      'afterlink:no-pages-url',
      'Links in mails will carry the URL of a Lambda function. When that function is deleted, its URL cannot be had ' +
        'again and every link is dead: put a domain of your own into pagesUrl first. See docs/DEPLOY.md, The pages.',
    );
  }
  const pipeline = new PipelineStack(app, { stage, data, code });
  if (stage.name === 'local') return { data, pipeline };
  return { data, pipeline, operations: new OperationsStack(app, stage, data, pipeline) };
}
