import type { Synthesized } from './synthesized.ts';

// biome-ignore lint: a template is JSON of any shape.
type Json = any;

/**
 * What a reviewer looks at in a stage's templates, a line each: resources that hold data, what each role may do, rules,
 * alarms, mappings, outputs. The rest is asserted one by one in the other tests.
 */
export function review(synthesized: Synthesized): string {
  const sections = Object.entries(synthesized.templates).flatMap(([stack, template]) => {
    const resources = Object.entries(template.Resources as Record<string, Json>);
    const lines = resources.flatMap(([id, resource]) => resourceLines(shortId(id), resource)).sort();
    const outputs = Object.entries((template.Outputs ?? {}) as Record<string, Json>);
    const ours = outputs.filter(([id]) => !id.startsWith('ExportsOutput'));
    const names = ours.map(([id, { Value }]) => `output ${shortId(id)} = ${shown(Value)}`).sort();
    return [`# ${stack}`, ...lines, ...names, ''];
  });
  return `${sections.join('\n').trimEnd()}\n`;
}

function resourceLines(id: string, { Type, Properties = {}, DeletionPolicy, UpdateReplacePolicy }: Json): string[] {
  const kept = [DeletionPolicy && `deleted: ${DeletionPolicy}`, UpdateReplacePolicy && `replaced: ${UpdateReplacePolicy}`];
  const fate = kept.filter(Boolean).join(', ');
  switch (Type) {
    case 'AWS::IAM::Role':
      return [
        `role ${id} for ${shown(Properties.AssumeRolePolicyDocument.Statement[0].Principal)}`,
        ...(Properties.ManagedPolicyArns ?? []).map((arn: Json) => `role ${id} has ${shown(arn)}`),
        ...(Properties.Policies ?? []).flatMap(({ PolicyName, PolicyDocument }: Json) =>
          PolicyDocument.Statement.map((statement: Json) => `role ${id} ${PolicyName}: ${statementLine(statement)}`),
        ),
      ];
    case 'AWS::IAM::ManagedPolicy':
    case 'AWS::IAM::Policy':
    case 'AWS::SQS::QueuePolicy':
    case 'AWS::S3::BucketPolicy':
    case 'AWS::SNS::TopicPolicy':
      return Properties.PolicyDocument.Statement.map(
        (statement: Json) => `policy ${id}: ${statementLine(statement)}`,
      );
    case 'AWS::Events::EventBusPolicy':
      return [`policy ${id}: ${statementLine(Properties.Statement)}`];
    case 'AWS::Lambda::Permission':
      return [`permission ${id}: ${shown(Properties.Principal)} may ${Properties.Action} ${shown(Properties.FunctionName)}`];
    case 'AWS::Events::Rule':
      return [
        `rule ${shown(Properties.Name)} on ${shown(Properties.EventBusName ?? 'default')}: ${shown(Properties.EventPattern ?? Properties.ScheduleExpression)} to ${Properties.Targets.map(({ Arn }: Json) => shown(Arn)).join(', ')}`,
      ];
    case 'AWS::CloudWatch::Alarm': {
      const { MetricName, Metrics, Threshold, ComparisonOperator, EvaluationPeriods, DatapointsToAlarm, Period } = Properties;
      const metric = MetricName ?? (Metrics ?? []).map(({ Expression, MetricStat }: Json) => Expression ?? MetricStat.Metric.MetricName).join(' ');
      const periods = `${DatapointsToAlarm ?? EvaluationPeriods} of ${EvaluationPeriods}${Period ? ` × ${Period} s` : ''}`;
      return [`alarm ${shown(Properties.AlarmName)}: ${metric} ${ComparisonOperator} ${Threshold}, ${periods}, missing: ${Properties.TreatMissingData}`];
    }
    case 'AWS::Lambda::EventSourceMapping':
      return [
        `mapping ${id}: ${shown(Properties.EventSourceArn)} to ${shown(Properties.FunctionName)}, ${Properties.BatchSize} a batch, at most ${Properties.ScalingConfig?.MaximumConcurrency} at once`,
      ];
    case 'AWS::Lambda::Function':
      return [
        `function ${shown(Properties.FunctionName)}: ${Properties.MemorySize} MB, ${Properties.Timeout} s, ${Properties.Architectures}${Properties.ReservedConcurrentExecutions === undefined ? '' : `, at most ${Properties.ReservedConcurrentExecutions} at once`}`,
      ];
    case 'AWS::SQS::Queue':
      return [
        `queue ${shown(Properties.QueueName)}: kept ${Properties.MessageRetentionPeriod} s, visible after ${Properties.VisibilityTimeout ?? 30} s${Properties.RedrivePolicy ? `, given up after ${Properties.RedrivePolicy.maxReceiveCount} receives` : ''}; ${fate}`,
      ];
    case 'AWS::DynamoDB::Table':
      return [`table ${id}: protected ${Properties.DeletionProtectionEnabled ?? false}; ${fate}`];
    case 'AWS::S3::Bucket':
    case 'AWS::SecretsManager::Secret':
    case 'AWS::Logs::LogGroup':
    case 'AWS::Events::Archive':
    case 'AWS::SES::EmailIdentity':
      return [`${Type.split('::').at(-1)} ${id}; ${fate}`];
    default:
      return [`${Type.replace('AWS::', '')} ${id}`];
  }
}

function statementLine({ Effect, Action, NotAction, Resource, Principal, Condition }: Json): string {
  const list = (value: Json) => [value].flat().map(shown).join(' ');
  return [
    Effect === 'Allow' ? 'allow' : 'DENY',
    NotAction ? `all but ${list(NotAction)}` : list(Action),
    Resource && `on ${list(Resource)}`,
    Principal && `to ${shown(Principal)}`,
    Condition && `if ${shown(Condition)}`,
  ]
    .filter(Boolean)
    .join(' ');
}

/** A name of the CDK's without the hash behind it. */
function shortId(id: string): string {
  return id.replace(/[0-9A-F]{8}$/, '');
}

/** A value with CloudFormation's functions written short: `Queue.Arn`, `${AWS::Region}`. */
function shown(value: Json): string {
  if (typeof value === 'string') return value;
  if (value === null || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  const entries = Object.entries(value as Record<string, Json>);
  const [[name, argument] = ['', undefined]] = entries;
  if (entries.length === 1) {
    if (name === 'Ref') return `{${shortId(argument)}}`;
    if (name === 'Fn::GetAtt') return `{${shortId(argument[0])}.${argument[1]}}`;
    if (name === 'Fn::Join') return argument[1].map(shown).join(argument[0]);
    if (name === 'Fn::ImportValue') return `{${shown(argument).replace(/[0-9A-F]{8}(?=Arn|Ref)|[0-9A-F]{8}$/g, '')}}`;
  }
  return `{ ${entries.map(([key, entry]) => `${key}: ${shown(entry)}`).join(', ')} }`;
}
