import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Code } from 'aws-cdk-lib/aws-lambda';
import { type Afterlink, afterlink } from './app.ts';
import type { Stage } from './stages.ts';

/**
 * Every stack of one stage around an empty function, as for questions that the code of the
 * functions does not change: no Rust is built.
 */
export function withoutFunctions<T>(stage: Stage, ask: (app: App, stacks: Afterlink) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'afterlink-cdk-'));
  try {
    const zip = join(directory, 'bootstrap.zip');
    writeFileSync(zip, '');
    // The feature flags that the CDK CLI would read.
    const { context } = JSON.parse(readFileSync(new URL('../cdk.json', import.meta.url), 'utf8'));
    const app = new App({ context, outdir: join(directory, 'cdk.out'), builtinCloudFormationValidation: false });
    return ask(
      app,
      afterlink(app, stage, () => Code.fromAsset(zip)),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}
