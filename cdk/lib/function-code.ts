import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Annotations, CfnRule, Fn, IgnoreMode, type Stack } from 'aws-cdk-lib';
import { Code } from 'aws-cdk-lib/aws-lambda';
import type { Stage } from './stages.ts';

/** No code at all: Lambda itself refuses an empty file. */
const PLACEHOLDER = fileURLToPath(new URL('no-release-build.zip', import.meta.url));

/**
 * The built function `name` under `directory`: cargo-lambda's `<name>/bootstrap.zip`, or a
 * bare `<name>/bootstrap`.
 *
 * Only the local stage takes a bare binary: it is a development build, which must not reach
 * AWS because an engineer forgot to package. Of the two, the local stage takes the newer one.
 *
 * Without a release build there is a placeholder: `cdk diff`, `destroy` and `bootstrap` need no
 * code. What is made of it cannot be deployed, see `refuseDeployment`.
 */
export function functionCode(stage: Stage, directory: string, name: string): Code {
  const folder = join(directory, name);
  const zip = join(folder, 'bootstrap.zip');
  const binary = join(folder, 'bootstrap');

  if (stage.name !== 'local') return existsSync(zip) ? Code.fromAsset(zip) : Code.fromAsset(PLACEHOLDER);
  if (modified(zip) > modified(binary)) return Code.fromAsset(zip);
  if (existsSync(binary)) {
    return Code.fromAsset(folder, { exclude: ['*', '!bootstrap'], ignoreMode: IgnoreMode.GLOB });
  }
  throw new Error(`There is no build of ${name} (${binary}): run \`cargo xtask local up\` or \`cargo xtask package\`.`);
}

/** The functions that have no release build under `directory`. */
export function unbuilt(stage: Stage, directory: string, names: readonly string[]): string[] {
  if (stage.name === 'local') return [];
  return names.filter((name) => !existsSync(join(directory, name, 'bootstrap.zip')));
}

/**
 * Makes CloudFormation refuse to create or update these stacks, before it touches anything, with
 * a sentence. It does not look at rules when it compares or deletes.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
 */
export function refuseDeployment(stacks: readonly Stack[], names: readonly string[]): void {
  if (names.length === 0) return;
  const sentence = `There is no release build of ${names.join(', ')}: run \`cargo xtask package\` before you deploy.`;
  for (const stack of stacks) {
    Annotations.of(stack).addWarningV2('afterlink:no-release-build', sentence);
    new CfnRule(stack, 'FunctionsAreBuilt', {
      assertions: [{ assert: Fn.conditionEquals('no release build', 'release build'), assertDescription: sentence }],
    });
  }
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
