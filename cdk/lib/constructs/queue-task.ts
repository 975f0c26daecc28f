import { CfnOutput, Duration } from 'aws-cdk-lib';
import { type EventPattern, type IEventBus, Rule } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { type Code, EventSourceMapping } from 'aws-cdk-lib/aws-lambda';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import { catalogued, cataloguedTask } from '../catalogue.ts';
import { physicalName, type Stage } from '../stages.ts';
import { DeadLetterQueue } from './dead-letter-queue.ts';
import { allow, RustFunction } from './rust-function.ts';

/**
 * How many receives the longest life of a message takes that the function answers: three days of
 * pauses of an hour or a little less, for what a service throttles (THROTTLED_LIFE of task-runtime).
 */
const RECEIVES_OF_ANSWERED_MESSAGES = 100;

/** Six times the function's timeout, as AWS asks of a queue that feeds a function. */
function visibilityTimeout(stage: Stage): Duration {
  return Duration.seconds(6 * stage.functionTimeout.toSeconds());
}

/**
 * When SQS itself gives a message up.
 *
 * The function decides by a message's age (`stage.retry.giveUp`, ten hours: long enough for an
 * outage to end, short enough that an operator learns of it on the day). It cannot while Lambda
 * throttles it, or it dies, or does not start: then a message comes back after the visibility
 * timeout, and each time counts. So many of these take as long.
 * https://repost.aws/knowledge-center/lambda-retrying-valid-sqs-messages
 */
function maxReceiveCount(stage: Stage): number {
  const unanswered = Math.ceil(stage.retry.giveUp.toSeconds() / visibilityTimeout(stage).toSeconds());
  return Math.max(unanswered, RECEIVES_OF_ANSWERED_MESSAGES);
}

export interface QueueTaskProps {
  readonly stage: Stage;
  /** The folder under `functions/`, which is also the package, the binary and the key here. */
  readonly name: string;
  /** What people miss while the task does not work. It opens the sentence of every alarm. */
  readonly impact: string;
  /** Where its events come from: the account's default bus, which AWS's services put theirs on, if it is not said. */
  readonly bus?: IEventBus;
  readonly pattern: EventPattern;
  /** How long a message waits before it is handled, so that what belongs together has come. None if it is not said. */
  readonly delay?: Duration;
  readonly code: Code;
  /** How many copies of the function may run at once: the back-pressure on what it calls. */
  readonly maxConcurrency: number;
  readonly environment: Readonly<Record<string, string>>;
  /** What the function may do besides reading its queue and filling its dead-letter queue. */
  readonly may: Readonly<Record<string, PolicyStatement[]>>;
}

/**
 * One task, or another function behind a queue: rule, queue, dead-letter queue, function.
 *
 * A task waits for no other task and is repeated because of none. Whatever cannot be
 * delivered to it or handled by it ends in its one dead-letter queue, as the event it was.
 */
export class QueueTask extends Construct {
  readonly name: string;
  readonly impact: string;
  readonly atMostOnce: boolean;
  readonly queue: Queue;
  readonly dlq: Queue;
  /** Names as text, for alarms, the dashboard and documents of another stack. */
  readonly names: { readonly rule: string; readonly queue: string; readonly dlq: string; readonly function: string };
  /** Whether its events come from the account's default bus, and not from ours. */
  readonly isOnDefaultBus: boolean;

  constructor(scope: Construct, id: string, props: QueueTaskProps) {
    super(scope, id);
    const { stage, name, bus } = props;
    this.name = name;
    this.impact = props.impact;
    if (!catalogued(name).queued) throw new Error(`the catalogue does not say that ${name} is behind a queue`);
    const task = cataloguedTask(name);
    this.atMostOnce = task?.atMostOnce ?? false;
    if (task) assertReactsTo(task.reactsTo, props.pattern, name);

    const dlq = new DeadLetterQueue(this, 'Dlq', { stage, of: name });

    const queueName = physicalName(stage, name);
    const queue = new Queue(this, 'Queue', {
      queueName,
      visibilityTimeout: visibilityTimeout(stage),
      ...(props.delay && { deliveryDelay: props.delay }),
      retentionPeriod: Duration.days(4),
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: stage.tlsOnly,
      deadLetterQueue: { queue: dlq, maxReceiveCount: maxReceiveCount(stage) },
    });

    this.queue = queue;
    this.dlq = dlq;

    const ruleName = physicalName(stage, name);
    new Rule(this, 'Rule', {
      ruleName,
      description: `What ${name} reacts to`,
      ...(bus && { eventBus: bus }),
      eventPattern: props.pattern,
      // Without a dead-letter queue here, an event that cannot be handed over is dropped.
      targets: [new SqsQueue(queue, { deadLetterQueue: dlq, maxEventAge: Duration.hours(24), retryAttempts: 185 })],
    });

    const made = new RustFunction(this, 'Function', {
      stage,
      name,
      code: props.code,
      environment: {
        QUEUE_URL: queue.queueUrl,
        DLQ_URL: dlq.queueUrl,
        RETRY_BASE_SECONDS: String(stage.retry.base.toSeconds()),
        RETRY_CAP_SECONDS: String(stage.retry.cap.toSeconds()),
        RETRY_GIVE_UP_SECONDS: String(stage.retry.giveUp.toSeconds()),
        ...props.environment,
      },
      may: {
        queue: [
          allow(
            ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ChangeMessageVisibility'],
            [queue.queueArn],
          ),
          allow(['sqs:SendMessage'], [dlq.queueArn]),
        ],
        ...props.may,
      },
    });

    const mapping = new EventSourceMapping(this, 'Mapping', {
      target: made.function,
      eventSourceArn: queue.queueArn,
      // The payments of a batch are handled together: ten take little longer than one, and a
      // third of the SQS calls. No window: it would make each mail of a quiet day wait.
      batchSize: 10,
      reportBatchItemFailures: true,
      // Never reserved concurrency: throttled polls push healthy messages to the DLQ.
      maxConcurrency: props.maxConcurrency,
    });
    acknowledge(mapping, {
      'Serverless-LambdaEventSourceMappingDestination':
        "Only streams have one. Here the queue's redrive policy takes what keeps failing.",
    });

    this.names = { rule: ruleName, queue: queueName, dlq: dlq.physicalQueueName, function: made.functionName };
    this.isOnDefaultBus = bus === undefined;

    output(this, name, 'QueueUrl', queue.queueUrl);
    output(this, name, 'DlqUrl', dlq.queueUrl);
    output(this, name, 'FunctionName', made.functionName);
  }
}

/** A stack output such as `ThankYouEmailQueueUrl`. */
export function output(scope: Construct, task: string, what: string, value: string): void {
  const id = task.replace(/(^|-)(\w)/g, (_match, _dash, letter: string) => letter.toUpperCase()) + what;
  new CfnOutput(scope, id, { value }).overrideLogicalId(id);
}

/** Every type of event in a task's pattern is one that the catalogue says it reacts to. */
function assertReactsTo(reactsTo: readonly string[], { detailType = [] }: EventPattern, name: string): void {
  const unknown = detailType.filter((type) => !reactsTo.includes(type));
  if (unknown.length > 0) {
    throw new Error(`the rule of ${name} lets ${unknown.join(', ')} through, and the catalogue does not say so`);
  }
}
