import { type Duration, RemovalPolicy } from 'aws-cdk-lib';
import { Effect, PolicyDocument, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  ApplicationLogLevel,
  type Code,
  Function,
  LoggingFormat,
  Runtime,
  SystemLogLevel,
} from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import { catalogued } from '../catalogue.ts';
import { physicalName, type Stage } from '../stages.ts';

export interface RustFunctionProps {
  readonly stage: Stage;
  /** The folder under `functions/`, which is also the package, the binary and the key here. */
  readonly name: string;
  readonly code: Code;
  readonly environment: Readonly<Record<string, string>>;
  /** Where the stage's own is not enough. */
  readonly timeout?: Duration;
  /**
   * How many copies may run at once, for a function that strangers call: what they can take of
   * the account's concurrency, and what they can cost. Never for a task behind a queue.
   */
  readonly ceiling?: number | undefined;
  /** Why no dead-letter queue is needed, for a function that is invoked asynchronously. */
  readonly withoutDlq?: string;
  /** What the function may do besides writing its own log, one service to a key. */
  readonly may: Readonly<Record<string, PolicyStatement[]>>;
}

/**
 * One Rust binary as a function with its own role and its own log group.
 *
 * The role is written here by hand, and no construct may add to it: what a function is
 * allowed to do is read in one place, and is no more than the calls it makes.
 */
export class RustFunction extends Construct {
  readonly name: string;
  readonly function: Function;
  readonly functionName: string;
  readonly roleArn: string;

  constructor(scope: Construct, id: string, props: RustFunctionProps) {
    super(scope, id);
    const { stage } = props;
    this.name = props.name;
    this.functionName = physicalName(stage, props.name);

    const logGroup = new LogGroup(this, 'Log', {
      logGroupName: `/aws/lambda/${this.functionName}`,
      retention: stage.logRetention,
      removalPolicy: RemovalPolicy.DESTROY,
    });

    const inlinePolicies = {
      log: document(allow(['logs:CreateLogStream', 'logs:PutLogEvents'], [logGroup.logGroupArn])),
      ...Object.fromEntries(Object.entries(props.may).map(([name, statements]) => [name, document(...statements)])),
    };
    const role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `What ${this.functionName} may do`,
      inlinePolicies,
    });

    this.roleArn = role.roleArn;
    this.function = new Function(this, 'Function', {
      functionName: this.functionName,
      description: catalogued(props.name).purpose,
      runtime: Runtime.PROVIDED_AL2023,
      architecture: stage.architecture,
      handler: 'bootstrap',
      code: props.code,
      // A tenth of it is used (docs/PERFORMANCE.md, peak memory), but memory buys CPU: 256 MB
      // are a seventh of a core. Start-up is the one time that is felt; half the memory makes it
      // twice as long, twice as much saves milliseconds that no customer waits for, and the bill
      // hardly changes either way (docs/COST.md has 128 MB beside it).
      memorySize: 256,
      timeout: props.timeout ?? stage.functionTimeout,
      ...(props.ceiling !== undefined && { reservedConcurrentExecutions: props.ceiling }),
      role: role.withoutPolicyUpdates(),
      logGroup,
      loggingFormat: LoggingFormat.JSON,
      applicationLogLevelV2: ApplicationLogLevel.INFO,
      systemLogLevelV2: SystemLogLevel.WARN,
      environment: {
        STAGE: stage.name,
        LIVEMODE: String(stage.livemode),
        ...props.environment,
      },
    });

    acknowledge(this, {
      'Serverless-LambdaDLQ':
        props.withoutDlq ?? 'Nothing invokes it asynchronously: a queue or a function URL waits for the answer.',
      'Serverless-LambdaTracing': 'Stripe sends no trace to continue; logs and metrics carry the payment id instead.',
    });
  }
}

/** A statement that allows these calls on these resources. */
export function allow(actions: string[], resources: string[], conditions?: Record<string, unknown>): PolicyStatement {
  return new PolicyStatement({ effect: Effect.ALLOW, actions, resources, ...(conditions && { conditions }) });
}

function document(...statements: PolicyStatement[]): PolicyDocument {
  return new PolicyDocument({ statements });
}
