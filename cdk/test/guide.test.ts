import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { obstacles } from '../lib/deployable.ts';
import { exampleValues, stageFrom, stages, withProtection } from '../lib/stages.ts';

const CDK = fileURLToPath(new URL('../', import.meta.url));
const GUIDE = readFileSync(new URL('../../docs/DEPLOY.md', import.meta.url), 'utf8');

/** The guide's `cdk` commands, without what follows them on their line. */
const COMMANDS = [...GUIDE.matchAll(/npx cdk ([^#`\n]+)/g)].map(([, rest = '']) => rest.trim().split(/\s+/));

/** The options that a command of the CDK CLI knows. */
function optionsOf(verb: string): Set<string> {
  const { stdout, status } = spawnSync('node_modules/.bin/cdk', [verb, '--help'], { cwd: CDK, encoding: 'utf8' });
  assert.equal(status, 0, `cdk has no command ${verb}`);
  return new Set(stdout.match(/(?<![\w-])--?[a-z][\w-]*/g) ?? []);
}

describe('the guide', () => {
  it('bootstraps, compares, deploys and destroys', () => {
    const verbs = new Set(COMMANDS.map(([verb]) => verb));
    assert.deepEqual([...verbs].sort(), ['bootstrap', 'deploy', 'destroy', 'diff']);
  });

  it('uses options that the CDK knows, and says the stage, without which the app does not run', () => {
    const known = new Map<string, Set<string>>();
    for (const [verb = '', ...words] of COMMANDS) {
      const options = known.get(verb) ?? optionsOf(verb);
      known.set(verb, options);
      const context: Record<string, string> = {};
      for (let at = 0; at < words.length; at += 1) {
        const option = words[at] ?? '';
        assert.ok(options.has(option), `cdk ${verb} does not know ${option}`);
        if (option !== '-c') continue;
        at += 1;
        const [name = '', value = ''] = (words[at] ?? '').split('=');
        context[name] = value;
      }
      const { stage, protection, ...others } = context;
      // Neither throws: the stage is one, and the protection is.
      withProtection(stageFrom(stage, '-c stage='), protection);
      assert.deepEqual(others, {}, `the app does not read -c ${Object.keys(others).join()}`);
    }
  });

  it('names every value that has to be put in', () => {
    const table = GUIDE.slice(GUIDE.indexOf('## 2.'), GUIDE.indexOf('## 3.'));
    for (const name of ['env', 'publicConcurrency', 'operatorRoles', ...exampleValues(stages.live), 'pagesUrl']) {
      assert.ok(table.includes(`\`${name}\``), `${name} is not in the table of step 2`);
    }
  });

  it('names the regions that are refused', () => {
    const refused = ['Hyderabad', 'Melbourne', 'Malaysia', 'New Zealand', 'Thailand', 'Taipei', 'Calgary', 'Spain'];
    for (const place of [...refused, 'Zurich', 'Tel Aviv', 'UAE']) assert.ok(GUIDE.includes(place), place);
    const env = { account: '123456789012', region: 'eu-central-2' };
    assert.equal(obstacles({ ...stages.test, env }).length, 1);
  });
});
