import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { type Stage, stages } from '../lib/stages.ts';
import { everInAlarm, metricsOf, type Series, stateOf } from './alarm-evaluation.ts';
import { EMITTED_BY_AWS, type EmittedMetric, emittedBy } from './emitted-metrics.ts';
import { type Json, matches } from './event-pattern-matcher.ts';
import { functionNames } from '../lib/catalogue.ts';
import { QUEUED, synthesize, synthesizedStage } from './synthesized.ts';

const ROOT = new URL('../../', import.meta.url);

const TABLES = ['effects', 'contributions', 'supporters', 'consents', 'downloads', 'reconciliation'];

function text(metric: Pick<EmittedMetric, 'namespace' | 'name' | 'dimensions'>): string {
  return `${metric.namespace} ${metric.name} by ${[...metric.dimensions].sort().join(', ')}`;
}

for (const name of ['test', 'live'] as const) {
  const stage = stages[name];
  const synthesized = synthesizedStage(name);
  const alarms = synthesized.all('AWS::CloudWatch::Alarm');
  const alarm = (what: string) => synthesized.one('AWS::CloudWatch::Alarm', 'AlarmName', `afterlink-${name}-${what}`);

  describe(`alarms of stage ${name}`, () => {
    it('are these', () => {
      const delivery = ['dlq', 'dlq-forgotten', 'rule-failed', 'rule-lost'];
      const task = [...delivery, 'backlog', 'errors', 'throttled', 'parked', 'retrying'];
      const expected = [
        ...QUEUED.flatMap((of) => task.map((what) => `${of}-${what}`)),
        // Only a mail can be unknown: a table write is there or it is not.
        'thank-you-email-unknown',
        'contribution-records-refund-failed',
        'soft-opt-ins-unknown-question',
        'thank-you-email-broken-wording',
        'thank-you-email-mail-limited',
        'wording-check-broken-template',
        'thank-you-email-files-missing',
        'acquisition-events-return-unknown',
        ...['files-missing', 'failed', 'errors', 'throttled', 'flood'].map((what) => `downloads-${what}`),
        'thank-you-email-mail-throttled',
        ...TABLES.flatMap((table) => [`${table}-reads-throttled`, `${table}-writes-throttled`]),
        ...(stage.silenceHours ? ['payments-silent'] : []),
        ...['failed', 'errors', 'throttled', 'flood', 'refused', 'unsupported'].map((what) => `stripe-webhook-${what}`),
        ...['bounces', 'complaints', 'rejected'].map((what) => `mail-${what}`),
        ...['unexplained', 'misspelt', 'silent'].map((what) => `reconcile-${what}`),
        ...(stage.partnerEventSource ? delivery.map((what) => `forward-${what}`) : []),
      ].map((what) => `afterlink-${name}-${what}`);
      assert.deepEqual(alarms.map(({ Properties }) => Properties.AlarmName).sort(), expected.sort());
    });

    it('say what people miss and which runbook fixes it', () => {
      for (const { Properties } of alarms) {
        const [, impact, runbook] =
          /^IMPACT (.+\.) RUNBOOK (docs\/runbooks\/[\w-]+\.md)$/.exec(Properties.AlarmDescription) ?? [];
        assert.ok(impact, Properties.AlarmDescription);
        assert.ok(existsSync(new URL(runbook ?? '', ROOT)), `${runbook} is missing`);
      }
    });

    it('go back to OK without data, and notify of both, so that each new failure is heard', () => {
      const [topic] = synthesized.all('AWS::SNS::Topic');
      for (const { Properties } of alarms) {
        const silence = Properties.AlarmName.endsWith('-silent');
        assert.equal(Properties.TreatMissingData, silence ? 'breaching' : 'notBreaching', Properties.AlarmName);
        assert.deepEqual(Properties.AlarmActions, [{ Ref: topic?.id }], Properties.AlarmName);
        assert.deepEqual(Properties.OKActions, [{ Ref: topic?.id }], Properties.AlarmName);
      }
    });

    it('look at metrics of ours that the functions really emit', () => {
      const ours = alarms.flatMap(metricsOf).filter(({ namespace }) => !namespace.startsWith('AWS/'));
      assert.ok(ours.length > 0);
      for (const metric of ours) {
        const { Stage: of, Task } = metric.dimensions as Record<string, string>;
        const wanted = text({ ...metric, dimensions: Object.keys(metric.dimensions) });
        assert.ok(functionNames.includes(Task ?? ''), Task);
        assert.ok(emittedBy(Task ?? '').map(text).includes(wanted), `${Task} does not emit ${wanted}`);
        assert.equal(of, name);
      }
    });

    it('look at metrics of AWS as its pages spell them', () => {
      const known = EMITTED_BY_AWS.map(text);
      for (const metric of alarms.flatMap(metricsOf).filter(({ namespace }) => namespace.startsWith('AWS/'))) {
        const wanted = text({ ...metric, dimensions: Object.keys(metric.dimensions) });
        assert.ok(known.includes(wanted), `AWS does not emit ${wanted}`);
      }
    });

    it('look at queues, rules, functions, tables and mail that exist', () => {
      const names = (type: string, property: string) =>
        synthesized.all(type).map(({ Properties }) => Properties[property]);
      const existing: Record<string, unknown[]> = {
        QueueName: names('AWS::SQS::Queue', 'QueueName'),
        FunctionName: names('AWS::Lambda::Function', 'FunctionName'),
        EventBusName: names('AWS::Events::EventBus', 'Name'),
        RuleName: names('AWS::Events::Rule', 'Name'),
        TableName: synthesized.all('AWS::DynamoDB::Table').map(({ id }) => id),
        GlobalSecondaryIndexName: synthesized
          .all('AWS::DynamoDB::Table')
          .flatMap(({ Properties }) => Properties.GlobalSecondaryIndexes ?? [])
          .map(({ IndexName }: { IndexName: string }) => IndexName),
        'ses:configuration-set': names('AWS::SES::ConfigurationSet', 'Name'),
      };
      for (const { namespace, dimensions } of alarms.flatMap(metricsOf)) {
        if (!namespace.startsWith('AWS/')) continue;
        for (const [key, value] of Object.entries(dimensions)) {
          assert.ok(existing[key]?.includes(exported(value)), `${key} ${JSON.stringify(value)}`);
        }
      }
    });

    it('look at every table, both ways, and at each of its indexes, which AWS counts apart', () => {
      for (const table of synthesized.all('AWS::DynamoDB::Table')) {
        const indexes = (table.Properties.GlobalSecondaryIndexes ?? []).map(
          ({ IndexName }: { IndexName: string }) => IndexName,
        );
        const id = table.id.replace(/[0-9A-F]{8}$/, '').toLowerCase();
        for (const what of ['reads', 'writes']) {
          const metrics = metricsOf(alarm(`${id}-${what}-throttled`));
          assert.deepEqual(
            metrics.map(({ dimensions }) => exported(dimensions.TableName)),
            [table.id, ...indexes.map(() => table.id)],
          );
          assert.deepEqual(
            metrics.flatMap(({ dimensions }) => dimensions.GlobalSecondaryIndexName ?? []),
            indexes,
          );
          const counted = what === 'reads' ? 'ReadThrottleEvents' : 'WriteThrottleEvents';
          assert.ok(metrics.every(({ name: metric }) => metric === counted));
        }
      }
    });

    it('an index that is throttled while its table is not rings', () => {
      for (const what of ['effects-reads', 'contributions-writes']) {
        const resource = alarm(`${what}-throttled`);
        const state = stateOf(resource, ({ dimensions }) =>
          dimensions.GlobalSecondaryIndexName ? [[], [], [3], [3]] : [[], [], [], []],
        );
        assert.equal(state, 'ALARM', what);
      }
    });

    it('count what SES counts', () => {
      const [destination] = synthesized.all('AWS::SES::ConfigurationSetEventDestination');
      const { MatchingEventTypes, CloudWatchDestination, Enabled } = destination?.Properties.EventDestination;
      assert.equal(Enabled, true);
      assert.equal(CloudWatchDestination.DimensionConfigurations[0].DimensionName, 'ses:configuration-set');
      const [set] = synthesized.all('AWS::SES::ConfigurationSet');
      assert.equal(set?.Properties.ReputationOptions.ReputationMetricsEnabled, true);
      for (const metric of alarms.flatMap(metricsOf).filter(({ namespace }) => namespace === 'AWS/SES')) {
        if (metric.name.startsWith('Reputation.')) continue;
        assert.ok(MatchingEventTypes.includes(metric.name.toLowerCase()), metric.name);
      }
    });

    it('fire when what they watch goes wrong, and only then', () => {
      for (const resource of alarms) {
        const { AlarmName, Threshold, EvaluationPeriods, DatapointsToAlarm } = resource.Properties;
        // `retrying` wants nothing to be done.
        const state = (counted: Series) =>
          stateOf(resource, (metric) => (metric.name === 'Done' ? counted.map(() => []) : counted));
        const silence = AlarmName.endsWith('-silent');
        // Two weeks of hours, or more than a day of five minutes.
        const quiet: number[][] = Array.from({ length: 336 }, () => (silence ? [0, 1] : []));
        const wrong = Array.from({ length: DatapointsToAlarm ?? EvaluationPeriods }, () =>
          // Among what other copies of a function count in the same period.
          silence ? [] : [0, Threshold + 1, 0],
        );
        assert.equal(state(quiet), 'OK', `${AlarmName} fires for nothing`);
        assert.equal(state([...quiet, ...wrong]), 'ALARM', `${AlarmName} cannot fire`);
        assert.equal(state([...quiet, ...wrong.slice(1)]), 'OK', `${AlarmName} fires too early`);
        assert.equal(state([...quiet, ...wrong, ...quiet]), 'OK', `${AlarmName} never ends`);
      }
    });

    it('silence is reported when its time is over, not when CloudWatch stops to look at older values', () => {
      const silences = alarms.filter(({ Properties }) => Properties.AlarmName.endsWith('-silent'));
      assert.ok(silences.length > 0);
      for (const resource of silences) {
        const hours = resource.Properties.EvaluationPeriods;
        const before: number[][] = Array.from({ length: 300 }, () => [1]);
        const silent = (periods: number) => [...before, ...Array.from({ length: periods }, (): number[] => [])];
        const state = (periods: number) => stateOf(resource, () => silent(periods));
        assert.equal(state(hours - 1), 'OK', resource.Properties.AlarmName);
        assert.equal(state(hours), 'ALARM', resource.Properties.AlarmName);
      }
    });

    it('the first message in a dead-letter queue that was idle is reported, although SQS counts it late', () => {
      const queues = alarms.filter(({ Properties }) => Properties.AlarmName.endsWith('-dlq'));
      assert.ok(queues.length >= QUEUED.length);
      // Nothing is counted for a day; then one message, and SQS counts what stays.
      const idle: number[][] = Array.from({ length: 288 }, () => []);
      const filled: number[][] = Array.from({ length: 12 }, () => [1]);
      for (const resource of queues) {
        for (const late of [0, 1, 2, 3]) {
          assert.ok(everInAlarm(resource, [...idle, ...filled], late), `${resource.Properties.AlarmName}, ${late} late`);
        }
        assert.ok(!everInAlarm(resource, idle, 3));
      }
    });

    it('a task that goes on doing what it can is not reported for what it tries again', () => {
      for (const task of QUEUED) {
        const state = (done: number) =>
          stateOf(alarm(`${task}-retrying`), ({ name: metric }) =>
            Array.from({ length: 12 }, () => [metric === 'Done' ? done : 7]),
          );
        assert.equal(state(0), 'ALARM', task);
        assert.equal(state(1), 'OK', task);
      }
    });

    it('are allowed by CloudWatch', () => {
      for (const resource of alarms) {
        const { AlarmName, EvaluationPeriods } = resource.Properties;
        for (const { period } of metricsOf(resource)) {
          // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
          const days = period >= 3600 ? 7 : 1;
          assert.ok(period * EvaluationPeriods <= days * 86_400, AlarmName);
        }
      }
    });

    it('a rule is looked at on the bus it stands on', () => {
      for (const { dimensions } of alarms.flatMap(metricsOf).filter(({ namespace }) => namespace === 'AWS/Events')) {
        const rule = synthesized.one('AWS::Events::Rule', 'Name', dimensions.RuleName);
        const { EventBusName } = rule.Properties;
        const bus = synthesized.all('AWS::Events::EventBus').find(({ id }) => id === EventBusName?.Ref);
        assert.equal(EventBusName === undefined, bus === undefined);
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
      check('thank-you-email-throttled', 0);
      check('thank-you-email-unknown', 0);
      check('thank-you-email-broken-wording', 0);
      check('wording-check-broken-template', 0);
      check('soft-opt-ins-unknown-question', 0);
      check('acquisition-events-return-unknown', 0);
      check('stripe-webhook-failed', 0);
      check('stripe-webhook-refused', 20);
      check('mail-bounces', 0.04);
      check('reconcile-unexplained', 7200);
      check('reconcile-misspelt', 0);
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

    it('the alarm topic gets it', () => {
      const [subscription] = synthesized.all('AWS::SNS::Subscription');
      assert.equal(subscription?.Properties.Protocol, 'email');
      assert.equal(subscription?.Properties.Endpoint, stage.alarmEmail);
    });

    it('the archive holds thirty days of what a task reacts to, and nothing else', () => {
      const [archive] = synthesized.all('AWS::Events::Archive');
      assert.equal(archive?.Properties.RetentionDays, 30);
      const bus = synthesized.one('AWS::Events::EventBus', 'Name', `afterlink-${name}-fulfilment`);
      assert.deepEqual(exported(archive?.Properties.SourceArn, 'Arn'), bus.id);

      // No rule lets through what the archive leaves out: contribution-records reacts to all that any task does.
      const records = synthesized.one('AWS::Events::Rule', 'Name', `afterlink-${name}-contribution-records`);
      assert.deepEqual(archive?.Properties.EventPattern, records.Properties.EventPattern);
      const pattern: Json = archive?.Properties.EventPattern;
      const partner = JSON.parse(
        readFileSync(new URL('verification/testkit/fixtures/envelope_partner.json', ROOT), 'utf8'),
      );
      const ours = { ...partner, detail: { ...partner.detail, livemode: stage.livemode } };
      for (const source of [partner.source, 'afterlink.webhook', 'afterlink.reconcile']) {
        assert.equal(matches(pattern, { ...ours, source }), true, source);
      }
      const { metadata: _, ...another } = ours.detail.data.object;
      const data = { ...ours.detail.data, object: { ...another, metadata: { order: '1' } } };
      assert.equal(matches(pattern, { ...ours, detail: { ...ours.detail, data } }), false, "another business's");
    });
  });

  /** The resource behind a value that one stack takes from another; any other value itself. */
  function exported(value: any, attribute: 'Ref' | 'Arn' = 'Ref'): unknown {
    const imported = value?.['Fn::ImportValue'];
    if (imported === undefined) return value;
    for (const { Outputs = {} } of Object.values(synthesized.templates)) {
      for (const output of Object.values(Outputs) as any[]) {
        if (output.Export?.Name !== imported) continue;
        return attribute === 'Ref' ? output.Value.Ref : output.Value['Fn::GetAtt']?.[0];
      }
    }
    return assert.fail(`no stack exports ${imported}`);
  }
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

  it('listen for silence only where the stage says after how long, at most as long as CloudWatch looks back', () => {
    const silent = (silenceHours: number | undefined) => {
      const { silenceHours: _, ...stage } = stages.live;
      const wanted: Stage = silenceHours === undefined ? stage : { ...stage, silenceHours };
      return synthesize(wanted)
        .all('AWS::CloudWatch::Alarm')
        .filter(({ Properties }) => Properties.AlarmName.endsWith('-payments-silent'))
        .map(({ Properties }) => Properties.EvaluationPeriods);
    };
    assert.deepEqual(silent(undefined), []);
    assert.deepEqual(silent(168), [168]);
    for (const hours of [0, 1.5, 169]) assert.throws(() => silent(hours), /whole number from 1 to 168/);
  });

  it('have runbooks that say impact, cause and the fix', () => {
    for (const file of readdirSync(new URL('docs/runbooks/', ROOT)).filter((file) => file !== 'README.md')) {
      const page = readFileSync(new URL(`docs/runbooks/${file}`, ROOT), 'utf8');
      for (const part of ['**Impact.**', '**Cause.**', '**Fix.**']) assert.ok(page.includes(part), `${file}: ${part}`);
    }
  });

  it('have a list of runbooks in which every alarm is found', () => {
    const list = readFileSync(new URL('docs/runbooks/README.md', ROOT), 'utf8');
    const rows = [...list.matchAll(/^\| (.+) \| \[[\w-]+\.md\]\(([\w-]+\.md)\) \|$/gm)];
    const named = rows.flatMap(([, names = '', page]) =>
      [...names.matchAll(/`([^`]+)`/g)].map(([, pattern = '']) => ({ pattern, page })),
    );
    for (const { Properties } of synthesizedStage('live').all('AWS::CloudWatch::Alarm')) {
      const short = Properties.AlarmName.replace('afterlink-live-', '');
      const page = /runbooks\/(.+)$/.exec(Properties.AlarmDescription)?.[1];
      const found = named.filter(({ pattern }) =>
        pattern.startsWith('…') ? short.endsWith(pattern.slice(1)) : short === pattern,
      );
      assert.ok(
        found.some((row) => row.page === page),
        `${short} is not in the list with ${page}`,
      );
    }
  });
});
