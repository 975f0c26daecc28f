// Long because each alarm says what people miss and which runbook fixes it.
import { CfnOutput, Duration } from 'aws-cdk-lib';
import { Dashboard, GraphWidget, type IMetric, MathExpression, type Metric, Stats, TextWidget } from 'aws-cdk-lib/aws-cloudwatch';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { Archive } from 'aws-cdk-lib/aws-events';
import { Effect, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import {
  bounceRate,
  lambdaMetric,
  mailMetric,
  queueGrowth,
  queueMetric,
  ruleMetric,
  refusedRequests,
  tableThrottles,
} from '../aws-metrics.ts';
import { ImpactAlarm, type ImpactAlarmProps } from '../constructs/impact-alarm.ts';
import type { QueueTask } from '../constructs/queue-task.ts';
import { paymentHistory } from '../event-patterns.ts';
import { functionMetric, type ReconcileMetricName } from '../metrics.ts';
import { physicalName, type Stage } from '../stages.ts';
import { type DataStack, OPEN_EFFECTS, SESSION_INDEX } from './data.ts';
import type { PipelineStack } from './pipeline.ts';
import { StageStack } from './stage-stack.ts';

/** How much was tried again, in periods in which nothing was done. */
function triedInVain(done: Metric, retried: Metric): IMetric {
  return new MathExpression({
    expression: 'IF(FILL(done, 0), 0, FILL(retried, 0))',
    usingMetrics: { done, retried },
    label: 'retried and nothing done',
    period: retried.period,
  });
}

/** What watches the pipeline. It can be taken away and made again without touching it. */
export class OperationsStack extends StageStack {
  private readonly topic: Topic;

  constructor(
    scope: Construct,
    private readonly stage: Stage,
    data: DataStack,
    pipeline: PipelineStack,
  ) {
    super(scope, stage, 'operations', { description: `Afterlink ${stage.name}: alarms, dashboard, archive` });
    this.topic = this.alarmTopic();

    const busName = physicalName(stage, 'fulfilment');
    for (const task of pipeline.tasks) this.watchTask(task, task.isOnDefaultBus ? undefined : busName);
    this.watchMailTask();
    this.watchWordingCheck();
    this.watchRefunds();
    this.watchConsents();
    this.watchAcquisitions();
    this.watchTables(data);
    if (stage.silenceHours !== undefined) this.watchSilence(stage.silenceHours);
    this.watchWebhook(pipeline.names.webhook);
    this.watchDownloads(pipeline.names.downloads);
    if (pipeline.partner) {
      const { names } = pipeline.partner;
      const impact = 'Payments that Stripe reported over EventBridge reach no task.';
      this.watchDelivery('forward', impact, names.bus, names.rule, names.dlq);
    }
    this.watchMail(pipeline.names.configurationSet);
    this.watchReconcile();
    this.dashboard(data, pipeline);

    // Thirty days to replay from, after a mistake in a rule or a task.
    new Archive(this, 'Archive', {
      archiveName: physicalName(stage, 'fulfilment'),
      description: 'What a task reacts to, for replays',
      sourceEventBus: pipeline.fulfilmentBus,
      eventPattern: paymentHistory(stage),
      retention: Duration.days(30),
    });
    this.addStackDependency(pipeline);
  }

  private watchTask(task: QueueTask, busName: string | undefined): void {
    const { name, impact, names } = task;
    this.watchDelivery(name, impact, busName, names.rule, names.dlq);

    // Retries wait inside the queue, but SQS leaves a message out of its age after the third.
    this.alarm(name, 'backlog', {
      impact,
      runbook: 'backlog',
      metric: queueMetric(names.queue, 'ApproximateAgeOfOldestMessage'),
      when: { above: Duration.minutes(15).toSeconds() },
      periods: 2,
    });
    this.alarm(name, 'errors', {
      impact: `${impact} A batch died without an answer; its messages come again.`,
      runbook: 'function-errors',
      metric: lambdaMetric(names.function, 'Errors'),
      when: { above: 0 },
    });
    this.watchThrottles(name, `${impact} The function is not allowed to run as often as it should.`, names.function);
    // The other alarms hear of what ends. Of what is tried again and again they would hear in ten hours.
    this.alarm(name, 'retrying', {
      impact: `${impact} Everything is tried again and nothing is done: nothing is lost yet, and after ten hours it goes to the dead-letter queue.`,
      runbook: 'retrying',
      metric: triedInVain(
        functionMetric(this.stage, name, 'Done'),
        functionMetric(this.stage, name, 'Retried'),
      ),
      when: { above: 0 },
      // The pauses grow: of a single message the second and the third period hear once each.
      periods: 3,
      breaching: 2,
    });
    this.alarm(name, 'parked', {
      impact: `${impact} Trying again would not help these.`,
      runbook: 'parked',
      metric: functionMetric(this.stage, name, 'Parked'),
      when: { above: 0 },
    });
    if (task.atMostOnce) {
      this.alarm(name, 'unknown', {
        impact: `${impact} Whether these were sent is not known, so they are not sent again.`,
        runbook: 'unknown',
        metric: functionMetric(this.stage, name, 'Unknown'),
        when: { above: 0 },
      });
    }
  }

  /** Everything between a bus and a queue, and where it lands when it fails. */
  private watchDelivery(name: string, impact: string, busName: string | undefined, ruleName: string, dlqName: string): void {
    this.alarm(name, 'dlq', {
      impact,
      runbook: 'dead-letter-queue',
      metric: queueGrowth(dlqName),
      when: { above: 0 },
      // SQS counts a queue that was idle late, by up to a quarter of an hour, under the time it is for:
      // the step must still be looked at when it shows.
      // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/monitoring-using-cloudwatch.html
      periods: 6,
      breaching: 1,
    });
    this.alarm(name, 'dlq-forgotten', {
      impact: `${impact} The messages have waited for a day, and are lost after fourteen.`,
      runbook: 'dead-letter-queue',
      metric: queueMetric(dlqName, 'ApproximateNumberOfMessagesVisible', Duration.hours(1)),
      when: { above: 0 },
      periods: 24,
    });
    this.alarm(name, 'rule-failed', {
      impact: `${impact} EventBridge could not hand events over.`,
      runbook: 'rule-failed',
      metric: ruleMetric(busName, ruleName, 'FailedInvocations'),
      when: { above: 0 },
    });
    this.alarm(name, 'rule-lost', {
      impact: `${impact} EventBridge could not even store them in the dead-letter queue.`,
      runbook: 'rule-failed',
      metric: ruleMetric(busName, ruleName, 'InvocationsFailedToBeSentToDlq'),
      when: { above: 0 },
    });
  }

  /** A polled queue meets a throttle now and then and tries again; one that lasts is a limit that was reached. */
  private watchThrottles(name: string, impact: string, functionName: string): void {
    this.alarm(name, 'throttled', {
      impact,
      runbook: 'throttled',
      metric: lambdaMetric(functionName, 'Throttles'),
      when: { above: 0 },
      periods: 3,
      breaching: 2,
    });
  }

  private watchTables(data: DataStack): void {
    const { effects, contributions } = data;
    const tables: [name: string, table: Table, index: string | undefined, reads: string, writes: string][] = [
      [
        'effects',
        effects,
        OPEN_EFFECTS,
        'Mails and acquisition events come late: the ledger is not read.',
        'Everything after a payment comes late: no task can write in the ledger what it does.',
      ],
      [
        'contributions',
        contributions,
        SESSION_INDEX,
        'Customers do not see what became of their payment, nor their files.',
        'Contributions are recorded late.',
      ],
      [
        'supporters',
        data.supporters,
        undefined,
        'Operators do not see what a supporter gave.',
        'Contributions and supporters are recorded late.',
      ],
      [
        'consents',
        data.consents,
        undefined,
        'Operators do not see what a customer agreed to.',
        'What customers answered about marketing is recorded late.',
      ],
      [
        'downloads',
        data.downloads,
        undefined,
        'Customers do not see their files, and mails with files come late.',
        'Customers cannot fetch their files: a fetch cannot be counted.',
      ],
      [
        'reconciliation',
        data.reconciliation,
        undefined,
        'Payments that Stripe reported and no event brought are found late.',
        'Payments that Stripe reported and no event brought are found late.',
      ],
    ];
    for (const [name, { tableName }, index, reads, writes] of tables) {
      this.watchTable(name, 'reads', reads, tableThrottles(tableName, 'ReadThrottleEvents', index));
      this.watchTable(name, 'writes', writes, tableThrottles(tableName, 'WriteThrottleEvents', index));
    }
  }

  private watchTable(table: string, what: 'reads' | 'writes', impact: string, metric: IMetric): void {
    this.alarm(table, `${what}-throttled`, {
      impact,
      runbook: 'throttled',
      metric,
      when: { above: 0 },
      // DynamoDB splits a table that has become too small by itself, within minutes.
      periods: 3,
      breaching: 2,
    });
  }

  /** The one failure that makes no noise: a source that delivers nothing. */
  private watchSilence(hours: number): void {
    // CloudWatch looks back at most seven days.
    if (!Number.isInteger(hours) || hours < 1 || hours > 168) {
      throw new Error(`silenceHours of stage ${this.stage.name} is ${hours}: it must be a whole number from 1 to 168.`);
    }
    this.alarm('payments', 'silent', {
      impact: `No payment was seen for ${hours} hours. If there was one, nothing was done about it.`,
      runbook: 'silence',
      metric: functionMetric(this.stage, 'contribution-records', 'Paid', Stats.SUM, Duration.hours(1)),
      when: 'silent',
      periods: hours,
    });
  }

  private watchMailTask(): void {
    const name = 'thank-you-email';
    this.alarm(name, 'mail-throttled', {
      impact: 'People who paid are thanked late: SES takes no more mails from this account just now.',
      runbook: 'throttled',
      metric: functionMetric(this.stage, name, 'MailThrottled'),
      when: { above: 0 },
      // A peak is over within minutes. Half an hour is a quota, and those waits are long.
      periods: 6,
      breaching: 3,
    });
    this.alarm(name, 'broken-wording', {
      impact: "Customers get our own wording instead of the campaign's, because its template cannot be used.",
      runbook: 'broken-wording',
      metric: functionMetric(this.stage, name, 'BrokenWording'),
      when: { above: 0 },
    });
    this.alarm(name, 'mail-limited', {
      impact: 'One address is sent mails about payments that cost nothing, more than a customer causes.',
      runbook: 'mail-limit',
      metric: functionMetric(this.stage, name, 'MailLimited'),
      when: { above: 0 },
    });
  }

  private watchWordingCheck(): void {
    const name = 'wording-check';
    this.alarm(name, 'broken-template', {
      impact: 'A template was uploaded that cannot be used: customers of links that name it will get the standard mail.',
      runbook: 'broken-template',
      metric: functionMetric(this.stage, name, 'BrokenTemplate'),
      when: { above: 0 },
    });
  }

  private watchRefunds(): void {
    const name = 'contribution-records';
    this.alarm(name, 'refund-failed', {
      impact: 'A customer was told of a refund that did not reach them, and Stripe does not try again.',
      runbook: 'refund-failed',
      metric: functionMetric(this.stage, name, 'RefundFailed'),
      when: { above: 0 },
    });
  }

  private watchConsents(): void {
    const name = 'soft-opt-ins';
    this.alarm(name, 'unknown-question', {
      impact:
        'Answers to a question on a payment page count for nothing, because policy.toml does not say whether it asks about marketing.',
      runbook: 'unknown-question',
      metric: functionMetric(this.stage, name, 'UnknownConsentQuestion'),
      when: { above: 0 },
    });
  }

  private watchAcquisitions(): void {
    const name = 'acquisition-events';
    this.alarm(name, 'return-unknown', {
      impact: 'Analysts add up too little: a bank gave money back, and its event does not say how much.',
      runbook: 'return-unknown',
      metric: functionMetric(this.stage, name, 'ReturnUnknown'),
      when: { above: 0 },
    });
  }

  private watchWebhook(functionName: string): void {
    const name = 'stripe-webhook';
    const late = 'Payments are not recorded and customers not thanked until Stripe tries again.';
    this.alarm(name, 'failed', {
      impact: late,
      runbook: 'webhook-failed',
      metric: functionMetric(this.stage, name, 'Failed'),
      when: { above: 0 },
    });
    this.alarm(name, 'errors', {
      impact: late,
      runbook: 'webhook-failed',
      metric: lambdaMetric(functionName, 'Errors'),
      when: { above: 0 },
    });
    this.watchThrottles(name, `${late} The function is not allowed to run.`, functionName);
    this.watchFlood(name, "Strangers call the webhook: Stripe's own requests may have to be repeated.", functionName);
    // A stranger's probe is refused now and then. A wrong secret refuses everything.
    this.alarm(name, 'refused', {
      impact: 'If these are from Stripe, payments are not recorded and customers not thanked.',
      runbook: 'webhook-refused',
      metric: functionMetric(this.stage, name, 'Refused'),
      when: { above: 20 },
    });
    this.alarm(name, 'unsupported', {
      impact: 'Stripe sends thin events: they are acknowledged, and nothing is done about the payments.',
      runbook: 'webhook-unsupported',
      metric: functionMetric(this.stage, name, 'Unsupported'),
      when: { above: 0 },
    });
  }

  private watchDownloads(functionName: string): void {
    const name = 'downloads';
    const missing = 'Customers paid for files that are not in the files bucket: their mail says that these will follow.';
    for (const task of [name, 'thank-you-email']) {
      this.alarm(task, 'files-missing', {
        impact: missing,
        runbook: 'files-missing',
        metric: functionMetric(this.stage, task, 'FilesMissing'),
        when: { above: 0 },
      });
    }
    const impact = 'Customers cannot see what became of their payment, nor fetch what they bought.';
    this.alarm(name, 'failed', {
      impact,
      runbook: 'downloads-failed',
      metric: functionMetric(this.stage, name, 'Failed'),
      when: { above: 0 },
    });
    this.alarm(name, 'errors', {
      impact,
      runbook: 'downloads-failed',
      metric: lambdaMetric(functionName, 'Errors'),
      when: { above: 0 },
    });
    this.watchThrottles(name, `${impact} The function is not allowed to run.`, functionName);
    this.watchFlood(name, 'Strangers call the pages: customers may find them slow or closed.', functionName);
  }

  /** A customer with a bad link makes a few of these. */
  private watchFlood(name: string, impact: string, functionName: string): void {
    this.alarm(name, 'flood', {
      impact,
      runbook: 'flood',
      metric: refusedRequests(functionName),
      when: { above: 500 },
      periods: 3,
      breaching: 2,
    });
  }

  private watchMail(configurationSetName: string): void {
    // SES reviews an account at 5 % bounces or 0.1 % complaints, and may stop it from sending.
    this.alarm('mail', 'bounces', {
      impact: 'SES may stop the account from sending: no customer would be thanked.',
      runbook: 'mail-reputation',
      metric: bounceRate(configurationSetName),
      when: { above: 0.04 },
    });
    this.alarm('mail', 'complaints', {
      impact: 'Somebody marked a thank-you mail as spam. SES stops accounts at one complaint in a thousand.',
      runbook: 'mail-reputation',
      metric: mailMetric(configurationSetName, 'Complaint'),
      when: { above: 0 },
    });
    this.alarm('mail', 'rejected', {
      impact: 'SES found a virus in a mail of ours and did not send it.',
      runbook: 'mail-reputation',
      metric: mailMetric(configurationSetName, 'Reject'),
      when: { above: 0 },
    });
  }

  private watchReconcile(): void {
    const name = 'reconcile';
    this.alarm(name, 'unexplained', {
      impact: 'Something that was paid has not been done for two hours, and no alarm has said why.',
      runbook: 'unexplained',
      // Whatever is missing is put back at once, and most is done a quarter of an hour later.
      metric: functionMetric(this.stage, name, 'OldestUnexplainedAge', Stats.MAXIMUM),
      when: { above: Duration.hours(2).toSeconds() },
    });
    this.alarm(name, 'misspelt', {
      impact: 'Customers paid over a link whose key `fulfilment` is misspelt: nothing is done for them.',
      runbook: 'misspelt-key',
      metric: functionMetric(this.stage, name, 'MisspeltMarker', Stats.MAXIMUM),
      when: { above: 0 },
    });
    this.alarm(name, 'silent', {
      impact: 'Payments that another source lost are not found, because no comparison with Stripe came to its end.',
      runbook: 'reconcile-silent',
      metric: functionMetric(this.stage, name, 'Completed', Stats.SUM, Duration.hours(1)),
      when: 'silent',
    });
  }

  private alarm(of: string, what: string, props: Omit<ImpactAlarmProps, 'alarmName' | 'topic'>): void {
    const id = `${of}-${what}`;
    new ImpactAlarm(this, id, { ...props, alarmName: physicalName(this.stage, id), topic: this.topic });
  }

  private alarmTopic(): Topic {
    const topic = new Topic(this, 'Alarms', {
      topicName: physicalName(this.stage, 'alarms'),
      displayName: `Afterlink ${this.stage.name}`,
      enforceSSL: true,
    });
    // A policy of our own replaces the default one, which let CloudWatch in.
    topic.addToResourcePolicy(
      new PolicyStatement({
        sid: 'AlarmsMayPublish',
        effect: Effect.ALLOW,
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    );
    if (this.stage.alarmEmail) topic.addSubscription(new EmailSubscription(this.stage.alarmEmail));
    acknowledge(topic, {
      'Serverless-SNSRedrivePolicy': 'SNS retries mail by itself, and the alarm stays to be seen in CloudWatch.',
    });
    new CfnOutput(this, 'AlarmTopicArn', { value: topic.topicArn });
    return topic;
  }

  private dashboard(data: DataStack, pipeline: PipelineStack): void {
    const dashboard = new Dashboard(this, 'Dashboard', { dashboardName: physicalName(this.stage) });
    const graph = (title: string, ...left: IMetric[]) => new GraphWidget({ title, left, width: 6, height: 6 });
    const running = (name: string) => [lambdaMetric(name, 'Errors'), lambdaMetric(name, 'Throttles')];
    const heading = (text: string) => new TextWidget({ markdown: `## ${text}`, width: 24, height: 1 });

    dashboard.addWidgets(heading('stripe-webhook'));
    const webhook = (['Accepted', 'Ignored', 'Refused', 'Unsupported', 'Failed'] as const).map((metric) =>
      functionMetric(this.stage, 'stripe-webhook', metric),
    );
    const mail = (['Send', 'Delivery', 'Bounce', 'Complaint'] as const).map((metric) =>
      mailMetric(pipeline.names.configurationSet, metric),
    );
    dashboard.addWidgets(
      graph('Requests', ...webhook),
      graph('Errors', ...running(pipeline.names.webhook)),
      graph('Mail', ...mail),
      graph('Paid', functionMetric(this.stage, 'contribution-records', 'Paid')),
    );
    dashboard.addWidgets(
      ...(['contributions', 'supporters', 'consents', 'effects'] as const).map((table) =>
        graph(
          `Throttled, ${table}`,
          tableThrottles(data[table].tableName, 'ReadThrottleEvents'),
          tableThrottles(data[table].tableName, 'WriteThrottleEvents'),
        ),
      ),
    );

    const reconciled = (...names: ReconcileMetricName[]) =>
      names.map((metric) => functionMetric(this.stage, 'reconcile', metric, Stats.MAXIMUM));
    dashboard.addWidgets(heading('reconcile'));
    dashboard.addWidgets(
      graph('Each day', ...reconciled('Paid', 'Fulfilled', 'Open', 'Unexplained')),
      graph('Each run', ...reconciled('Examined', 'PutBack', 'Missing', 'MisspeltMarker', 'Pending')),
      graph('Oldest unexplained and pending, s', ...reconciled('OldestUnexplainedAge', 'OldestPendingAge')),
    );

    dashboard.addWidgets(heading('downloads'));
    dashboard.addWidgets(
      graph(
        'Requests',
        ...(['Pages', 'Fetches', 'FilesMissing', 'Failed'] as const).map((metric) =>
          functionMetric(this.stage, 'downloads', metric),
        ),
      ),
      graph('Errors', ...running(pipeline.names.downloads)),
    );

    for (const { name, names } of pipeline.tasks) {
      dashboard.addWidgets(heading(name));
      dashboard.addWidgets(
        graph(
          'Messages',
          ...(['Handled', 'Done', 'Skipped', 'Retried', 'Parked', 'Unknown'] as const).map((metric) =>
            functionMetric(this.stage, name, metric),
          ),
        ),
        graph(
          'Duration, ms',
          functionMetric(this.stage, name, 'Duration', Stats.p(50)),
          functionMetric(this.stage, name, 'Duration', Stats.p(99)),
        ),
        graph('Oldest message, s', queueMetric(names.queue, 'ApproximateAgeOfOldestMessage')),
        graph(
          'Waiting',
          queueMetric(names.queue, 'ApproximateNumberOfMessagesVisible'),
          queueMetric(names.dlq, 'ApproximateNumberOfMessagesVisible'),
        ),
        graph('Errors', ...running(names.function)),
      );
    }
  }
}
