import { parseArgs } from 'node:util';
import { policyFile } from '../lib/policy.ts';
import { withoutFunctions } from '../lib/synthesis.ts';
import { stageFrom, withPolicy } from '../lib/stages.ts';

// Prints the event pattern of every rule of a stage, by the rule's name, as JSON: for
// EventBridge's TestEventPattern.
try {
  const { values } = parseArgs({ options: { stage: { type: 'string' } } });
  const patterns = withoutFunctions(withPolicy(stageFrom(values.stage, '--stage '), policyFile()), (app, { pipeline }) => {
    const { Resources } = app.synth().getStackByName(pipeline.stackName).template;
    return Object.values(
      Resources as Record<string, { Type: string; Properties: { Name: string; EventPattern: unknown } }>,
    )
      .filter(({ Type }) => Type === 'AWS::Events::Rule')
      .map(({ Properties }) => [Properties.Name, Properties.EventPattern]);
  });
  console.log(JSON.stringify(Object.fromEntries(patterns), null, 2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
