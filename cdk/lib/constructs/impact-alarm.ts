import { Alarm, ComparisonOperator, type IMetric, MathExpression, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';

export interface ImpactAlarmProps {
  readonly alarmName: string;
  /** What people notice, or will: a sentence for the operator who is woken. */
  readonly impact: string;
  /** The file in `docs/runbooks/` that says what to do, without `.md`. */
  readonly runbook: string;
  readonly metric: IMetric;
  /** When the alarm fires. */
  readonly when: { readonly above: number } | Silence;
  /** How many of the metric's periods are looked at. */
  readonly periods?: number;
  /** How many of them must be above. */
  readonly breaching?: number;
  readonly topic: ITopic;
}

/** Fires when nothing is counted: neither a value of at least one, nor any value at all. */
export type Silence = 'silent';

/**
 * An alarm that cannot be written without its impact and its runbook.
 *
 * Missing data is good for all but the alarm on silence, so each goes back to OK by
 * itself. That matters: CloudWatch reports a change of state only, and an alarm that stays in
 * ALARM hides the next failure.
 */
export class ImpactAlarm extends Alarm {
  constructor(scope: Construct, id: string, props: ImpactAlarmProps) {
    const periods = props.periods ?? 1;
    const fires =
      props.when === 'silent'
        ? {
            comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
            threshold: 1,
            treatMissingData: TreatMissingData.BREACHING,
          }
        : {
            comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
            threshold: props.when.above,
            treatMissingData: TreatMissingData.NOT_BREACHING,
          };
    super(scope, id, {
      alarmName: props.alarmName,
      alarmDescription: `IMPACT ${props.impact} RUNBOOK docs/runbooks/${props.runbook}.md`,
      metric: props.when === 'silent' ? filled(props.metric) : props.metric,
      ...fires,
      evaluationPeriods: periods,
      datapointsToAlarm: props.breaching ?? periods,
    });
    const notify = new SnsAction(props.topic);
    this.addAlarmAction(notify);
    this.addOkAction(notify);
  }
}

/**
 * A period without a value counts as nothing.
 *
 * Where values are missing CloudWatch looks further back than the alarm asks, and goes on judging
 * the last real ones: silence would be reported hours late.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
 */
function filled(metric: IMetric): IMetric {
  const { metricStat } = metric.toMetricConfig();
  if (!metricStat) throw new Error('silence is listened for on a metric, not on an expression');
  return new MathExpression({
    expression: 'FILL(counted, 0)',
    usingMetrics: { counted: metric },
    label: 'counted',
    period: metricStat.period,
  });
}
