import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { it } from 'node:test';
import { STAGE_NAMES } from '../lib/stages.ts';
import { review } from './review.ts';
import { synthesizedStage } from './synthesized.ts';

// What a change does to rights, rules, alarms and what is kept shows in the review of these files. After a change that is
// meant: `npm run test:update`, and read the diff.
for (const name of STAGE_NAMES) {
  it(`stage ${name} is the one that was reviewed`, () => {
    const text = review(synthesizedStage(name));
    const file = new URL(`snapshots/${name}.txt`, import.meta.url);
    if (process.env.UPDATE_SNAPSHOTS) writeFileSync(file, text);
    assert.ok(existsSync(file), `there is no snapshot of stage ${name}: npm run test:update`);
    assert.equal(text, readFileSync(file, 'utf8'), 'if this is meant: npm run test:update');
  });
}
