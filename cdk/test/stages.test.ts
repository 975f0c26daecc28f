import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { functionCode, unbuilt } from '../lib/function-code.ts';
import { mailbox } from '../lib/stacks/pipeline.ts';
import { exampleValues, STAGE_NAMES, stageFrom, stages, withPolicy, withStripeApi } from '../lib/stages.ts';
import { synthesize } from './synthesized.ts';

describe('a stage', () => {
  it('is found by its name', () => {
    for (const name of STAGE_NAMES) assert.equal(stageFrom(name, '').name, name);
  });

  it('that is unknown or missing is answered with the names that exist', () => {
    assert.throws(() => stageFrom('prod', '-c stage='), {
      message: 'There is no stage "prod". Say which with -c stage=local|test|live.',
    });
    assert.throws(() => stageFrom(undefined, '-c stage='), {
      message: 'No stage was given. Say which with -c stage=local|test|live.',
    });
  });

  it('listens to live payments only when it is live', () => {
    const live = STAGE_NAMES.filter((name) => stages[name].livemode);
    assert.deepEqual(live, ['live']);
  });

  it('asks for real money at Stripe only', () => {
    const url = 'http://127.0.0.1:4010';
    assert.equal(withStripeApi(stages.local, url).stripeApiBaseUrl, url);
    assert.equal(withStripeApi(stages.live, undefined), stages.live);
    for (const name of ['test', 'live'] as const) {
      assert.throws(() => withStripeApi(stages[name], url), /asks Stripe itself/);
    }
    assert.throws(() => synthesize({ ...stages.live, stripeApiBaseUrl: url }), /real money/);
  });

  it('lets renewals through to the mails where the policy thanks for any', () => {
    const thanks = (policy: string) => withPolicy(stages.test, policy).thanksRenewals === true;
    for (const policy of [
      '[membership]\nthank_renewals = true\n',
      '[contribution]\nthank_renewals = false\n[membership]\n  thank_renewals=true # since May\r\n',
      'membership.thank_renewals = true',
      'membership = { shown_as = { en = "#1" }, "thank_renewals" = true }',
    ]) {
      assert.ok(thanks(policy), policy);
    }
    for (const policy of [
      '[membership]\nproduct = "MEMBERSHIP"\n',
      '[membership]\nthank_renewals = false\n',
      '[membership]\n# thank_renewals = true\n',
      '[membership]\nproduct = "M" # thank_renewals = true\n',
      '[membership]\nthank_renewals = "true"\n',
    ]) {
      assert.ok(!thanks(policy), policy);
    }
    assert.equal(withPolicy(stages.test, ''), stages.test);
  });

  it('has a namespace of its own for supporter ids', () => {
    const namespaces = new Set(STAGE_NAMES.map((name) => stages[name].supporterNamespace));
    assert.equal(namespaces.size, STAGE_NAMES.length);
    for (const uuid of namespaces)
      assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('that is deployed says which of its values are still examples', () => {
    assert.deepEqual(exampleValues(stages.local), []);
    assert.deepEqual(exampleValues(stages.live), [
      'mail.organisation',
      'mail.address',
      'mail.identity',
      'partnerEventSource',
      'supporterNamespace',
      'alarmEmail',
    ]);
    const mail = {
      ...stages.live.mail,
      organisation: 'A Charity',
      address: 'thanks@charity.example',
      identity: 'charity.example',
    };
    const mended = { ...stages.live, mail, partnerEventSource: undefined, alarmEmail: 'ops@charity.example' };
    assert.deepEqual(exampleValues(mended), ['supporterNamespace']);
  });
});

describe('the sender', () => {
  const check = (name: string, expected: string) => {
    assert.equal(mailbox(name, 'thanks@example.org'), `${expected} <thanks@example.org>`);
  };

  it('is written as the From header wants it', () => {
    check('Example Project', 'Example Project');
    check('Example Project (test)', '"Example Project (test)"');
    check('Bread, Butter & Jam', '"Bread, Butter & Jam"');
    check('The "Best" \\ Project', '"The \\"Best\\" \\\\ Project"');
    check('Café Zürich', '=?UTF-8?B?Q2Fmw6kgWsO8cmljaA==?=');
  });

  it('with a name too long to encode is refused', () => {
    assert.throws(() => mailbox('é'.repeat(40), 'thanks@example.org'), /too long for the From header/);
  });
});

describe("a function's code", () => {
  const NAME = 'thank-you-email';
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'afterlink-code-'));
    mkdirSync(join(directory, NAME));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const built = (file: string, seconds: number) => {
    const path = join(directory, NAME, file);
    writeFileSync(path, '');
    utimesSync(path, seconds, seconds);
  };
  const chosen = (stage: 'local' | 'live') => {
    const code = functionCode(stages[stage], directory, NAME);
    return (code as unknown as { path: string }).path.slice(join(directory, NAME).length);
  };

  it('is the release zip on AWS, however new a development build is', () => {
    built('bootstrap.zip', 1000);
    built('bootstrap', 2000);
    assert.equal(chosen('live'), '/bootstrap.zip');
  });

  it('is never a development build on AWS', () => {
    built('bootstrap', 1000);
    assert.deepEqual(unbuilt(stages.live, directory, [NAME]), [NAME]);
    const { path } = functionCode(stages.live, directory, NAME) as unknown as { path: string };
    assert.equal(statSync(path).size, 0, 'a placeholder, which Lambda refuses');
    built('bootstrap.zip', 1000);
    assert.deepEqual(unbuilt(stages.live, directory, [NAME]), []);
  });

  it('is what was built last on the local cloud', () => {
    built('bootstrap', 1000);
    assert.equal(chosen('local'), '');
    built('bootstrap.zip', 2000);
    assert.equal(chosen('local'), '/bootstrap.zip');
    built('bootstrap', 3000);
    assert.equal(chosen('local'), '');
  });

  it('that is missing is answered with what to run', () => {
    assert.throws(() => chosen('local'), /no build of thank-you-email .*run `cargo xtask local up`/);
  });
});
