import { EventBus, type IEventBus, Rule } from 'aws-cdk-lib/aws-events';
import { EventBus as EventBusTarget } from 'aws-cdk-lib/aws-events-targets';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { forwardedFromPartner } from '../event-patterns.ts';
import { physicalName, type Stage } from '../stages.ts';
import { DeadLetterQueue } from './dead-letter-queue.ts';
import { output } from './queue-task.ts';

export interface PartnerSourceProps {
  readonly stage: Stage;
  /** Stripe's event destination as AWS knows it, `aws.partner/stripe.com/ed_…`. */
  readonly eventSource: string;
  readonly target: IEventBus;
}

/**
 * Stripe's own bus in this account, and the rule that carries our events over to ours.
 *
 * Creating the bus associates the pending partner event source with it. A forwarded event
 * keeps its source, which no client can forge: `aws.` sources are refused by PutEvents.
 */
export class PartnerSource extends Construct {
  readonly dlq: DeadLetterQueue;
  /** The role that the forwarding rule puts events with, as an ARN. */
  readonly roleArn: string;
  /** Names as text, for alarms and documents of another stack. */
  readonly names: { readonly bus: string; readonly rule: string; readonly dlq: string };

  constructor(scope: Construct, id: string, props: PartnerSourceProps) {
    super(scope, id);
    const { stage } = props;

    const bus = new EventBus(this, 'Bus', { eventSourceName: props.eventSource });
    const dlq = new DeadLetterQueue(this, 'Dlq', { stage, of: 'forward' });
    this.dlq = dlq;
    const role = new Role(this, 'ForwardRole', {
      assumedBy: new ServicePrincipal('events.amazonaws.com'),
      description: 'Puts what comes from Stripe on the fulfilment bus',
    });
    this.roleArn = role.roleArn;
    const ruleName = physicalName(stage, 'forward');
    new Rule(this, 'Rule', {
      ruleName,
      description: 'What comes from Stripe and is ours, on to the fulfilment bus',
      eventBus: bus,
      eventPattern: forwardedFromPartner(stage),
      targets: [new EventBusTarget(props.target, { deadLetterQueue: dlq, role })],
    });

    output(this, 'forward', 'DlqUrl', dlq.queueUrl);
    this.names = { bus: props.eventSource, rule: ruleName, dlq: dlq.physicalQueueName };
  }
}
