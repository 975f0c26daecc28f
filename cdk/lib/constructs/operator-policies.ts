import { CfnOutput, Stack } from 'aws-cdk-lib';
import type { IEventBus } from 'aws-cdk-lib/aws-events';
import { ManagedPolicy, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { acknowledge, importedName } from '../acknowledge.ts';
import { type DataStack, OPEN_EFFECTS, SESSION_INDEX } from '../stacks/data.ts';
import { physicalName, type Stage } from '../stages.ts';
import { allow } from './rust-function.ts';

export interface OperatorPoliciesProps {
  readonly stage: Stage;
  readonly data: DataStack;
  readonly bus: IEventBus;
  readonly queues: readonly IQueue[];
  /** Of every task, and of the partner source where there is one. */
  readonly deadLetterQueues: readonly IQueue[];
  readonly functions: readonly IFunction[];
  /** The ARN of a secret by its name. */
  readonly secretArn: (name: string) => string;
  /** Mail from the stage's one address: `afterlink mail test`. */
  readonly mail: PolicyStatement;
}

/**
 * What `afterlink` needs, as two policies to attach to a role or a permission set: one to look,
 * one to act as well. An operator who acts needs both.
 *
 * `publish` is not in them: it takes a key of Stripe's that may write, and two calls on the files
 * bucket (cli/README.md).
 */
export class OperatorPolicies extends Construct {
  constructor(scope: Construct, id: string, props: OperatorPoliciesProps) {
    super(scope, id);
    const { stage } = props;
    const stack = Stack.of(this);
    const stacks = stack.formatArn({
      service: 'cloudformation',
      resource: 'stack',
      resourceName: `${physicalName(stage, '*')}/*`,
    });
    const read = readStatements(props, stack, stacks);
    const reader = this.policy('Read', stage, 'Look at a stage with afterlink', read);
    acknowledge(reader, {
      'AwsSolutions-IAM5[Resource::*]': 'AWS knows no resource for these calls.',
      [`AwsSolutions-IAM5[Resource::${asNagShows(stack, stacks)}]`]: "CloudFormation ends a stack's ARN with an id.",
      [`AwsSolutions-IAM5[Resource::${importedName(props.data, props.data.templates.bucketArn)}/*]`]:
        'Templates are named by the marketers: the whole bucket is theirs.',
    });
    const act = actStatements(props);
    const actor = this.policy('Act', stage, 'Repair a stage with afterlink; attach the read policy too', act);
    if (stage.name === 'local') {
      acknowledge(actor, { 'AwsSolutions-IAM5[Resource::*]': 'The local cloud judges SendEmail on every resource only.' });
    }
  }

  private policy(verb: 'Read' | 'Act', stage: Stage, description: string, statements: PolicyStatement[]): ManagedPolicy {
    const made = new ManagedPolicy(this, verb, {
      managedPolicyName: physicalName(stage, 'operator', verb.toLowerCase()),
      description,
      statements,
    });
    new CfnOutput(this, `${verb}Arn`, { value: made.managedPolicyArn }).overrideLogicalId(`Operator${verb}PolicyArn`);
    return made;
  }
}

/** An ARN with its references in angle brackets. */
function asNagShows(stack: Stack, arn: string): string {
  const resolved = stack.resolve(arn);
  if (typeof resolved === 'string') return resolved;
  const [separator, parts] = resolved['Fn::Join'];
  return parts.map((part: string | { Ref: string }) => (typeof part === 'string' ? part : `<${part.Ref}>`)).join(separator);
}

function readStatements(props: OperatorPoliciesProps, stack: Stack, stacks: string): PolicyStatement[] {
  const { stage, data, queues, deadLetterQueues, functions, secretArn } = props;
  const tables = [data.contributions, data.supporters, data.consents, data.effects, data.reconciliation, data.downloads];
  const arns = tables.map(({ tableArn }) => tableArn);
  const indexes = [
    `${data.contributions.tableArn}/index/${SESSION_INDEX}`,
    `${data.effects.tableArn}/index/${OPEN_EFFECTS}`,
  ];
  const secrets = [stage.signingSecretName, stage.stripeKeySecretName, stage.tokenKeysSecretName];
  const all = [...queues, ...deadLetterQueues];
  return [
    allow(['cloudformation:DescribeStacks'], [stacks]),
    allow(['dynamodb:Query'], [...arns, ...indexes]),
    allow(['dynamodb:GetItem'], [data.downloads.tableArn, data.reconciliation.tableArn]),
    // Which purchase a customer means who quotes a reference (`ref_…`): no index leads from it to the record.
    allow(['dynamodb:Scan'], [data.contributions.tableArn]),
    allow(['sqs:GetQueueAttributes'], all.map(({ queueArn }) => queueArn)),
    // To count what waits by its reason. A message that is looked at is hidden for a moment.
    allow(['sqs:ReceiveMessage', 'sqs:ChangeMessageVisibility'], deadLetterQueues.map(({ queueArn }) => queueArn)),
    allow(['secretsmanager:GetSecretValue'], secrets.map(secretArn)),
    // Whether templates and files that links name are there, and how old a template is; whether a template can be used.
    allow(['s3:ListBucket'], [data.templates.bucketArn, data.files.bucketArn]),
    allow(['s3:GetObject'], [data.templates.arnForObjects('*')]),
    // Whether a function is there and runs. Not `lambda:InvokeFunction`: an event of one's own is a mail to anybody.
    allow(['lambda:GetFunctionConfiguration'], functions.map(({ functionArn }) => functionArn)),
    // None of these can be limited to the alarms, metrics or the account of a stage.
    // https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
    // https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsimpleemailservicev2.html
    // https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
    allow(
      ['cloudwatch:DescribeAlarms', 'cloudwatch:GetMetricStatistics', 'lambda:ListEventSourceMappings', 'ses:GetAccount'],
      ['*'],
    ),
    allow(
      ['ses:GetEmailIdentity'],
      [stack.formatArn({ service: 'ses', resource: 'identity', resourceName: stage.mail.identity })],
    ),
  ];
}

function actStatements({ data, bus, queues, deadLetterQueues, mail }: OperatorPoliciesProps): PolicyStatement[] {
  return [
    // A transaction is authorised as the single operations in it.
    allow(['dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:ConditionCheckItem'], [data.effects.tableArn]),
    allow(['dynamodb:UpdateItem'], [data.downloads.tableArn]),
    allow(['dynamodb:PutItem', 'dynamodb:DeleteItem'], [data.reconciliation.tableArn]),
    allow(['sqs:SendMessage'], queues.map(({ queueArn }) => queueArn)),
    allow(['sqs:DeleteMessage'], deadLetterQueues.map(({ queueArn }) => queueArn)),
    allow(['events:PutEvents'], [bus.eventBusArn]),
    mail,
  ];
}
