import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { STAGE_NAMES, stages } from '../lib/stages.ts';
import { type Resource, synthesizedStage } from './synthesized.ts';

interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
}

/** What a function may touch, and with which calls. */
type Grants = Readonly<Record<string, readonly string[]>>;

const QUEUE_TASK: Grants = {
  'its log group': ['logs:CreateLogStream', 'logs:PutLogEvents'],
  'its queue': ['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'],
  'its dead-letter queue': ['sqs:SendMessage'],
};

const GRANTS: Readonly<Record<string, Grants>> = {
  'stripe-webhook': {
    'its log group': ['logs:CreateLogStream', 'logs:PutLogEvents'],
    'the fulfilment bus': ['events:PutEvents'],
    'the signing secret': ['secretsmanager:GetSecretValue'],
  },
  'thank-you-email': {
    ...QUEUE_TASK,
    Effects: ['dynamodb:Query', 'dynamodb:UpdateItem'],
    Downloads: ['dynamodb:GetItem', 'dynamodb:PutItem'],
    'what is sold': ['s3:GetObject'],
    'the keys of the links': ['secretsmanager:GetSecretValue'],
    "Stripe's key": ['secretsmanager:GetSecretValue'],
    'the templates': ['s3:GetObject'],
    Templates: ['s3:ListBucket'],
  },
  'contribution-records': {
    ...QUEUE_TASK,
    Contributions: ['dynamodb:PutItem'],
    Supporters: ['dynamodb:DeleteItem', 'dynamodb:PutItem'],
    Effects: ['dynamodb:Query', 'dynamodb:UpdateItem'],
    "Stripe's key": ['secretsmanager:GetSecretValue'],
  },
  'soft-opt-ins': {
    ...QUEUE_TASK,
    Consents: ['dynamodb:PutItem'],
    Effects: ['dynamodb:Query', 'dynamodb:UpdateItem'],
  },
  'acquisition-events': {
    ...QUEUE_TASK,
    Effects: ['dynamodb:Query', 'dynamodb:UpdateItem'],
    'the acquisition bus': ['events:PutEvents'],
    "Stripe's key": ['secretsmanager:GetSecretValue'],
  },
  'wording-check': {
    ...QUEUE_TASK,
    'the templates': ['s3:GetObject'],
    Templates: ['s3:ListBucket'],
  },
  downloads: {
    'its log group': ['logs:CreateLogStream', 'logs:PutLogEvents'],
    Contributions: ['dynamodb:GetItem'],
    'the contributions by session': ['dynamodb:Query'],
    Downloads: ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem'],
    Effects: ['dynamodb:Query'],
    'what is sold': ['s3:GetObject'],
    'the keys of the links': ['secretsmanager:GetSecretValue'],
    "Stripe's key for pages": ['secretsmanager:GetSecretValue'],
  },
  reconcile: {
    'its log group': ['logs:CreateLogStream', 'logs:PutLogEvents'],
    Effects: ['dynamodb:Query'],
    Reconciliation: ['dynamodb:DeleteItem', 'dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:Query'],
    'the fulfilment bus': ['events:PutEvents'],
    "Stripe's key": ['secretsmanager:GetSecretValue'],
  },
};

/** Who may send mail. */
const MAILERS = ['thank-you-email', 'wording-check'];

for (const name of STAGE_NAMES) {
  const stage = stages[name];
  const synthesized = synthesizedStage(name);
  const mail: Grants =
    name === 'local'
      ? // The local cloud knows neither the resource nor the sender of a mail.
        { '"*"': ['ses:SendEmail'] }
      : {
          'the sender identity': ['ses:SendEmail'],
          'the sender address': ['ses:SendEmail'],
          'the configuration set': ['ses:SendEmail'],
          ...(stage.mail.sandboxRecipients && { 'a sandbox recipient': ['ses:SendEmail'] }),
        };
  const roles = synthesized.all('AWS::IAM::Role');
  const statementsOf = (role: Resource): Statement[] =>
    (role.Properties.Policies ?? []).flatMap(
      ({ PolicyDocument }: { PolicyDocument: { Statement: Statement[] } }) => PolicyDocument.Statement,
    );
  const functionOf = (task: string): Resource =>
    synthesized.one('AWS::Lambda::Function', 'FunctionName', `afterlink-${name}-${task}`);
  const roleOf = (task: string): Resource => {
    const id = functionOf(task).Properties.Role['Fn::GetAtt'][0];
    return roles.find((role) => role.id === id) ?? assert.fail(`no role for ${task}`);
  };

  const operatorStatements = (verb: string): Statement[] =>
    synthesized.one('AWS::IAM::ManagedPolicy', 'ManagedPolicyName', `afterlink-${name}-operator-${verb}`).Properties
      .PolicyDocument.Statement;

  describe(`grants of stage ${name}`, () => {
    for (const [task, grants] of Object.entries(GRANTS)) {
      it(`${task} may do what it does and nothing else`, () => {
        const given: Record<string, string[]> = {};
        for (const { Effect, Action, Resource } of statementsOf(roleOf(task))) {
          assert.equal(Effect, 'Allow');
          for (const resource of [Resource].flat().map((one) => describeResource(one, task))) {
            given[resource] = [...(given[resource] ?? []), ...[Action].flat()].sort();
          }
        }
        assert.deepEqual(given, { ...grants, ...(MAILERS.includes(task) && mail) });
      });
    }

    it('functions are given the variables that they read, and no others', () => {
      const common = ['LIVEMODE', 'STAGE'];
      const retry = ['RETRY_BASE_SECONDS', 'RETRY_CAP_SECONDS', 'RETRY_GIVE_UP_SECONDS'];
      const queued = [...common, 'DLQ_URL', 'QUEUE_URL', ...retry];
      const check = (task: string, expected: string[]) => {
        assert.deepEqual(Object.keys(functionOf(task).Properties.Environment.Variables).sort(), expected.sort());
      };
      check('stripe-webhook', [...common, 'FULFILMENT_BUS', 'SIGNING_SECRET_NAME']);
      const purchases = ['DOWNLOADS_TABLE', 'FILES_BUCKET', 'TOKEN_KEYS_SECRET_NAME', 'STRIPE_KEY_SECRET_NAME'];
      check('downloads', [...common, 'CONTRIBUTIONS_TABLE', 'EFFECTS_TABLE', ...purchases]);
      check('thank-you-email', [
        ...queued,
        ...purchases,
        'EFFECTS_TABLE',
        'SENDER',
        'CONFIGURATION_SET',
        'TEMPLATES_BUCKET',
        'PAGES_URL',
      ]);
      check('wording-check', [...queued, 'SENDER', 'CONFIGURATION_SET', 'TEMPLATES_BUCKET']);
      check('contribution-records', [
        ...queued,
        'CONTRIBUTIONS_TABLE',
        'SUPPORTERS_TABLE',
        'EFFECTS_TABLE',
        'STRIPE_KEY_SECRET_NAME',
        'SUPPORTER_NAMESPACE',
      ]);
      check('soft-opt-ins', [...queued, 'CONSENTS_TABLE', 'EFFECTS_TABLE', 'SUPPORTER_NAMESPACE']);
      check('acquisition-events', [
        ...queued,
        'EFFECTS_TABLE',
        'ACQUISITION_BUS',
        'STRIPE_KEY_SECRET_NAME',
        'SUPPORTER_NAMESPACE',
      ]);
    });

    it('mail may be sent from one address only', () => {
      const condition = { StringEquals: { 'ses:FromAddress': stage.mail.address } };
      for (const mailer of MAILERS) {
        const send = statementsOf(roleOf(mailer)).find(({ Action }) => Action === 'ses:SendEmail');
        assert.deepEqual(send?.Condition, name === 'local' ? undefined : condition, mailer);
      }
    });

    it('every function has a role of its own, which only Lambda may take', () => {
      const own = new Set(Object.keys(GRANTS).map((task) => roleOf(task).id));
      assert.equal(own.size, Object.keys(GRANTS).length);
      for (const task of Object.keys(GRANTS)) {
        const [{ Action, Principal }, ...more] = roleOf(task).Properties.AssumeRolePolicyDocument.Statement;
        assert.deepEqual(
          { Action, Principal, more },
          { Action: 'sts:AssumeRole', Principal: { Service: 'lambda.amazonaws.com' }, more: [] },
        );
      }
    });

    it('no role has a policy that AWS manages, and only the forward rule has a policy beside its role', () => {
      for (const { id, Properties } of roles) assert.equal(Properties.ManagedPolicyArns, undefined, id);
      const beside = synthesized
        .all('AWS::IAM::Policy')
        .flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
      const bus = synthesized.one('AWS::Events::EventBus', 'Name', `afterlink-${name}-fulfilment`);
      const forward = { Action: 'events:PutEvents', Effect: 'Allow', Resource: { 'Fn::GetAtt': [bus.id, 'Arn'] } };
      assert.deepEqual(beside, stage.partnerEventSource ? [forward] : []);
      assert.equal(roles.length, Object.keys(GRANTS).length + beside.length);
    });

    it('nothing is allowed with a wildcard', () => {
      const policies = ['AWS::IAM::Policy', 'AWS::SQS::QueuePolicy', 'AWS::S3::BucketPolicy', 'AWS::SNS::TopicPolicy'];
      const statements: Statement[] = [
        ...roles.flatMap(statementsOf),
        ...policies
          .flatMap((type) => synthesized.all(type))
          .flatMap(({ Properties }) => Properties.PolicyDocument.Statement),
        // Of the operators' own, what can be limited to a resource.
        ...operatorStatements('read').filter(({ Resource }) => Resource !== '*'),
        ...operatorStatements('act'),
      ];
      for (const { Effect, Action, Resource } of statements) {
        if (Effect !== 'Allow') continue;
        for (const action of [Action].flat()) assert.ok(!action.includes('*'), action);
        if (name === 'local' && Action === 'ses:SendEmail') continue;
        // A marketer names templates and languages as they come.
        if (Action === 's3:GetObject') continue;
        // CloudFormation ends a stack's ARN with an id.
        if (Action === 'cloudformation:DescribeStacks') continue;
        assert.ok(!JSON.stringify(Resource).includes('*'), JSON.stringify(Resource));
      }
    });

    it('an operator may look with one policy, and act with the other', () => {
      const actions = (verb: string) => operatorStatements(verb).flatMap(({ Action }) => [Action].flat()).sort();
      const read = [
        'cloudformation:DescribeStacks',
        'cloudwatch:DescribeAlarms',
        'cloudwatch:GetMetricStatistics',
        'dynamodb:GetItem',
        'dynamodb:Query',
        'dynamodb:Scan',
        'lambda:GetFunctionConfiguration',
        'lambda:ListEventSourceMappings',
        's3:GetObject',
        's3:ListBucket',
        'secretsmanager:GetSecretValue',
        'ses:GetAccount',
        'ses:GetEmailIdentity',
        'sqs:ChangeMessageVisibility',
        'sqs:GetQueueAttributes',
        'sqs:ReceiveMessage',
      ];
      const act = [
        'dynamodb:ConditionCheckItem',
        'dynamodb:DeleteItem',
        'dynamodb:PutItem',
        'dynamodb:PutItem',
        'dynamodb:UpdateItem',
        'dynamodb:UpdateItem',
        'events:PutEvents',
        'ses:SendEmail',
        'sqs:DeleteMessage',
        'sqs:SendMessage',
      ];
      assert.deepEqual(actions('read'), read);
      assert.deepEqual(actions('act'), act);
      assert.equal(synthesized.all('AWS::IAM::ManagedPolicy').length, 2);
      // The operator's own page lists the same.
      const page = readFileSync(new URL('../../cli/README.md', import.meta.url), 'utf8');
      for (const action of [...read, ...act]) assert.ok(page.includes(`\`${action}\``), `cli/README.md lacks ${action}`);
    });

    it('no template holds a secret', () => {
      const text = JSON.stringify(synthesized.templates);
      assert.doesNotMatch(text, /whsec_[A-Za-z0-9]|[rs]k_(live|test)_|AKIA[A-Z0-9]|resolve:secretsmanager/);
    });
  });

  /** A resource of a statement, in the words of the table above. */
  function describeResource(resource: unknown, task: string): string {
    const text = JSON.stringify(resource);
    const is = (type: string, property: string, value: string) =>
      text === JSON.stringify({ 'Fn::GetAtt': [synthesized.one(type, property, value).id, 'Arn'] });
    if (/:ExportsOutputFnGetAttTemplates\w+"},"\/\*"/.test(text)) return 'the templates';
    if (/:ExportsOutputFnGetAttFiles\w+"},"\/files\/\*"/.test(text)) return 'what is sold';
    if (/:ExportsOutputFnGetAttContributions\w+"},"\/index\/by_session"/.test(text)) {
      return 'the contributions by session';
    }
    const stored = /:ExportsOutputFnGetAtt(\w+?)[0-9A-F]{8}Arn/.exec(text)?.[1];
    if (stored) return stored;
    if (is('AWS::Logs::LogGroup', 'LogGroupName', `/aws/lambda/afterlink-${name}-${task}`)) return 'its log group';
    if (is('AWS::Events::EventBus', 'Name', `afterlink-${name}-fulfilment`)) return 'the fulfilment bus';
    if (is('AWS::Events::EventBus', 'Name', `afterlink-${name}-acquisition`)) return 'the acquisition bus';
    if (text.includes(`:secret:${stage.signingSecretName}-??????"`)) return 'the signing secret';
    if (text.includes(`:secret:${stage.tokenKeysSecretName}-??????"`)) return 'the keys of the links';
    if (text.includes(`:secret:${stage.stripeKeySecretName}-??????"`)) return "Stripe's key";
    if (text.includes(`:secret:${stage.stripePagesKeySecretName}-??????"`)) return "Stripe's key for pages";
    if (text.includes(`:identity/${stage.mail.identity}"`)) return 'the sender identity';
    if (text.includes(`:identity/${stage.mail.address}"`)) return 'the sender address';
    if (text.includes(`:configuration-set/afterlink-${name}-mail"`)) return 'the configuration set';
    if (stage.mail.sandboxRecipients?.some((recipient) => text.includes(`:identity/${recipient}"`)))
      return 'a sandbox recipient';
    if (task !== 'stripe-webhook' && task !== 'reconcile') {
      if (is('AWS::SQS::Queue', 'QueueName', `afterlink-${name}-${task}`)) return 'its queue';
      if (is('AWS::SQS::Queue', 'QueueName', `afterlink-${name}-${task}-dlq`)) return 'its dead-letter queue';
    }
    return text;
  }
}
