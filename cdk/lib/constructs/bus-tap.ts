import { Duration } from 'aws-cdk-lib';
import { type EventPattern, type IEventBus, Rule } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import { physicalName, type Stage } from '../stages.ts';

export interface BusTapProps {
  readonly stage: Stage;
  /** What is tapped, for the names. */
  readonly of: string;
  readonly bus: IEventBus;
  readonly pattern: EventPattern;
}

/**
 * A queue that holds what a bus carried, so that a person or a test can read it. A bus itself
 * keeps nothing. For the local cloud only: elsewhere analysts attach what they load with.
 */
export class BusTap extends Construct {
  readonly queueUrl: string;

  constructor(scope: Construct, id: string, props: BusTapProps) {
    super(scope, id);
    const name = physicalName(props.stage, props.of);
    const queue = new Queue(this, 'Queue', {
      queueName: name,
      retentionPeriod: Duration.days(1),
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: props.stage.tlsOnly,
    });
    new Rule(this, 'Rule', {
      ruleName: name,
      description: 'What the bus carries, to be looked at',
      eventBus: props.bus,
      eventPattern: props.pattern,
      targets: [new SqsQueue(queue)],
    });
    this.queueUrl = queue.queueUrl;

    const reason = 'Nothing depends on it: it is there to be looked at, on a laptop.';
    acknowledge(this, {
      'AwsSolutions-SQS3': reason,
      'Serverless-SQSRedrivePolicy': reason,
      'Serverless-EventBusDLQ': reason,
    });
  }
}
