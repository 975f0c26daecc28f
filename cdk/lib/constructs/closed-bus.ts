import { CfnEventBusPolicy, type IEventBus } from 'aws-cdk-lib/aws-events';
import { Construct } from 'constructs';
import type { Stage } from '../stages.ts';

export interface ClosedBusProps {
  readonly stage: Stage;
  readonly bus: IEventBus;
  /** The roles of ours that put events, as ARNs. */
  readonly roles: readonly string[];
}

/**
 * Denies everybody else in the account to put events on a bus.
 *
 * An event on the fulfilment bus is a payment: who can make one gets goods, mails and revenue
 * without one. `events:PutEvents` on every bus is a common grant, so the bus names who may.
 */
export class ClosedBus extends Construct {
  constructor(scope: Construct, id: string, { stage, bus, roles }: ClosedBusProps) {
    super(scope, id);
    new CfnEventBusPolicy(this, 'Policy', {
      eventBusName: bus.eventBusName,
      statementId: 'OnlyThese',
      statement: {
        Sid: 'OnlyThese',
        Effect: 'Deny',
        Principal: '*',
        Action: 'events:PutEvents',
        Resource: bus.eventBusArn,
        Condition: {
          ArnNotLike: { 'aws:PrincipalArn': [...roles, ...(stage.operatorRoles ?? [])] },
          // An AWS service that acts for itself has no ARN; it has no grant here either.
          Null: { 'aws:PrincipalArn': 'false' },
        },
      },
    });
  }
}
