import { Duration } from 'aws-cdk-lib';
import { Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { Stage } from './stages.ts';

/** The namespace of every metric the functions write to their logs (embedded metric format). */
export const NAMESPACE = 'Afterlink';

/** What a queue task counts, per message. */
export type TaskMetricName = 'Handled' | 'Done' | 'Skipped' | 'Retried' | 'Parked' | 'Unknown' | 'Duration';

/**
 * What the mail task counts besides: a template of a marketer's that could not be used, a mail
 * that SES did not take because of the account's sending rate or quota, and a mail that was parked
 * because its address has had its mails of the day about payments that cost nothing.
 */
export type MailTaskMetricName = 'BrokenWording' | 'MailLimited' | 'MailThrottled';

/** What the records count besides, once each: a payment that became paid, a refund that failed. */
export type RecordsMetricName = 'Paid' | 'RefundFailed';

/** What the consents count besides: an answer to a custom field that `policy.toml` does not name. */
export type ConsentsMetricName = 'UnknownConsentQuestion';

/** What the analysts' task counts besides: money that a bank gave back, of which nothing says how much it is. */
export type AcquisitionsMetricName = 'ReturnUnknown';

/** What the check of uploads counts besides: a template that cannot be used as it was uploaded. */
export type WordingCheckMetricName = 'BrokenTemplate';

/** What the pages count, per request; the mail task counts missing files too. */
export type DownloadsMetricName = 'Pages' | 'Fetches' | 'FilesMissing' | 'Failed' | 'Delayed';

/** What the webhook counts, per request. */
export type WebhookMetricName = 'Accepted' | 'Ignored' | 'Refused' | 'Unsupported' | 'Failed';

/** What reconciliation counts, per run, and per day as its proof. */
export type ReconcileMetricName =
  | 'Completed'
  | 'Examined'
  | 'PutBack'
  | 'Missing'
  | 'MisspeltMarker'
  | 'OldestUnexplainedAge'
  | 'Pending'
  | 'OldestPendingAge'
  | 'Paid'
  | 'Fulfilled'
  | 'Open'
  | 'Unexplained';

/** A metric of one function. Alarms on it come back to OK when five minutes pass without data. */
export function functionMetric(
  stage: Stage,
  task: string,
  metricName:
    | TaskMetricName
    | MailTaskMetricName
    | RecordsMetricName
    | ConsentsMetricName
    | AcquisitionsMetricName
    | WordingCheckMetricName
    | DownloadsMetricName
    | WebhookMetricName
    | ReconcileMetricName,
  statistic: string = Stats.SUM,
  period: Duration = Duration.minutes(5),
): Metric {
  return new Metric({
    namespace: NAMESPACE,
    metricName,
    dimensionsMap: { Stage: stage.name, Task: task },
    statistic,
    period,
  });
}
