// Long because each function names its variables and grants here, in one place.
import { ArnFormat, CfnOutput, Duration } from 'aws-cdk-lib';
import { EventBus, Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { type Code, FunctionUrlAuthType } from 'aws-cdk-lib/aws-lambda';
import {
  CloudWatchDimensionSource,
  ConfigurationSet,
  ConfigurationSetTlsPolicy,
  EmailSendingEvent,
  EventDestination,
  SuppressionReasons,
} from 'aws-cdk-lib/aws-ses';
import type { Construct } from 'constructs';
import { acknowledge, importedName } from '../acknowledge.ts';
import { assertComplete } from '../catalogue.ts';
import { BusTap } from '../constructs/bus-tap.ts';
import { ClosedBus } from '../constructs/closed-bus.ts';
import { OperatorPolicies } from '../constructs/operator-policies.ts';
import { PartnerSource } from '../constructs/partner-source.ts';
import { output, QueueTask } from '../constructs/queue-task.ts';
import { allow, RustFunction } from '../constructs/rust-function.ts';
import { acquisitions, changesOf, moneyMoved, paymentHistory, sessionAnswered, mailedToCustomers } from '../event-patterns.ts';
import { physicalName, type Stage } from '../stages.ts';
import { type DataStack, SESSION_INDEX } from './data.ts';
import { StageStack } from './stage-stack.ts';

/** The folder of the files bucket that holds what is sold. */
const FILES_FOLDER = 'files/';

/**
 * How many copies of a task that writes tables may run at once: 1300 to 3800 payments a second
 * (docs/SCALING.md). A new table takes about 500; what it throttles comes back, and more copies
 * would only be throttled more.
 */
const TABLE_CONCURRENCY = 10;

export interface PipelineProps {
  readonly stage: Stage;
  readonly data: DataStack;
  /** The built function of a name. */
  readonly code: (name: string) => Code;
}

/** Sources, buses and tasks: all that moves, and nothing that must be kept. */
export class PipelineStack extends StageStack {
  readonly fulfilmentBus: EventBus;
  readonly acquisitionBus: EventBus;
  /** The tasks, and the check of templates: every function behind a queue. */
  readonly tasks: readonly QueueTask[];
  readonly partner?: PartnerSource;
  /** Names as text, for alarms and documents of another stack. */
  readonly names: { readonly webhook: string; readonly downloads: string; readonly configurationSet: string };

  constructor(scope: Construct, props: PipelineProps) {
    const { stage, data } = props;
    super(scope, stage, 'pipeline', {
      description: `Afterlink ${stage.name}: sources, buses, tasks`,
      // A function's URL that is deleted cannot be had again: customers' links and Stripe's
      // destination hang on it, and what is in the dead-letter queues goes with them.
      terminationProtection: stage.protection,
    });

    this.fulfilmentBus = this.bus('Fulfilment', stage);
    this.acquisitionBus = this.bus('Acquisition', stage);
    if (stage.partnerEventSource) {
      const eventSource = stage.partnerEventSource;
      this.partner = new PartnerSource(this, 'Partner', { stage, eventSource, target: this.fulfilmentBus });
    }

    const configurationSetName = this.configurationSet(stage);
    const pages = this.downloads(props);
    const webhook = this.webhook(props);
    this.names = {
      webhook: webhook.functionName,
      downloads: pages.functionName,
      configurationSet: configurationSetName,
    };
    this.tasks = [
      this.thankYouEmail(props, configurationSetName, pages.url),
      this.contributionRecords(props),
      this.softOptIns(props),
      this.acquisitionEvents(props),
      this.wordingCheck(props, configurationSetName),
    ];
    const reconcile = this.reconcile(props);
    const functions = this.node.findAll().filter((construct) => construct instanceof RustFunction);
    assertComplete(functions.map(({ name }) => name));
    // The local cloud has no bus policies.
    if (stage.name !== 'local') {
      const roles = [webhook.roleArn, reconcile.roleArn, ...(this.partner ? [this.partner.roleArn] : [])];
      new ClosedBus(this, 'ClosedFulfilmentBus', { stage, bus: this.fulfilmentBus, roles });
    }
    new OperatorPolicies(this, 'Operator', {
      stage,
      data,
      bus: this.fulfilmentBus,
      queues: this.tasks.map(({ queue }) => queue),
      deadLetterQueues: [...this.tasks.map(({ dlq }) => dlq), ...(this.partner ? [this.partner.dlq] : [])],
      functions: functions.map((construct) => construct.function),
      secretArn: (name) => this.secretArn(name),
      mail: this.allowMail(stage, configurationSetName),
    });
    if (stage.name === 'local') {
      const tap = new BusTap(this, 'AcquisitionTap', {
        stage,
        of: 'acquisition-bus',
        bus: this.acquisitionBus,
        pattern: acquisitions(),
      });
      new CfnOutput(this, 'AcquisitionBusQueueUrl', { value: tap.queueUrl });
    }
    // What the operator's command line cannot know otherwise.
    new CfnOutput(this, 'Livemode', { value: String(stage.livemode) });
    new CfnOutput(this, 'SupporterNamespace', { value: stage.supporterNamespace });
    new CfnOutput(this, 'MailIdentity', { value: stage.mail.identity });
    new CfnOutput(this, 'MailSender', { value: mailbox(stage.mail.organisation, stage.mail.address) });
    new CfnOutput(this, 'MailConfigurationSet', { value: configurationSetName });
    new CfnOutput(this, 'PagesUrl', { value: pages.url });
    if (stage.partnerEventSource) new CfnOutput(this, 'PartnerEventSource', { value: stage.partnerEventSource });
    this.addStackDependency(data);
  }

  private webhook({ stage, code }: PipelineProps): RustFunction {
    const name = 'stripe-webhook';
    const webhook = new RustFunction(this, 'StripeWebhook', {
      stage,
      name,
      code: code(name),
      ceiling: stage.publicConcurrency,
      environment: {
        FULFILMENT_BUS: this.fulfilmentBus.eventBusName,
        SIGNING_SECRET_NAME: stage.signingSecretName,
      },
      may: {
        bus: [allow(['events:PutEvents'], [this.fulfilmentBus.eventBusArn])],
        secret: [allow(['secretsmanager:GetSecretValue'], [this.secretArn(stage.signingSecretName)])],
      },
    });
    // Anyone may knock: the signature decides, and the function answers 405 to what is no POST.
    const { url } = webhook.function.addFunctionUrl({ authType: FunctionUrlAuthType.NONE });
    new CfnOutput(this, 'WebhookUrl', { value: url });
    output(this, name, 'FunctionName', webhook.functionName);
    return webhook;
  }

  /** The pages customers see after paying, and the way to their files. */
  private downloads({ stage, data, code }: PipelineProps): { functionName: string; url: string } {
    const name = 'downloads';
    const downloads = new RustFunction(this, 'Downloads', {
      stage,
      name,
      code: code(name),
      ceiling: stage.publicConcurrency,
      environment: {
        CONTRIBUTIONS_TABLE: data.contributions.tableName,
        EFFECTS_TABLE: data.effects.tableName,
        ...this.purchases(stage, data, stage.stripePagesKeySecretName),
        ...(stage.originSecretName && { ORIGIN_SECRET_NAME: stage.originSecretName }),
      },
      may: {
        records: [
          allow(['dynamodb:GetItem'], [data.contributions.tableArn]),
          allow(['dynamodb:Query'], [`${data.contributions.tableArn}/index/${SESSION_INDEX}`]),
          allow(['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem'], [data.downloads.tableArn]),
        ],
        // Whether there was a record, and what it may lack.
        ledger: [allow(['dynamodb:Query'], [data.effects.tableArn])],
        // The addresses it makes for customers can do no more than it can itself.
        files: [allow(['s3:GetObject'], [data.files.arnForObjects(`${FILES_FOLDER}*`)])],
        secrets: [
          this.allowPurchaseSecrets(stage, stage.stripePagesKeySecretName),
          ...(stage.originSecretName
            ? [allow(['secretsmanager:GetSecretValue'], [this.secretArn(stage.originSecretName)])]
            : []),
        ],
      },
    });
    this.acknowledgeFiles(downloads, data);
    // Customers come without credentials: the token in the address decides.
    const { url } = downloads.function.addFunctionUrl({ authType: FunctionUrlAuthType.NONE });
    new CfnOutput(this, 'DownloadsUrl', { value: url });
    output(this, name, 'FunctionName', downloads.functionName);
    return { functionName: downloads.functionName, url: stage.pagesUrl ?? url };
  }

  /** What reading a purchase takes. */
  private purchases(stage: Stage, data: DataStack, stripeKeySecretName: string): Record<string, string> {
    return {
      DOWNLOADS_TABLE: data.downloads.tableName,
      FILES_BUCKET: data.files.bucketName,
      TOKEN_KEYS_SECRET_NAME: stage.tokenKeysSecretName,
      ...this.stripe(stage, stripeKeySecretName),
    };
  }

  /** What it takes to ask Stripe about a payment or a subscription. */
  private stripe(stage: Stage, stripeKeySecretName = stage.stripeKeySecretName): Record<string, string> {
    return {
      STRIPE_KEY_SECRET_NAME: stripeKeySecretName,
      ...(stage.stripeApiBaseUrl && { STRIPE_API_BASE_URL: stage.stripeApiBaseUrl }),
    };
  }

  private allowStripeKey(stage: Stage): PolicyStatement {
    return allow(['secretsmanager:GetSecretValue'], [this.secretArn(stage.stripeKeySecretName)]);
  }

  private allowPurchaseSecrets(stage: Stage, stripeKeySecretName: string): PolicyStatement {
    const names = [stage.tokenKeysSecretName, stripeKeySecretName];
    return allow(
      ['secretsmanager:GetSecretValue'],
      names.map((name) => this.secretArn(name)),
    );
  }

  private acknowledgeFiles(function_: Construct, data: DataStack): void {
    acknowledge(function_, {
      [`AwsSolutions-IAM5[Resource::${importedName(data, data.files.bucketArn)}/${FILES_FOLDER}*]`]:
        'What is sold is named by the marketers: the whole folder is theirs.',
    });
  }

  private thankYouEmail(
    { stage, data, code }: PipelineProps,
    configurationSetName: string,
    pagesUrl: string,
  ): QueueTask {
    const name = 'thank-you-email';
    const { organisation, address } = stage.mail;
    const task = new QueueTask(this, 'ThankYouEmail', {
      stage,
      name,
      code: code(name),
      impact: 'People who paid get no thank-you mail, or not in time.',
      bus: this.fulfilmentBus,
      pattern: mailedToCustomers(stage),
      // Enough for ten times the 14 mails a second at which SES starts accounts, so that a
      // raised rate is used without a deployment (docs/SCALING.md).
      maxConcurrency: 5,
      environment: {
        EFFECTS_TABLE: data.effects.tableName,
        SENDER: mailbox(organisation, address),
        CONFIGURATION_SET: configurationSetName,
        TEMPLATES_BUCKET: data.templates.bucketName,
        PAGES_URL: pagesUrl,
        ...this.purchases(stage, data, stage.stripeKeySecretName),
      },
      may: {
        ledger: [allow(['dynamodb:UpdateItem', 'dynamodb:Query'], [data.effects.tableArn])],
        purchases: [
          allow(['dynamodb:GetItem', 'dynamodb:PutItem'], [data.downloads.tableArn]),
          // Only to see whether a file is there.
          allow(['s3:GetObject'], [data.files.arnForObjects(`${FILES_FOLDER}*`)]),
        ],
        secrets: [this.allowPurchaseSecrets(stage, stage.stripeKeySecretName)],
        mail: [this.allowMail(stage, configurationSetName)],
        wording: [
          allow(['s3:ListBucket'], [data.templates.bucketArn]),
          allow(['s3:GetObject'], [data.templates.arnForObjects('*')]),
        ],
      },
    });
    this.acknowledgeMail(task, stage, data);
    this.acknowledgeFiles(task, data);
    return task;
  }

  /** Who mails and reads templates. */
  private acknowledgeMail(function_: Construct, stage: Stage, data: DataStack): void {
    acknowledge(function_, {
      [`AwsSolutions-IAM5[Resource::${importedName(data, data.templates.bucketArn)}/*]`]:
        'A marketer names templates and languages as they come: the whole bucket is theirs.',
    });
    if (stage.name !== 'local') return;
    const reason = 'The local cloud judges SendEmail on every resource only.';
    acknowledge(function_, { 'AwsSolutions-IAM5[Resource::*]': reason, 'Serverless-LambdaStarPermissions': reason });
  }

  /** Checks what marketers upload. It reads their bucket, writes nowhere and knows no payment. */
  private wordingCheck({ stage, data, code }: PipelineProps, configurationSetName: string): QueueTask {
    const name = 'wording-check';
    const { organisation, address } = stage.mail;
    const task = new QueueTask(this, 'WordingCheck', {
      stage,
      name,
      code: code(name),
      impact: 'Templates that marketers upload are not checked, and their owners get no mail about them.',
      pattern: changesOf(data.templates.bucketName),
      delay: stage.uploadDelay,
      // The fewest that a mapping may have: uploads are rare, and no customer waits for their check.
      maxConcurrency: 2,
      environment: {
        SENDER: mailbox(organisation, address),
        CONFIGURATION_SET: configurationSetName,
        TEMPLATES_BUCKET: data.templates.bucketName,
      },
      may: {
        mail: [this.allowMail(stage, configurationSetName)],
        wording: [
          allow(['s3:ListBucket'], [data.templates.bucketArn]),
          allow(['s3:GetObject'], [data.templates.arnForObjects('*')]),
        ],
      },
    });
    this.acknowledgeMail(task, stage, data);
    return task;
  }

  /** Mail from the one address, over the one configuration set. */
  private allowMail(stage: Stage, configurationSetName: string): PolicyStatement {
    // The local cloud knows neither the resource nor the sender of a SendEmail call.
    if (stage.name === 'local') return allow(['ses:SendEmail'], ['*']);

    const { address, identity, sandboxRecipients = [] } = stage.mail;
    const arn = (resource: string, resourceName: string) => this.formatArn({ service: 'ses', resource, resourceName });
    return allow(
      ['ses:SendEmail'],
      [
        // SES judges a mail by the identity that is closest to its sender: the address itself, where
        // it is verified too. https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html
        ...new Set([arn('identity', identity), arn('identity', address)]),
        arn('configuration-set', configurationSetName),
        ...sandboxRecipients.map((recipient) => arn('identity', recipient)),
      ],
      { StringEquals: { 'ses:FromAddress': address } },
    );
  }

  private contributionRecords({ stage, data, code }: PipelineProps): QueueTask {
    const name = 'contribution-records';
    return new QueueTask(this, 'ContributionRecords', {
      stage,
      name,
      code: code(name),
      impact: 'Payments, refunds or disputes are missing from the contribution and supporter records.',
      bus: this.fulfilmentBus,
      pattern: paymentHistory(stage),
      maxConcurrency: TABLE_CONCURRENCY,
      environment: {
        CONTRIBUTIONS_TABLE: data.contributions.tableName,
        SUPPORTERS_TABLE: data.supporters.tableName,
        EFFECTS_TABLE: data.effects.tableName,
        SUPPORTER_NAMESPACE: stage.supporterNamespace,
        ...this.stripe(stage),
      },
      may: {
        // A transaction is authorised as the single operations in it.
        records: [
          allow(['dynamodb:PutItem'], [data.contributions.tableArn]),
          allow(['dynamodb:PutItem', 'dynamodb:DeleteItem'], [data.supporters.tableArn]),
          allow(['dynamodb:UpdateItem', 'dynamodb:Query'], [data.effects.tableArn]),
        ],
        secret: [this.allowStripeKey(stage)],
      },
    });
  }

  private softOptIns({ stage, data, code }: PipelineProps): QueueTask {
    const name = 'soft-opt-ins';
    return new QueueTask(this, 'SoftOptIns', {
      stage,
      name,
      code: code(name),
      impact: 'What customers answered about marketing is not recorded: they may be written to against their word.',
      bus: this.fulfilmentBus,
      pattern: sessionAnswered(stage),
      maxConcurrency: TABLE_CONCURRENCY,
      environment: {
        CONSENTS_TABLE: data.consents.tableName,
        EFFECTS_TABLE: data.effects.tableName,
        SUPPORTER_NAMESPACE: stage.supporterNamespace,
      },
      may: {
        // One transaction; no record is read before it is written.
        records: [
          allow(['dynamodb:PutItem'], [data.consents.tableArn]),
          // Queried for the former key of a subscription's payment.
          allow(['dynamodb:UpdateItem', 'dynamodb:Query'], [data.effects.tableArn]),
        ],
      },
    });
  }

  private acquisitionEvents({ stage, data, code }: PipelineProps): QueueTask {
    const name = 'acquisition-events';
    return new QueueTask(this, 'AcquisitionEvents', {
      stage,
      name,
      code: code(name),
      impact: 'Analysts miss payments, refunds or disputes: their revenue is wrong until these are published.',
      // An event may be published twice: its id is the same, and consumers drop it.
      bus: this.fulfilmentBus,
      pattern: moneyMoved(stage),
      maxConcurrency: TABLE_CONCURRENCY,
      environment: {
        EFFECTS_TABLE: data.effects.tableName,
        ACQUISITION_BUS: this.acquisitionBus.eventBusName,
        SUPPORTER_NAMESPACE: stage.supporterNamespace,
        ...this.stripe(stage),
      },
      may: {
        ledger: [allow(['dynamodb:UpdateItem', 'dynamodb:Query'], [data.effects.tableArn])],
        bus: [allow(['events:PutEvents'], [this.acquisitionBus.eventBusArn])],
        secret: [this.allowStripeKey(stage)],
      },
    });
  }

  private reconcile({ stage, data, code }: PipelineProps): RustFunction {
    const name = 'reconcile';
    const nextRun = 'A run that is lost or fails is made up for by the next, from where the last one came to.';
    const reconcile = new RustFunction(this, 'Reconcile', {
      stage,
      name,
      code: code(name),
      // Many pages of Stripe's, and a minute in hand for a slow one.
      timeout: Duration.minutes(5),
      withoutDlq: nextRun,
      environment: {
        EFFECTS_TABLE: data.effects.tableName,
        RECONCILIATION_TABLE: data.reconciliation.tableName,
        FULFILMENT_BUS: this.fulfilmentBus.eventBusName,
        ...this.stripe(stage),
        LAG_SECONDS: String(stage.reconcile.lag.toSeconds()),
        OVERLAP_SECONDS: String(stage.reconcile.overlap.toSeconds()),
      },
      may: {
        ledger: [allow(['dynamodb:Query'], [data.effects.tableArn])],
        journal: [
          allow(
            ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:DeleteItem', 'dynamodb:Query'],
            [data.reconciliation.tableArn],
          ),
        ],
        bus: [allow(['events:PutEvents'], [this.fulfilmentBus.eventBusArn])],
        secret: [this.allowStripeKey(stage)],
      },
    });
    output(this, name, 'FunctionName', reconcile.functionName);
    const { every } = stage.reconcile;
    if (!every) return reconcile;
    // Two runs at once are harmless and a waste: one that failed is not tried again before its time.
    reconcile.function.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: every });
    const schedule = new Rule(this, 'ReconcileSchedule', {
      ruleName: physicalName(stage, name),
      description: 'When reconcile runs',
      schedule: Schedule.rate(every),
      targets: [new LambdaFunction(reconcile.function, { retryAttempts: 0, maxEventAge: every })],
    });
    acknowledge(reconcile, { 'Serverless-LambdaAsyncFailureDestination': nextRun });
    acknowledge(schedule, { 'Serverless-EventBusDLQ': nextRun });
    return reconcile;
  }

  /** Counts bounces and complaints, and stops mail to addresses that produced one. */
  private configurationSet(stage: Stage): string {
    const configurationSetName = physicalName(stage, 'mail');
    const set = new ConfigurationSet(this, 'MailConfiguration', {
      configurationSetName,
      reputationMetrics: true,
      suppressionReasons: SuppressionReasons.BOUNCES_AND_COMPLAINTS,
      // Mails carry links to what was bought: to a server without TLS they are not sent, and bounce.
      tlsPolicy: ConfigurationSetTlsPolicy.REQUIRE,
    });
    set.addEventDestination('Metrics', {
      destination: EventDestination.cloudWatchDimensions([
        {
          // SES tags every mail with its configuration set by itself.
          source: CloudWatchDimensionSource.MESSAGE_TAG,
          name: 'ses:configuration-set',
          defaultValue: configurationSetName,
        },
      ]),
      events: [
        EmailSendingEvent.SEND,
        EmailSendingEvent.DELIVERY,
        EmailSendingEvent.REJECT,
        EmailSendingEvent.BOUNCE,
        EmailSendingEvent.COMPLAINT,
      ],
    });
    return configurationSetName;
  }

  /** Secrets Manager appends six characters of its own to the name. */
  private secretArn(name: string): string {
    const resourceName = `${name}-??????`;
    return this.formatArn({
      service: 'secretsmanager',
      resource: 'secret',
      resourceName,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
  }

  private bus(id: string, stage: Stage): EventBus {
    const bus = new EventBus(this, `${id}Bus`, { eventBusName: physicalName(stage, id.toLowerCase()) });
    new CfnOutput(this, `${id}BusName`, { value: bus.eventBusName });
    return bus;
  }
}

/** A From header value: `Example Project <thanks@example.org>`, quoted or encoded where the name needs it. */
export function mailbox(name: string, address: string): string {
  return `${phrase(name)} <${address}>`;
}

function phrase(name: string): string {
  if (/^[\w !#$%&'*+/=?^`{|}~-]+$/.test(name)) return name;
  if (/^[\x20-\x7e]+$/.test(name)) return `"${name.replace(/["\\]/g, '\\$&')}"`;
  // RFC 2047: SES takes ASCII only, and an encoded word has at most 75 characters.
  const encoded = `=?UTF-8?B?${Buffer.from(name).toString('base64')}?=`;
  if (encoded.length > 75) throw new Error(`The organisation "${name}" is too long for the From header.`);
  return encoded;
}
