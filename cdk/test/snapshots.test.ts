import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { it } from 'node:test';
import { STAGE_NAMES } from '../lib/stages.ts';
import { synthesizedStage } from './synthesized.ts';

// What changes in a template shows in the review of its snapshot. After a change that is
// meant: `npm run test:update`, and read the diff.
for (const name of STAGE_NAMES) {
  it(`stage ${name} is the one that was reviewed`, () => {
    // The code of a function is not the template's business.
    const text = JSON.stringify(synthesizedStage(name).templates, null, 2).replace(/\b[0-9a-f]{64}\b/g, '[hash]');
    const file = new URL(`snapshots/${name}.json`, import.meta.url);
    if (process.env.UPDATE_SNAPSHOTS) writeFileSync(file, `${text}\n`);
    assert.ok(existsSync(file), `there is no snapshot of stage ${name}: npm run test:update`);
    assert.deepEqual(JSON.parse(text), JSON.parse(readFileSync(file, 'utf8')), 'if this is meant: npm run test:update');
  });
}
