import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { policyFile } from '../lib/policy.ts';
import { STAGE_NAMES, stages, withPolicy } from '../lib/stages.ts';
import { withoutFunctions } from '../lib/synthesis.ts';

// Writes the templates of every stage, one file a stack, for cfn-lint.
try {
  const { out } = parseArgs({ options: { out: { type: 'string' } } }).values;
  if (out === undefined) throw new Error('Say where to with --out.');
  mkdirSync(out, { recursive: true });
  for (const name of STAGE_NAMES) {
    withoutFunctions(withPolicy(stages[name], policyFile()), (app) => {
      for (const { stackName, template } of app.synth().stacks) {
        writeFileSync(join(out, `${stackName}.template.json`), JSON.stringify(template, null, 1));
      }
    });
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
