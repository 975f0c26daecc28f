import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { deployable, obstacles } from '../lib/deployable.ts';
import { type Stage, stages } from '../lib/stages.ts';

const CDK = fileURLToPath(new URL('../', import.meta.url));

/** A live stage as an engineer writes it who read the guide. */
const { partnerEventSource: _, ...example } = stages.live;
const READY: Stage = {
  ...example,
  env: { account: '123456789012', region: 'eu-west-1' },
  mail: { organisation: 'A Charity', address: 'thanks@charity.test', identity: 'charity.test', createIdentity: true },
  supporterNamespace: '0b1e8c0e-3a51-4f0d-9d5a-3d7f1c2b4a69',
  alarmEmail: 'ops@charity.test',
};

describe('a stage', () => {
  it('that was filled in can be deployed', () => {
    assert.deepEqual(obstacles(READY), []);
    assert.equal(deployable(READY), READY);
  });

  it('is refused in every region without function URLs, before anything is created', () => {
    const refused = (region: string) => obstacles({ ...stages.test, env: { account: '123456789012', region } });
    for (const region of ['eu-central-2', 'eu-south-2', 'il-central-1', 'ca-west-1', 'ap-southeast-7', 'me-central-1']) {
      assert.match(refused(region).join(), new RegExp(`no function URLs in ${region}`));
    }
    for (const region of ['eu-central-1', 'eu-west-1', 'us-east-1', 'ap-southeast-2', 'sa-east-1', 'af-south-1']) {
      assert.deepEqual(refused(region), [], region);
    }
    for (const region of ['cn-north-1', 'us-gov-west-1', 'eusc-de-east-1', 'Frankfurt']) {
      assert.match(refused(region).join(), /not one of AWS's commercial regions/, region);
    }
  });

  it('with a value of the example never goes live, and says which', () => {
    const examples: Record<string, Partial<Stage>> = {
      'mail.organisation': { mail: { ...READY.mail, organisation: stages.live.mail.organisation } },
      'mail.address': { mail: { ...READY.mail, address: stages.live.mail.address } },
      'mail.identity': { mail: { ...READY.mail, identity: stages.live.mail.identity } },
      'mail.sandboxRecipients': { mail: { ...READY.mail, sandboxRecipients: ['you@example.org'] } },
      partnerEventSource: { partnerEventSource: 'aws.partner/stripe.com/ed_EXAMPLE' },
      pagesUrl: { pagesUrl: 'https://shop.example.org' },
      supporterNamespace: { supporterNamespace: stages.live.supporterNamespace },
      alarmEmail: { alarmEmail: 'engineers@example.org' },
    };
    for (const [name, changed] of Object.entries(examples)) {
      const [sentence, ...more] = obstacles({ ...READY, ...changed });
      assert.match(sentence ?? '', new RegExp(`^${name}: it is the example's value; .+\\.$`));
      assert.deepEqual(more, [], name);
    }
  });

  it('goes live only where it says account and region, and with a namespace of its own', () => {
    const { env: __, ...nowhere } = READY;
    assert.match(obstacles(nowhere).join(), /^env: put account and region/);
    assert.match(obstacles({ ...READY, env: { region: 'eu-west-1' } }).join(), /^env: put account and region/);
    const shared = { ...READY, supporterNamespace: stages.test.supporterNamespace };
    assert.match(obstacles(shared).join(), /^supporterNamespace: it is the test stage's/);
  });

  it('closes its pages only behind a domain of its own, and has a ceiling that is a number', () => {
    assert.match(obstacles({ ...READY, originSecretName: 'x' }).join(), /^originSecretName: .+ needs pagesUrl/);
    assert.match(obstacles({ ...READY, publicConcurrency: 0 }).join(), /^publicConcurrency: 0/);
  });
});

describe('the app, as the CDK CLI runs it', () => {
  const run = (...context: string[]) => {
    const out = mkdtempSync(join(tmpdir(), 'afterlink-app-'));
    try {
      const settings = Object.fromEntries(context.map((pair) => pair.split('=', 2)));
      const { context: flags } = JSON.parse(readFileSync(join(CDK, 'cdk.json'), 'utf8'));
      const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'bin/app.ts'], {
        cwd: CDK,
        encoding: 'utf8',
        env: { ...process.env, CDK_OUTDIR: out, CDK_CONTEXT_JSON: JSON.stringify({ ...flags, ...settings }) },
      });
      const templates = readdirSync(out)
        .filter((file) => file.endsWith('.template.json'))
        .map((file) => JSON.parse(readFileSync(join(out, file), 'utf8')));
      return { status, stderr, templates };
    } finally {
      rmSync(out, { recursive: true });
    }
  };

  it('refuses the live stage of the example, with a sentence for each value', () => {
    const { status, stderr, templates } = run('stage=live', 'functions=nowhere');
    assert.equal(status, 1);
    assert.deepEqual(templates, []);
    for (const name of ['env', 'mail.address', 'partnerEventSource', 'supporterNamespace', 'alarmEmail']) {
      assert.match(stderr, new RegExp(`^- ${name}: `, 'm'));
    }
  });

  it('can be compared and destroyed in a fresh clone, and not deployed', () => {
    const { status, stderr, templates } = run('stage=test', 'functions=nowhere');
    assert.equal(status, 0, stderr);
    assert.equal(templates.length, 3);
    for (const { Rules } of templates) {
      const [{ Assert, AssertDescription }] = Rules.FunctionsAreBuilt.Assertions;
      assert.deepEqual(Assert, { 'Fn::Equals': ['no release build', 'release build'] });
      assert.match(AssertDescription, /no release build of .*thank-you-email.*: run `cargo xtask package`/);
    }
  });
});
