import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { functionNames } from '../lib/catalogue.ts';
import { STAGE_NAMES, stages } from '../lib/stages.ts';
import { matches } from './event-pattern-matcher.ts';
import { QUEUED, type Resource, synthesize, synthesizedStage, TASKS } from './synthesized.ts';

const FUNCTIONS = functionNames;
/** The start of a function's outputs: `ThankYouEmail`. */
const constructId = (name: string) => name.replace(/(^|-)(\w)/g, (_match, _dash, letter: string) => letter.toUpperCase());
const FOURTEEN_DAYS = 14 * 24 * 60 * 60;

for (const name of STAGE_NAMES) {
  const stage = stages[name];
  const synthesized = synthesizedStage(name);
  const physical = (what: string) => `afterlink-${name}-${what}`;
  const queue = (what: string) => synthesized.one('AWS::SQS::Queue', 'QueueName', physical(what));
  const rule = (what: string) => synthesized.one('AWS::Events::Rule', 'Name', physical(what));
  const lambda = (what: string) => synthesized.one('AWS::Lambda::Function', 'FunctionName', physical(what));
  const arnOf = ({ id }: Resource) => ({ 'Fn::GetAtt': [id, 'Arn'] });

  /** Who may send to a queue, by the ARN of the rule. */
  const sendersTo = (target: Resource) =>
    synthesized
      .all('AWS::SQS::QueuePolicy')
      .filter(({ Properties }) => Properties.Queues.some(({ Ref }: { Ref: string }) => Ref === target.id))
      .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
      .filter(({ Effect, Principal }) => Effect === 'Allow' && Principal.Service === 'events.amazonaws.com')
      .map(({ Condition }) => Condition.ArnEquals['aws:SourceArn']);

  describe(`every function behind a queue of stage ${name}`, () => {
    for (const task of QUEUED) {
      const dlq = queue(`${task}-dlq`);

      it(`${task}: its rule feeds its queue, and its dead-letter queue when that fails`, () => {
        const { Properties } = rule(task);
        assert.equal(Properties.State, 'ENABLED');
        const fulfilmentBus = { Ref: synthesized.one('AWS::Events::EventBus', 'Name', physical('fulfilment')).id };
        // What AWS's own services report is on the account's default bus.
        assert.deepEqual(Properties.EventBusName, TASKS.includes(task) ? fulfilmentBus : undefined);
        const [target, ...more] = Properties.Targets;
        assert.equal(more.length, 0);
        assert.deepEqual(target.Arn, arnOf(queue(task)));
        assert.deepEqual(target.DeadLetterConfig, { Arn: arnOf(dlq) });
        assert.deepEqual(target.RetryPolicy, { MaximumEventAgeInSeconds: 86400, MaximumRetryAttempts: 185 });
        assert.equal(
          target.InputTransformer ?? target.InputPath ?? target.Input,
          undefined,
          'the event travels as it is',
        );
      });

      it(`${task}: its rule, and no other, may send to both queues`, () => {
        for (const target of [queue(task), dlq]) assert.deepEqual(sendersTo(target), [arnOf(rule(task))]);
      });

      it(`${task}: its queue hides a message six times as long as the function may run`, () => {
        assert.equal(lambda(task).Properties.Timeout, stage.functionTimeout.toSeconds());
        assert.ok(queue(task).Properties.VisibilityTimeout >= 6 * lambda(task).Properties.Timeout);
      });

      it(`${task}: a message's age decides when it is given up, also when its function cannot run`, () => {
        const { RedrivePolicy, MessageRetentionPeriod, VisibilityTimeout } = queue(task).Properties;
        const { RETRY_GIVE_UP_SECONDS, RETRY_CAP_SECONDS } = lambda(task).Properties.Environment.Variables;
        const giveUp = Number(RETRY_GIVE_UP_SECONDS);
        if (stage.durable) assert.equal(giveUp, 10 * 3600);
        assert.deepEqual(RedrivePolicy.deadLetterTargetArn, arnOf(dlq));
        // Throttled, dead or not started: each receive counts, and they come every visibility timeout.
        assert.ok(RedrivePolicy.maxReceiveCount * VisibilityTimeout >= giveUp);
        // Answered: three days of pauses, of which the jitter leaves four fifths.
        const threeDays = 3 * 86_400;
        if (stage.durable) assert.ok(RedrivePolicy.maxReceiveCount > threeDays / (0.8 * RETRY_CAP_SECONDS) + 7);
        // Both, one after the other: in the dead-letter queue before SQS deletes it.
        assert.ok(threeDays + RedrivePolicy.maxReceiveCount * VisibilityTimeout < MessageRetentionPeriod);
      });

      it(`${task}: its dead-letter queue keeps messages as long as SQS can`, () => {
        assert.equal(dlq.Properties.MessageRetentionPeriod, FOURTEEN_DAYS);
        assert.equal(dlq.Properties.RedrivePolicy, undefined);
      });

      it(`${task}: one bad message does not fail its batch, and concurrency is bounded at the mapping`, () => {
        const [mapping, ...more] = synthesized
          .all('AWS::Lambda::EventSourceMapping')
          .filter(({ Properties }) => Properties.FunctionName.Ref === lambda(task).id);
        assert.equal(more.length, 0);
        const { Properties } = mapping ?? assert.fail('no mapping');
        assert.deepEqual(Properties.EventSourceArn, arnOf(queue(task)));
        assert.equal(Properties.BatchSize, 10);
        assert.deepEqual(Properties.FunctionResponseTypes, ['ReportBatchItemFailures']);
        assert.ok(Properties.ScalingConfig.MaximumConcurrency >= 2);
        assert.equal(Properties.FilterCriteria, undefined, 'a filter would delete what it does not match');
        assert.equal(lambda(task).Properties.ReservedConcurrentExecutions, undefined);
      });

      it(`${task}: knows its queues and how long to wait`, () => {
        const { Variables } = lambda(task).Properties.Environment;
        assert.deepEqual(Variables.QUEUE_URL, { Ref: queue(task).id });
        assert.deepEqual(Variables.DLQ_URL, { Ref: dlq.id });
        assert.equal(Variables.RETRY_BASE_SECONDS, name === 'local' ? '1' : '30');
        assert.equal(Variables.RETRY_CAP_SECONDS, name === 'local' ? '5' : '3600');
        assert.equal(Variables.RETRY_GIVE_UP_SECONDS, name === 'local' ? '75' : '36000');
      });
    }

    it('is one rule, one queue, one dead-letter queue, one mapping, and nothing else is', () => {
      const forward = stage.partnerEventSource ? 1 : 0;
      const tap = name === 'local' ? 1 : 0;
      const schedule = stage.reconcile.every ? 1 : 0;
      assert.equal(synthesized.all('AWS::Events::Rule').length, QUEUED.length + forward + tap + schedule);
      assert.equal(synthesized.all('AWS::SQS::Queue').length, 2 * QUEUED.length + forward + tap);
      assert.equal(synthesized.all('AWS::Lambda::EventSourceMapping').length, QUEUED.length);
      assert.equal(synthesized.all('AWS::Lambda::Function').length, FUNCTIONS.length);
    });
  });

  describe(`uploads of stage ${name}`, () => {
    const [templates, files] = ['Templates', 'Files'].map(
      (id) => synthesized.all('AWS::S3::Bucket').find((bucket) => bucket.id.startsWith(id)) ?? assert.fail(id),
    );

    it('of templates are reported on the default bus, those of files are not, and no function of AWS sets that up', () => {
      assert.deepEqual(templates?.Properties.NotificationConfiguration, {
        EventBridgeConfiguration: { EventBridgeEnabled: true },
      });
      assert.equal(files?.Properties.NotificationConfiguration, undefined);
    });

    it('wait for the rest of their folder, and no payment waits', () => {
      assert.equal(queue('wording-check').Properties.DelaySeconds, name === 'local' ? 2 : 20);
      for (const task of TASKS) assert.equal(queue(task).Properties.DelaySeconds, undefined, task);
    });

    it('are checked where a template may have changed, of this bucket alone', () => {
      const bucket = (value: unknown): string => {
        const imported = (value as { 'Fn::ImportValue': string })['Fn::ImportValue'];
        const outputs = Object.values(synthesized.templates).flatMap(({ Outputs = {} }) => Object.values(Outputs) as any[]);
        return outputs.find(({ Export }) => Export?.Name === imported)?.Value.Ref;
      };
      const { detail, ...pattern } = rule('wording-check').Properties.EventPattern;
      assert.deepEqual(pattern, { source: ['aws.s3'], 'detail-type': ['Object Created', 'Object Deleted'] });
      assert.deepEqual(detail.bucket.name.map(bucket), [templates?.id]);
      const lets = (type: string, more: object) =>
        matches(
          { ...pattern, detail: { ...detail, bucket: { name: ['templates'] } } },
          { source: 'aws.s3', 'detail-type': type, detail: { bucket: { name: 'templates' }, ...more } },
        );
      assert.equal(lets('Object Created', { reason: 'PutObject' }), true);
      assert.equal(lets('Object Deleted', { 'deletion-type': 'Delete Marker Created' }), true);
      assert.equal(lets('Object Deleted', { 'deletion-type': 'Permanently Deleted' }), false, 'of an old version');
      assert.equal(lets('Object Tags Added', {}), false);
      assert.equal(lets('Object Created', { bucket: { name: 'another' } }), false);
    });
  });

  describe(`queues of stage ${name}`, () => {
    it('are encrypted', () => {
      for (const { id, Properties } of synthesized.all('AWS::SQS::Queue')) {
        assert.equal(Properties.SqsManagedSseEnabled, true, id);
      }
    });

    it(`${stage.tlsOnly ? 'refuse' : 'accept'} plain HTTP`, () => {
      const refusing = synthesized
        .all('AWS::SQS::QueuePolicy')
        .filter(({ Properties }) =>
          Properties.PolicyDocument.Statement.some(
            ({ Effect, Action, Condition }: { Effect: string; Action: string; Condition: { Bool?: object } }) =>
              Effect === 'Deny' &&
              Action === 'sqs:*' &&
              JSON.stringify(Condition.Bool) === '{"aws:SecureTransport":"false"}',
          ),
        )
        .flatMap(({ Properties }) => Properties.Queues.map(({ Ref }: { Ref: string }) => Ref));
      const expected = stage.tlsOnly ? synthesized.all('AWS::SQS::Queue').map(({ id }) => id) : [];
      assert.deepEqual(refusing.sort(), expected.sort());
    });
  });

  describe(`functions of stage ${name}`, () => {
    for (const task of FUNCTIONS) {
      it(`${task} runs its own binary, logs JSON to its own group and is not traced`, () => {
        const { Properties } = lambda(task);
        assert.equal(Properties.Runtime, 'provided.al2023');
        assert.deepEqual(Properties.Architectures, [name === 'local' ? 'x86_64' : 'arm64']);
        assert.equal(Properties.TracingConfig, undefined);
        const { LogGroup, ...logging } = Properties.LoggingConfig;
        assert.deepEqual(logging, { LogFormat: 'JSON', ApplicationLogLevel: 'INFO', SystemLogLevel: 'WARN' });
        const group = synthesized.one('AWS::Logs::LogGroup', 'LogGroupName', `/aws/lambda/${physical(task)}`);
        assert.deepEqual(LogGroup, { Ref: group.id });
      });
    }

    it('know their stage and which half of Stripe is theirs', () => {
      for (const task of FUNCTIONS) {
        const { Variables } = lambda(task).Properties.Environment;
        assert.equal(Variables.STAGE, name);
        assert.equal(Variables.LIVEMODE, String(name === 'live'));
      }
    });

    it('keep their logs for as long as the stage says, and no log group forever', () => {
      const groups = synthesized.all('AWS::Logs::LogGroup');
      assert.equal(groups.length, FUNCTIONS.length);
      for (const { id, Properties } of groups) assert.equal(Properties.RetentionInDays, stage.logRetention, id);
    });
  });

  describe(`the sources of stage ${name}`, () => {
    it('webhook and pages are open to anyone, through their function URLs only', () => {
      const open = ['downloads', 'stripe-webhook'];
      assert.deepEqual(
        synthesized.all('AWS::Lambda::Url').map(({ Properties }) => Properties.TargetFunctionArn),
        open.map((what) => arnOf(lambda(what))),
      );
      for (const { Properties } of synthesized.all('AWS::Lambda::Url')) assert.equal(Properties.AuthType, 'NONE');
      const permissions = synthesized
        .all('AWS::Lambda::Permission')
        .map(({ Properties }) => Properties)
        .filter(({ Principal }) => Principal !== 'events.amazonaws.com');
      assert.deepEqual(
        permissions.map(({ FunctionName, Action, FunctionUrlAuthType, InvokedViaFunctionUrl }) => ({
          FunctionName,
          Action,
          FunctionUrlAuthType,
          InvokedViaFunctionUrl,
        })),
        open.flatMap((what) => [
          {
            FunctionName: arnOf(lambda(what)),
            Action: 'lambda:InvokeFunctionUrl',
            FunctionUrlAuthType: 'NONE',
            InvokedViaFunctionUrl: undefined,
          },
          {
            FunctionName: arnOf(lambda(what)),
            Action: 'lambda:InvokeFunction',
            FunctionUrlAuthType: undefined,
            InvokedViaFunctionUrl: true,
          },
        ]),
      );
    });

    it('mails lead to the pages', () => {
      const { PAGES_URL } = lambda('thank-you-email').Properties.Environment.Variables;
      const [pages] = synthesized
        .all('AWS::Lambda::Url')
        .filter(({ Properties }) => Properties.TargetFunctionArn['Fn::GetAtt'][0] === lambda('downloads').id);
      assert.deepEqual(PAGES_URL, stage.pagesUrl ?? { 'Fn::GetAtt': [pages?.id, 'FunctionUrl'] });
    });

    it('reconcile runs by the clock, and is never tried again before its time', () => {
      const { every } = stage.reconcile;
      const rules = synthesized.all('AWS::Events::Rule').filter(({ Properties }) => Properties.ScheduleExpression);
      const target = arnOf(lambda('reconcile'));
      const RetryPolicy = { MaximumEventAgeInSeconds: 900, MaximumRetryAttempts: 0 };
      assert.deepEqual(
        rules.map(({ Properties: { ScheduleExpression, State, Targets } }) => ({ ScheduleExpression, State, Targets })),
        every
          ? [{ ScheduleExpression: 'rate(15 minutes)', State: 'ENABLED', Targets: [{ Arn: target, Id: 'Target0', RetryPolicy }] }]
          : [],
      );
      const invokers = synthesized.all('AWS::Lambda::Permission').filter(
        ({ Properties }) => Properties.Principal === 'events.amazonaws.com',
      );
      assert.deepEqual(
        invokers.map(({ Properties }) => [Properties.FunctionName, Properties.SourceArn]),
        rules.map(({ id }) => [target, { 'Fn::GetAtt': [id, 'Arn'] }]),
      );
      const retries = synthesized.all('AWS::Lambda::EventInvokeConfig').map(({ Properties }) => Properties.MaximumRetryAttempts);
      assert.deepEqual(retries, every ? [0] : []);
    });

    it('the fulfilment bus takes events from the functions, the forwarding rule and named operators only', () => {
      const policies = synthesized.all('AWS::Events::EventBusPolicy');
      if (name === 'local') return assert.deepEqual(policies, [], 'the local cloud has none');

      const [policy, ...more] = policies;
      assert.equal(more.length, 0, 'no bus is open to another account');
      const bus = synthesized.one('AWS::Events::EventBus', 'Name', physical('fulfilment'));
      const { Effect, Action, Principal, Resource, Condition } = policy?.Properties.Statement;
      assert.deepEqual([Effect, Action, Principal], ['Deny', 'events:PutEvents', '*']);
      assert.deepEqual(Resource, arnOf(bus));
      // Everybody whose role says so may put events; these are all of them.
      const putters = synthesized.all('AWS::IAM::Role').filter(({ id, Properties }) => {
        const beside = synthesized
          .all('AWS::IAM::Policy')
          .filter((one) => one.Properties.Roles.some(({ Ref }: { Ref: string }) => Ref === id));
        const documents = [...(Properties.Policies ?? []), ...beside.map((one) => one.Properties)];
        return documents.some(({ PolicyDocument }) =>
          PolicyDocument.Statement.some(
            (one: { Action: string; Resource: unknown }) =>
              one.Action === 'events:PutEvents' && JSON.stringify(one.Resource) === JSON.stringify(arnOf(bus)),
          ),
        );
      });
      const allowed = Condition.ArnNotLike['aws:PrincipalArn'];
      assert.deepEqual(allowed.map((arn: object) => JSON.stringify(arn)).sort(), putters.map((role) => JSON.stringify(arnOf(role))).sort());
      assert.equal(allowed.length, stage.partnerEventSource ? 3 : 2);
      const operator = 'arn:aws:iam::123456789012:role/operators/*';
      const [withOperators] = synthesize({ ...stage, operatorRoles: [operator] }).all('AWS::Events::EventBusPolicy');
      assert.ok(withOperators?.Properties.Statement.Condition.ArnNotLike['aws:PrincipalArn'].includes(operator));
    });

    it('webhook and pages have a ceiling each, so that strangers cannot take what the tasks need', () => {
      const ceilings = Object.fromEntries(
        FUNCTIONS.map((what) => [what, lambda(what).Properties.ReservedConcurrentExecutions]),
      );
      const { 'stripe-webhook': webhook, downloads, ...others } = ceilings;
      assert.equal(webhook, stage.publicConcurrency);
      assert.equal(downloads, stage.publicConcurrency);
      assert.ok(name !== 'live' || (webhook ?? 0) > 0);
      assert.deepEqual(new Set(Object.values(others)), new Set([undefined]));
    });

    it('pages answer CloudFront only where the stage says so', () => {
      const closed = synthesize({
        ...stage,
        pagesUrl: 'https://shop.charity.test',
        originSecretName: 'afterlink/x/origin',
      });
      const pages = closed.one('AWS::Lambda::Function', 'FunctionName', physical('downloads'));
      assert.equal(pages.Properties.Environment.Variables.ORIGIN_SECRET_NAME, 'afterlink/x/origin');
      assert.match(JSON.stringify(closed.all('AWS::IAM::Role')), /:secret:afterlink\/x\/origin-\?{6}/);
      assert.equal(lambda('downloads').Properties.Environment.Variables.ORIGIN_SECRET_NAME, undefined);
    });

    it(
      stage.partnerEventSource
        ? 'Stripe has a bus of its own, forwarded with a dead-letter queue'
        : 'Stripe has no bus of its own',
      () => {
        const partner = synthesized.all('AWS::Events::EventBus').filter(({ Properties }) => Properties.EventSourceName);
        if (!stage.partnerEventSource) return assert.deepEqual(partner, []);

        const [bus] = partner;
        assert.equal(bus?.Properties.EventSourceName, stage.partnerEventSource);
        assert.equal(bus?.Properties.Name, stage.partnerEventSource, 'AWS asks for the name of the source');
        const { Properties } = rule('forward');
        assert.deepEqual(Properties.EventBusName, { Ref: bus?.id });
        const [target] = Properties.Targets;
        assert.deepEqual(target.Arn, arnOf(synthesized.one('AWS::Events::EventBus', 'Name', physical('fulfilment'))));
        assert.deepEqual(target.DeadLetterConfig, { Arn: arnOf(queue('forward-dlq')) });
        assert.deepEqual(sendersTo(queue('forward-dlq')), [arnOf(rule('forward'))]);
        assert.equal(queue('forward-dlq').Properties.MessageRetentionPeriod, FOURTEEN_DAYS);
      },
    );
  });

  describe(`the acquisition bus of stage ${name}`, () => {
    it(name === 'local' ? 'can be read from a queue' : 'has no listener of ours', () => {
      const bus = synthesized.one('AWS::Events::EventBus', 'Name', physical('acquisition'));
      const rules = synthesized.all('AWS::Events::Rule').filter((one) => one.Properties.EventBusName?.Ref === bus.id);
      if (name !== 'local') return assert.deepEqual(rules, []);

      const [tap, ...more] = rules;
      assert.equal(more.length, 0);
      assert.deepEqual(tap?.Properties.EventPattern, { source: ['afterlink'], 'detail-type': ['AcquisitionEvent'] });
      assert.deepEqual(tap?.Properties.Targets[0].Arn, arnOf(queue('acquisition-bus')));
      assert.deepEqual(sendersTo(queue('acquisition-bus')), [arnOf(rule('acquisition-bus'))]);
    });
  });

  describe(`mail of stage ${name}`, () => {
    it('is counted, and not sent to addresses that bounced or complained', () => {
      const { Properties } = synthesized.one('AWS::SES::ConfigurationSet', 'Name', physical('mail'));
      assert.deepEqual(Properties.ReputationOptions, { ReputationMetricsEnabled: true });
      assert.deepEqual(Properties.SuppressionOptions, { SuppressedReasons: ['BOUNCE', 'COMPLAINT'] });
      assert.deepEqual(Properties.DeliveryOptions, { TlsPolicy: 'REQUIRE' }, 'mails carry links to what was bought');
      const [destination] = synthesized.all('AWS::SES::ConfigurationSetEventDestination');
      const { MatchingEventTypes, CloudWatchDestination } = destination?.Properties.EventDestination ?? {};
      assert.deepEqual(MatchingEventTypes, ['send', 'delivery', 'reject', 'bounce', 'complaint']);
      assert.equal(CloudWatchDestination.DimensionConfigurations[0].DimensionName, 'ses:configuration-set');
    });
  });

  describe(`the pipeline of stage ${name}`, () => {
    it('names what others need', () => {
      const expected = [
        'FulfilmentBusName',
        'AcquisitionBusName',
        ...(stage.partnerEventSource ? ['ForwardDlqUrl'] : []),
        'DownloadsUrl',
        'DownloadsFunctionName',
        'WebhookUrl',
        'StripeWebhookFunctionName',
        'ReconcileFunctionName',
        ...QUEUED.map(constructId).flatMap((id) =>
          ['QueueUrl', 'DlqUrl', 'FunctionName'].map((what) => `${id}${what}`),
        ),
        'Livemode',
        'SupporterNamespace',
        'MailIdentity',
        'MailSender',
        'MailConfigurationSet',
        'PagesUrl',
        'OperatorReadPolicyArn',
        'OperatorActPolicyArn',
        ...(stages[name].partnerEventSource ? ['PartnerEventSource'] : []),
        ...(name === 'local' ? ['AcquisitionBusQueueUrl'] : []),
      ];
      assert.deepEqual(synthesized.outputs('pipeline').sort(), expected.sort());
    });
  });
}
