import { Duration } from 'aws-cdk-lib';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import { physicalName, type Stage } from '../stages.ts';

export interface DeadLetterQueueProps {
  readonly stage: Stage;
  /** What it catches the failures of. */
  readonly of: string;
}

/** Where a message waits for a person, as long as SQS keeps one. */
export class DeadLetterQueue extends Queue {
  /** The name as text, for alarms and documents of another stack. */
  readonly physicalQueueName: string;

  constructor(scope: Construct, id: string, props: DeadLetterQueueProps) {
    const queueName = physicalName(props.stage, props.of, 'dlq');
    super(scope, id, {
      queueName,
      retentionPeriod: Duration.days(14),
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: props.stage.tlsOnly,
    });
    this.physicalQueueName = queueName;

    acknowledge(this, {
      'AwsSolutions-SQS3': 'It is a dead-letter queue itself.',
      'Serverless-SQSRedrivePolicy': 'It is a dead-letter queue itself.',
    });
  }
}
