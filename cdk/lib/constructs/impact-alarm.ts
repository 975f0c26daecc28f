import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';

export interface ImpactAlarmProps {
  readonly alarmName: string;
  /** What people notice, or will: a sentence for whoever is woken. */
  readonly impact: string;
  /** The file in `docs/runbooks/` that says what to do, without `.md`. */
  readonly runbook: string;
  readonly metric: IMetric;
  /** The alarm fires above this value; at or below it, if silence is bad. */
  readonly above: number;
  /** How many of the metric's periods are looked at. */
  readonly periods?: number;
  /** How many of them must be above. */
  readonly breaching?: number;
  /** Whether silence is the failure: of something that must be heard of in every period. */
  readonly silenceIsBad?: boolean;
  readonly topic: ITopic;
}

/**
 * An alarm that cannot be written without its impact and its runbook.
 *
 * No news is good news for all that do not say otherwise, so each goes back to OK by itself. That matters:
 * CloudWatch tells of a change of state only, and an alarm that stays in ALARM hides the
 * next failure.
 */
export class ImpactAlarm extends Alarm {
  constructor(scope: Construct, id: string, props: ImpactAlarmProps) {
    const periods = props.periods ?? 1;
    super(scope, id, {
      alarmName: props.alarmName,
      alarmDescription: `IMPACT ${props.impact} RUNBOOK docs/runbooks/${props.runbook}.md`,
      metric: props.metric,
      // Of something that must be heard of, the threshold is the least.
      comparisonOperator: props.silenceIsBad
        ? ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD
        : ComparisonOperator.GREATER_THAN_THRESHOLD,
      threshold: props.above,
      evaluationPeriods: periods,
      datapointsToAlarm: props.breaching ?? periods,
      treatMissingData: props.silenceIsBad ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
    });
    const tell = new SnsAction(props.topic);
    this.addAlarmAction(tell);
    this.addOkAction(tell);
  }
}
