import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { IgnoreMode } from 'aws-cdk-lib';
import { Code } from 'aws-cdk-lib/aws-lambda';
import type { Stage } from './stages.ts';

/**
 * The built function `name` under `directory`: cargo-lambda's `<name>/bootstrap.zip`, or a
 * bare `<name>/bootstrap`.
 *
 * Only the local stage takes a bare binary: it is a development build, which must not reach
 * AWS because somebody forgot to package. Of the two, the local stage takes the newer one.
 */
export function functionCode(stage: Stage, directory: string, name: string): Code {
  const folder = join(directory, name);
  const zip = join(folder, 'bootstrap.zip');
  const binary = join(folder, 'bootstrap');

  if (stage.name !== 'local') {
    if (existsSync(zip)) return Code.fromAsset(zip);
    throw new Error(`There is no release build of ${name} (${zip}): run \`cargo xtask package\`.`);
  }
  if (modified(zip) > modified(binary)) return Code.fromAsset(zip);
  if (existsSync(binary)) {
    return Code.fromAsset(folder, { exclude: ['*', '!bootstrap'], ignoreMode: IgnoreMode.GLOB });
  }
  throw new Error(`There is no build of ${name} (${binary}): run \`cargo xtask local up\` or \`cargo xtask package\`.`);
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
