import { Duration } from 'aws-cdk-lib';
import { type IMetric, MathExpression, Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';

const PERIOD = Duration.minutes(5);

/** `Throttles` are calls that found no free concurrency, the account's or the region's. */
export function lambdaMetric(functionName: string, metricName: 'Errors' | 'Throttles'): Metric {
  return new Metric({
    namespace: 'AWS/Lambda',
    metricName,
    dimensionsMap: { FunctionName: functionName },
    statistic: Stats.SUM,
    period: PERIOD,
  });
}

export function queueMetric(
  queueName: string,
  metricName:
    'ApproximateNumberOfMessagesVisible' | 'ApproximateNumberOfMessagesNotVisible' | 'ApproximateAgeOfOldestMessage',
  period: Duration = PERIOD,
): Metric {
  return new Metric({
    namespace: 'AWS/SQS',
    metricName,
    dimensionsMap: { QueueName: queueName },
    statistic: Stats.MAXIMUM,
    period,
  });
}

/**
 * How many messages a queue has gained since the last period.
 *
 * `NumberOfMessagesSent` would not do: it does not count what SQS moves by redrive. The plain
 * depth would not either: it stays up until an operator empties the queue, and what arrives
 * meanwhile changes no alarm. Messages that a person is looking at are invisible, not gone.
 */
export function queueGrowth(queueName: string): MathExpression {
  return new MathExpression({
    expression: 'DIFF(FILL(visible, 0) + FILL(hidden, 0))',
    usingMetrics: {
      visible: queueMetric(queueName, 'ApproximateNumberOfMessagesVisible'),
      hidden: queueMetric(queueName, 'ApproximateNumberOfMessagesNotVisible'),
    },
    label: 'messages gained',
    period: PERIOD,
  });
}

/** Requests to a function's URL that were answered with 4xx, also those it was not let run for. */
export function refusedRequests(functionName: string): Metric {
  return new Metric({
    namespace: 'AWS/Lambda',
    metricName: 'Url4xxCount',
    dimensionsMap: { FunctionName: functionName },
    statistic: Stats.SUM,
    period: PERIOD,
  });
}

type ThrottleMetric = 'ReadThrottleEvents' | 'WriteThrottleEvents';

/**
 * Requests that DynamoDB turned away because of a table's or a partition's capacity, or an index's:
 * AWS counts an index under its own name only.
 */
export function tableThrottles(tableName: string, metricName: ThrottleMetric, index?: string): IMetric {
  const throttles = (dimensionsMap: Record<string, string>) =>
    new Metric({ namespace: 'AWS/DynamoDB', metricName, dimensionsMap, statistic: Stats.SUM, period: PERIOD });
  const table = throttles({ TableName: tableName });
  if (index === undefined) return table;
  return new MathExpression({
    expression: 'FILL(table, 0) + FILL(index, 0)',
    usingMetrics: { table, index: throttles({ TableName: tableName, GlobalSecondaryIndexName: index }) },
    label: metricName,
    period: PERIOD,
  });
}

/** A rule on a bus other than the default one is counted under both names, one on the default bus under its own. */
export function ruleMetric(
  busName: string | undefined,
  ruleName: string,
  metricName: 'FailedInvocations' | 'InvocationsFailedToBeSentToDlq',
): Metric {
  return new Metric({
    namespace: 'AWS/Events',
    metricName,
    dimensionsMap: { ...(busName !== undefined && { EventBusName: busName }), RuleName: ruleName },
    statistic: Stats.SUM,
    period: PERIOD,
  });
}

export function mailMetric(
  configurationSetName: string,
  metricName: 'Send' | 'Delivery' | 'Bounce' | 'Complaint' | 'Reject',
): Metric {
  return new Metric({
    namespace: 'AWS/SES',
    metricName,
    dimensionsMap: { 'ses:configuration-set': configurationSetName },
    statistic: Stats.SUM,
    period: PERIOD,
  });
}

/** The share of mails that bounced, between 0 and 1, as SES itself judges a sender by it. */
export function bounceRate(configurationSetName: string): Metric {
  return new Metric({
    namespace: 'AWS/SES',
    metricName: 'Reputation.BounceRate',
    dimensionsMap: { 'ses:configuration-set': configurationSetName },
    statistic: Stats.MAXIMUM,
    period: Duration.hours(1),
  });
}
