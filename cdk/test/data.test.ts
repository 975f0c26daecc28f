import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { STAGE_NAMES, stages, withProtection } from '../lib/stages.ts';
import { type Synthesized, synthesize, synthesizedStage } from './synthesized.ts';

interface Key {
  readonly AttributeName: string;
  readonly KeyType: string;
}

function keyOf(keys: readonly Key[], type: string): string | null {
  return keys.find(({ KeyType }) => KeyType === type)?.AttributeName ?? null;
}

/** The tables of a stage, in the words of `golden/tables.json`. */
function tablesOf(synthesized: Synthesized) {
  const tables = synthesized.all('AWS::DynamoDB::Table').map(({ id, Properties }) => {
    const { KeySchema, GlobalSecondaryIndexes = [], TimeToLiveSpecification } = Properties;
    return [
      // The construct's name, without the hash that the CDK puts behind it.
      id.slice(0, -8).toLowerCase(),
      {
        partition: keyOf(KeySchema, 'HASH'),
        sort: keyOf(KeySchema, 'RANGE'),
        expiry: TimeToLiveSpecification?.AttributeName ?? null,
        indexes: GlobalSecondaryIndexes.map((index: { IndexName: string; KeySchema: Key[]; Projection: { ProjectionType: string } }) => ({
          name: index.IndexName,
          partition: keyOf(index.KeySchema, 'HASH'),
          sort: keyOf(index.KeySchema, 'RANGE'),
          projection: index.Projection.ProjectionType,
        })),
      },
    ] as const;
  });
  return Object.fromEntries([...tables].sort(([a], [b]) => a.localeCompare(b)));
}

for (const name of STAGE_NAMES) {
  const stage = stages[name];
  const synthesized = synthesizedStage(name);

  describe(`the data stack of stage ${name}`, () => {
    // The tables in memory of the Rust tests are made from this file.
    it('keeps the tables that the Rust tests know', () => {
      const file = new URL('golden/tables.json', import.meta.url);
      const tables = tablesOf(synthesized);
      if (process.env.UPDATE_SNAPSHOTS) writeFileSync(file, `${JSON.stringify(tables, null, 2)}\n`);
      assert.deepEqual(tables, JSON.parse(readFileSync(file, 'utf8')), 'if this is meant: npm run test:update');
      for (const { Properties } of synthesized.all('AWS::DynamoDB::Table')) {
        for (const { AttributeType } of Properties.AttributeDefinitions) assert.equal(AttributeType, 'S');
      }
    });

    it('finds what is open in the ledger, and the payment of a session, without reading the rest', () => {
      const indexed = synthesized.all('AWS::DynamoDB::Table').filter(({ Properties }) => Properties.GlobalSecondaryIndexes);
      assert.deepEqual(
        indexed.map(({ id, Properties }) => [id.replace(/[0-9A-F]{8}$/, ''), Properties.GlobalSecondaryIndexes]),
        [
          [
            'Contributions',
            [
              {
                IndexName: 'by_session',
                KeySchema: [{ AttributeName: 'session_id', KeyType: 'HASH' }],
                Projection: { ProjectionType: 'KEYS_ONLY' },
              },
            ],
          ],
          [
            'Effects',
            [
              {
                IndexName: 'open-effects',
                KeySchema: [
                  { AttributeName: 'open', KeyType: 'HASH' },
                  { AttributeName: 'effect', KeyType: 'RANGE' },
                ],
                Projection: { ProjectionType: 'ALL' },
              },
            ],
          ],
        ],
      );
    });

    it('pays for tables by request and can go back to any second', () => {
      for (const { Properties } of synthesized.all('AWS::DynamoDB::Table')) {
        assert.equal(Properties.BillingMode, 'PAY_PER_REQUEST');
        assert.deepEqual(Properties.PointInTimeRecoverySpecification, { PointInTimeRecoveryEnabled: true });
      }
    });

    it(`${stage.durable ? 'keeps' : 'lets go of'} its records when the stack goes`, () => {
      const check = (type: string, policy: string) => {
        for (const resource of synthesized.all(type)) {
          assert.equal(resource.DeletionPolicy, policy, resource.id);
          assert.equal(resource.UpdateReplacePolicy, policy === 'Delete' ? 'Delete' : 'Retain', resource.id);
        }
      };
      // What a rolled-back first deployment leaves behind must not stand in the way of the next.
      check('AWS::S3::Bucket', stage.durable ? 'RetainExceptOnCreate' : 'Delete');
      check('AWS::SecretsManager::Secret', stage.durable ? 'RetainExceptOnCreate' : 'Delete');
      // A protected table cannot be rolled back; its name is CloudFormation's.
      check('AWS::DynamoDB::Table', stage.durable ? 'Retain' : 'Delete');
      for (const { Properties } of synthesized.all('AWS::DynamoDB::Table')) {
        assert.equal(Properties.DeletionProtectionEnabled, stage.durable);
      }
    });

    it('leaves the mail identity to the account when the stack goes: another stage may send with it', () => {
      const [identity] = synthesized.all('AWS::SES::EmailIdentity');
      assert.equal(identity?.DeletionPolicy, name === 'local' ? 'Delete' : 'RetainExceptOnCreate');
      assert.equal(identity?.UpdateReplacePolicy, name === 'local' ? 'Delete' : 'Retain');
    });

    it('keeps templates and files private, encrypted and versioned, and old versions for 90 days', () => {
      const buckets = synthesized.all('AWS::S3::Bucket');
      assert.deepEqual(
        buckets.map(({ id }) => id.slice(0, 5)),
        ['Templ', 'Files'],
      );
      for (const { Properties } of buckets) {
      assert.deepEqual(Object.values(Properties.PublicAccessBlockConfiguration), [true, true, true, true]);
      const [{ ServerSideEncryptionByDefault }] = Properties.BucketEncryption.ServerSideEncryptionConfiguration;
      assert.deepEqual(ServerSideEncryptionByDefault, { SSEAlgorithm: 'AES256' });
      assert.deepEqual(Properties.VersioningConfiguration, { Status: 'Enabled' });
      const [rule] = Properties.LifecycleConfiguration.Rules;
      assert.equal(rule.NoncurrentVersionExpiration.NoncurrentDays, 90);
      assert.equal(rule.AbortIncompleteMultipartUpload.DaysAfterInitiation, 7);
      assert.equal(rule.ExpirationInDays, undefined, 'what is current never expires');
      }
    });

    it(`${stage.tlsOnly ? 'refuses' : 'accepts'} plain HTTP for its buckets`, () => {
      const refusals = synthesized
        .all('AWS::S3::BucketPolicy')
        .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
        .filter(({ Effect, Condition }) => Effect === 'Deny' && Condition.Bool['aws:SecureTransport'] === 'false');
      assert.equal(refusals.length, stage.tlsOnly ? 2 : 0);
    });

    it('makes a random signing secret, until the owner puts it in', () => {
      const { Properties } = synthesized.one('AWS::SecretsManager::Secret', 'Name', stage.signingSecretName);
      assert.deepEqual(Properties.GenerateSecretString, { PasswordLength: 64, ExcludePunctuation: true });
      assert.equal(Properties.SecretString, undefined);
    });

    it('creates the mail identity', () => {
      synthesized.one('AWS::SES::EmailIdentity', 'EmailIdentity', stage.mail.identity);
    });

    it('names what others need', () => {
      const outputs = [
        'ContributionsTableName',
        'SupportersTableName',
        'ConsentsTableName',
        'EffectsTableName',
        'ReconciliationTableName',
        'DownloadsTableName',
        'TemplatesBucketName',
        'FilesBucketName',
        'SigningSecretName',
        'StripeKeyName',
        'StripePagesKeyName',
        'TokenKeysName',
        ...(name === 'local' ? [] : ['DkimRecord1', 'DkimRecord2', 'DkimRecord3']),
      ];
      assert.deepEqual(synthesized.outputs('data'), outputs);
    });
  });
}

describe('a first deployment', () => {
  it('leaves nothing behind when it is rolled back, and nothing refuses to be deleted', () => {
    const first = synthesize(withProtection(stages.live, 'off'));
    for (const type of [
      'AWS::DynamoDB::Table',
      'AWS::S3::Bucket',
      'AWS::SecretsManager::Secret',
      'AWS::SES::EmailIdentity',
    ]) {
      for (const { id, DeletionPolicy, Properties } of first.all(type)) {
        assert.equal(DeletionPolicy, 'RetainExceptOnCreate', id);
        assert.ok(!Properties.DeletionProtectionEnabled, id);
      }
    }
    assert.deepEqual(first.protectedStacks, []);
    assert.deepEqual(synthesizedStage('live').protectedStacks, ['data', 'pipeline']);
    assert.deepEqual(synthesizedStage('test').protectedStacks, []);
  });

  it('is protected unless it is said otherwise', () => {
    assert.equal(withProtection(stages.live, undefined), stages.live);
    assert.equal(withProtection(stages.live, 'on'), stages.live);
    assert.throws(() => withProtection(stages.live, 'no'), /say -c protection=off/);
  });
});
