import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { STAGE_NAMES, stages } from '../lib/stages.ts';
import { synthesize } from './synthesized.ts';

for (const name of STAGE_NAMES) {
  it(`cdk-nag finds nothing in stage ${name} that is not accepted for a reason`, () => {
    assert.doesNotThrow(() => {
      synthesize(stages[name], (app) => {
        Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
      });
    });
  });
}
