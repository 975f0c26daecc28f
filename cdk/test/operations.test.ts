import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { stages } from '../lib/stages.ts';
import { type Resource, synthesizedStage, TASKS } from './synthesized.ts';

const ROOT = new URL('../../', import.meta.url);

interface Metric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}

/** The metrics an alarm looks at, with or without an expression over them. */
function metricsOf({ Properties }: Resource): Metric[] {
  const one = (metric: { Namespace: string; MetricName: string; Dimensions?: { Name: string; Value: string }[] }) => ({
    namespace: metric.Namespace,
    name: metric.MetricName,
    dimensions: Object.fromEntries((metric.Dimensions ?? []).map(({ Name, Value }) => [Name, Value])),
  });
  if (Properties.MetricName) return [one(Properties)];
  return Properties.Metrics.filter((query: { MetricStat?: object }) => query.MetricStat).map(
    (query: { MetricStat: { Metric: Parameters<typeof one>[0] } }) => one(query.MetricStat.Metric),
  );
}

/** What the functions really write, checked by their own tests against the same file. */
function emitted(): Set<string> {
  const documents: {
    _aws: { CloudWatchMetrics: { Namespace: string; Dimensions: string[][]; Metrics: { Name: string }[] }[] };
    Task: string;
  }[] = JSON.parse(readFileSync(new URL('shared/task-runtime/tests/emf.golden.json', ROOT), 'utf8'));
  return new Set(
    documents.flatMap(({ _aws, Task }) =>
      _aws.CloudWatchMetrics.flatMap(({ Namespace, Dimensions, Metrics }) =>
        Dimensions.flatMap((keys) =>
          Metrics.map(({ Name }) => signature(Namespace, Name, keys, emitterOf(Task))),
        ),
      ),
    ),
  );
}

type Emitter = 'webhook' | 'reconciliation' | 'task';

function emitterOf(task: string | undefined): Emitter {
  if (task === 'stripe-webhook') return 'webhook';
  return task === 'reconcile' ? 'reconciliation' : 'task';
}

function signature(namespace: string, name: string, dimensions: string[], emitter: Emitter): string {
  return `${namespace} ${name} by ${[...dimensions].sort().join(', ')} of a ${emitter}`;
}

for (const name of ['test', 'live'] as const) {
  const stage = stages[name];
  const synthesized = synthesizedStage(name);
  const alarms = synthesized.all('AWS::CloudWatch::Alarm');
  const alarm = (what: string) => synthesized.one('AWS::CloudWatch::Alarm', 'AlarmName', `afterlink-${name}-${what}`);

  describe(`alarms of stage ${name}`, () => {
    it('are these', () => {
      const delivery = ['dlq', 'dlq-forgotten', 'rule-failed', 'rule-lost'];
      const task = [...delivery, 'backlog', 'errors', 'parked'];
      const expected = [
        ...TASKS.flatMap((of) => task.map((what) => `${of}-${what}`)),
        // Only a mail can be unknown: a table write is there or it is not.
        'thank-you-email-unknown',
        'thank-you-email-broken-wording',
        ...['failed', 'errors', 'refused', 'unsupported'].map((what) => `stripe-webhook-${what}`),
        ...['bounces', 'complaints', 'rejected'].map((what) => `mail-${what}`),
        ...['unexplained', 'behind'].map((what) => `reconcile-${what}`),
        ...(stage.partnerEventSource ? delivery.map((what) => `forward-${what}`) : []),
      ].map((what) => `afterlink-${name}-${what}`);
      assert.deepEqual(alarms.map(({ Properties }) => Properties.AlarmName).sort(), expected.sort());
    });

    it('say what people miss and which runbook mends it', () => {
      for (const { Properties } of alarms) {
        const [, impact, runbook] =
          /^IMPACT (.+\.) RUNBOOK (docs\/runbooks\/[\w-]+\.md)$/.exec(Properties.AlarmDescription) ?? [];
        assert.ok(impact, Properties.AlarmDescription);
        assert.ok(existsSync(new URL(runbook ?? '', ROOT)), `${runbook} is missing`);
      }
    });

    it('go back to OK without news, and tell of both, so that each new failure is heard', () => {
      const [topic] = synthesized.all('AWS::SNS::Topic');
      for (const { Properties } of alarms) {
        const silence = Properties.AlarmName.endsWith('-reconcile-behind') ? 'breaching' : 'notBreaching';
        assert.equal(Properties.TreatMissingData, silence, Properties.AlarmName);
        assert.deepEqual(Properties.AlarmActions, [{ Ref: topic?.id }], Properties.AlarmName);
        assert.deepEqual(Properties.OKActions, [{ Ref: topic?.id }], Properties.AlarmName);
      }
    });

    it('look at metrics of ours that the functions really emit', () => {
      const known = emitted();
      const ours = alarms.flatMap(metricsOf).filter(({ namespace }) => !namespace.startsWith('AWS/'));
      assert.ok(ours.length > 0);
      for (const { namespace, name: metric, dimensions } of ours) {
        const emitter = emitterOf(dimensions.Task);
        const wanted = signature(namespace, metric, Object.keys(dimensions), emitter);
        assert.ok(known.has(wanted), `nobody emits ${wanted}`);
        assert.equal(dimensions.Stage, name);
        assert.ok(['stripe-webhook', 'reconcile', ...TASKS].includes(dimensions.Task ?? ''), dimensions.Task);
      }
    });

    it('look at queues, rules, functions and mail that exist', () => {
      const names = (type: string, property: string) =>
        synthesized.all(type).map(({ Properties }) => Properties[property]);
      const buses = [...names('AWS::Events::EventBus', 'Name')];
      const existing: Record<string, Record<string, string[]>> = {
        'AWS/SQS': { QueueName: names('AWS::SQS::Queue', 'QueueName') },
        'AWS/Lambda': { FunctionName: names('AWS::Lambda::Function', 'FunctionName') },
        'AWS/Events': { EventBusName: buses, RuleName: names('AWS::Events::Rule', 'Name') },
        'AWS/SES': { 'ses:configuration-set': names('AWS::SES::ConfigurationSet', 'Name') },
      };
      for (const { namespace, name: metric, dimensions } of alarms.flatMap(metricsOf)) {
        if (!namespace.startsWith('AWS/')) continue;
        const known = existing[namespace] ?? assert.fail(namespace);
        assert.deepEqual(Object.keys(dimensions).sort(), Object.keys(known).sort(), metric);
        for (const [key, value] of Object.entries(dimensions))
          assert.ok(known[key]?.includes(value), `${key} ${value}`);
      }
    });

    it('a rule is looked at on the bus it stands on', () => {
      for (const { dimensions } of alarms.flatMap(metricsOf).filter(({ namespace }) => namespace === 'AWS/Events')) {
        const rule = synthesized.one('AWS::Events::Rule', 'Name', dimensions.RuleName);
        const bus = synthesized.all('AWS::Events::EventBus').find(({ id }) => id === rule.Properties.EventBusName.Ref);
        assert.equal(dimensions.EventBusName, bus?.Properties.Name);
      }
    });

    it('fire above these values', () => {
      const check = (what: string, threshold: number) => {
        const { Properties } = alarm(what);
        assert.equal(Properties.ComparisonOperator, 'GreaterThanThreshold');
        assert.equal(Properties.Threshold, threshold, what);
      };
      check('thank-you-email-dlq', 0);
      check('thank-you-email-backlog', 900);
      check('thank-you-email-parked', 0);
      check('thank-you-email-unknown', 0);
      check('thank-you-email-broken-wording', 0);
      check('stripe-webhook-failed', 0);
      check('stripe-webhook-refused', 20);
      check('mail-bounces', 0.04);
      check('reconcile-unexplained', 7200);
    });

    it('a reconciliation that is not heard of for an hour is one that failed', () => {
      const { Properties } = alarm('reconcile-behind');
      assert.deepEqual(
        [Properties.ComparisonOperator, Properties.Threshold, Properties.Period, Properties.Statistic],
        ['LessThanOrEqualToThreshold', 0, 3600, 'Sum'],
      );
    });

    it('a dead-letter queue is heard for every message it gains, not for being full', () => {
      const { Properties } = alarm('contribution-records-dlq');
      const [expression] = Properties.Metrics.filter((query: { Expression?: string }) => query.Expression);
      assert.equal(expression.Expression, 'DIFF(FILL(visible, 0) + FILL(hidden, 0))');
      assert.deepEqual(
        metricsOf(alarm('contribution-records-dlq'))
          .map(({ name: metric }) => metric)
          .sort(),
        ['ApproximateNumberOfMessagesNotVisible', 'ApproximateNumberOfMessagesVisible'],
      );
    });
  });

  describe(`operations of stage ${name}`, () => {
    it('the topic lets CloudWatch of this account publish, over TLS only', () => {
      const statements = synthesized
        .all('AWS::SNS::TopicPolicy')
        .flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
      const allowed = statements.filter(({ Effect }) => Effect === 'Allow');
      assert.deepEqual(
        allowed.map(({ Principal, Action, Condition }) => ({ Principal, Action, Condition })),
        [
          {
            Principal: { Service: 'cloudwatch.amazonaws.com' },
            Action: 'sns:Publish',
            Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
          },
        ],
      );
      assert.ok(
        statements.some(
          ({ Effect, Condition }) => Effect === 'Deny' && Condition.Bool['aws:SecureTransport'] === 'false',
        ),
      );
    });

    it('somebody is told', () => {
      const [subscription] = synthesized.all('AWS::SNS::Subscription');
      assert.equal(subscription?.Properties.Protocol, 'email');
      assert.equal(subscription?.Properties.Endpoint, stage.alarmEmail);
    });

    it('the archive holds thirty days of this account, by its real number', () => {
      const [archive] = synthesized.all('AWS::Events::Archive');
      assert.deepEqual(archive?.Properties.EventPattern, { account: [{ Ref: 'AWS::AccountId' }] });
      assert.equal(archive?.Properties.RetentionDays, 30);
    });
  });
}

describe('operations', () => {
  it('are not deployed to the local cloud', () => {
    assert.deepEqual(synthesizedStage('local').stacks, ['data', 'pipeline']);
    assert.deepEqual(synthesizedStage('live').stacks, ['data', 'pipeline', 'operations']);
  });

  it('have no runbook that no alarm leads to', () => {
    const led = new Set(
      synthesizedStage('live')
        .all('AWS::CloudWatch::Alarm')
        .map(({ Properties }) => /runbooks\/(.+)$/.exec(Properties.AlarmDescription)?.[1]),
    );
    const written = readdirSync(new URL('docs/runbooks/', ROOT)).filter((file) => file !== 'README.md');
    assert.deepEqual(written.sort(), [...led].sort());
  });
});
