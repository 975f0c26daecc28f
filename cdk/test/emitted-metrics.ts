import { existsSync, readFileSync } from 'node:fs';
import { queuedNames } from '../lib/catalogue.ts';

const ROOT = new URL('../../', import.meta.url);

/** A metric that a function writes, and the dimensions that it can be looked up by. */
export interface EmittedMetric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: readonly string[];
  /** The page that documents it; none for our own. */
  readonly page?: string;
}

interface GoldenLine {
  readonly Task: string;
  readonly _aws: {
    readonly CloudWatchMetrics: readonly {
      readonly Namespace: string;
      readonly Dimensions: readonly (readonly string[])[];
      readonly Metrics: readonly { readonly Name: string }[];
    }[];
  };
}

/**
 * What a function really writes: the golden files that its own tests compare its lines with.
 *
 * What every function behind a queue counts is in one file; what a function counts besides is beside its manifest.
 */
export function emittedBy(functionName: string): EmittedMetric[] {
  const own = new URL(`functions/${functionName}/metrics.golden.json`, ROOT);
  const ownLines = existsSync(own) ? golden(own) : [];
  const misnamed = ownLines.find(({ Task }) => Task !== functionName);
  if (misnamed) throw new Error(`${own.pathname} holds a line of ${misnamed.Task}`);
  const ofEveryTask =
    queuedNames.includes(functionName) ? golden(new URL('shared/platform/task-runtime/tests/emf.golden.json', ROOT)) : [];
  return [...ofEveryTask, ...ownLines].flatMap(({ _aws }) =>
    _aws.CloudWatchMetrics.flatMap(({ Namespace, Dimensions, Metrics }) =>
      Dimensions.flatMap((dimensions) =>
        Metrics.map(({ Name }) => ({ namespace: Namespace, name: Name, dimensions })),
      ),
    ),
  );
}

function golden(file: URL): GoldenLine[] {
  return JSON.parse(readFileSync(file, 'utf8'));
}

const SQS =
  'https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html';
const LAMBDA = 'https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html';
const LAMBDA_URLS = 'https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html';
const EVENTS = 'https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html';
const DYNAMODB = 'https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html';
const SES_EVENTS = 'https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-cloudwatch.html';
const SES_REPUTATION = 'https://docs.aws.amazon.com/ses/latest/dg/monitor-sender-reputation.html';

function documented(page: string, namespace: string, dimensions: string[], ...names: string[]): EmittedMetric[] {
  return names.map((name) => ({ namespace, name, dimensions, page }));
}

/** What AWS counts, as its own pages spell it. */
export const EMITTED_BY_AWS: readonly EmittedMetric[] = [
  ...documented(
    SQS,
    'AWS/SQS',
    ['QueueName'],
    'ApproximateAgeOfOldestMessage',
    'ApproximateNumberOfMessagesNotVisible',
    'ApproximateNumberOfMessagesVisible',
  ),
  ...documented(LAMBDA, 'AWS/Lambda', ['FunctionName'], 'Errors', 'Throttles'),
  ...documented(
    EVENTS,
    'AWS/Events',
    ['EventBusName', 'RuleName'],
    'FailedInvocations',
    'InvocationsFailedToBeSentToDlq',
  ),
  // A rule on the account's default bus.
  ...documented(EVENTS, 'AWS/Events', ['RuleName'], 'FailedInvocations', 'InvocationsFailedToBeSentToDlq'),
  ...documented(LAMBDA_URLS, 'AWS/Lambda', ['FunctionName'], 'Url4xxCount'),
  ...documented(DYNAMODB, 'AWS/DynamoDB', ['TableName'], 'ReadThrottleEvents', 'WriteThrottleEvents'),
  ...documented(
    DYNAMODB,
    'AWS/DynamoDB',
    ['GlobalSecondaryIndexName', 'TableName'],
    'ReadThrottleEvents',
    'WriteThrottleEvents',
  ),
  // The dimension is one that the configuration set's own event destination defines.
  ...documented(
    SES_EVENTS,
    'AWS/SES',
    ['ses:configuration-set'],
    'Send',
    'Delivery',
    'Bounce',
    'Complaint',
    'Reject',
  ),
  ...documented(SES_REPUTATION, 'AWS/SES', ['ses:configuration-set'], 'Reputation.BounceRate'),
];
