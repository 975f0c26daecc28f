import { CfnOutput, Duration, RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, ProjectionType, Table } from 'aws-cdk-lib/aws-dynamodb';
import { BlockPublicAccess, Bucket, BucketEncryption, type CfnBucket } from 'aws-cdk-lib/aws-s3';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { EmailIdentity, Identity } from 'aws-cdk-lib/aws-ses';
import type { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import type { Stage } from '../stages.ts';
import { StageStack } from './stage-stack.ts';

/** The index of the contributions by their session. */
export const SESSION_INDEX = 'by_session';

/** The ledger's index of effects that are open. */
export const OPEN_EFFECTS = 'open-effects';

/**
 * What must survive everything else: the records, the marketers' templates, what is sold, the
 * secrets, the mail identity.
 *
 * Tables and buckets are named by CloudFormation. A name of our own would stand in the way of
 * its own replacement, because what is retained keeps its name.
 */
export class DataStack extends StageStack {
  readonly contributions: Table;
  readonly supporters: Table;
  readonly consents: Table;
  readonly effects: Table;
  /** How far reconciliation has come, and what it found missing. */
  readonly reconciliation: Table;
  /** Which files each payment has, and how often they were fetched. */
  readonly downloads: Table;
  readonly templates: Bucket;
  /** What is sold, under `files/`. */
  readonly files: Bucket;
  readonly signingSecret: Secret;
  readonly stripeKey: Secret;
  readonly stripePagesKey: Secret;
  readonly tokenKeys: Secret;

  constructor(scope: Construct, stage: Stage) {
    super(scope, stage, 'data', {
      description: `Afterlink ${stage.name}: records, templates, files, secrets, mail identity`,
      terminationProtection: stage.protection,
    });
    // Kept when the stack goes, but not when the first deployment is rolled back: what has a name
    // of ours would stand in the way of the next one.
    const removalPolicy = stage.durable ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE : RemovalPolicy.DESTROY;
    // A protected table cannot be rolled back: the rollback would fail over it. It stays behind,
    // empty, under a name that CloudFormation made.
    const tableRemovalPolicy = stage.protection ? RemovalPolicy.RETAIN : removalPolicy;

    // DynamoDB encrypts every table; its own key costs nothing and needs no setting.
    const table = (id: string, keys: { partition: string; sort?: string; expiry?: string }) => {
      const made = new Table(this, id, {
        partitionKey: { name: keys.partition, type: AttributeType.STRING },
        ...(keys.sort && { sortKey: { name: keys.sort, type: AttributeType.STRING } }),
        ...(keys.expiry && { timeToLiveAttribute: keys.expiry }),
        billingMode: BillingMode.PAY_PER_REQUEST,
        pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
        deletionProtection: stage.protection,
        removalPolicy: tableRemovalPolicy,
      });
      output(this, `${id}TableName`, made.tableName);
      return made;
    };
    this.contributions = table('Contributions', { partition: 'payment_id', expiry: 'expires_at' });
    // Stripe sends a customer back with the session's id, and the records are kept by payment.
    this.contributions.addGlobalSecondaryIndex({
      indexName: SESSION_INDEX,
      partitionKey: { name: 'session_id', type: AttributeType.STRING },
      projectionType: ProjectionType.KEYS_ONLY,
    });
    this.supporters = table('Supporters', { partition: 'supporter_id', sort: 'payment_id', expiry: 'expires_at' });
    this.consents = table('Consents', { partition: 'supporter_id', sort: 'record' });
    // The ledger never forgets: it is the only place that says what was done. What expires are
    // the rows about refunds and disputes of payments that turned out to be none of ours.
    this.effects = table('Effects', { partition: 'payment_id', sort: 'effect', expiry: 'expires_at' });
    // Sparse: a row has the attribute while its effect is open, so that an operator's question
    // reads what is open and nothing else. docs/adr/0007-open-effects.md
    this.effects.addGlobalSecondaryIndex({
      indexName: OPEN_EFFECTS,
      partitionKey: { name: 'open', type: AttributeType.STRING },
      sortKey: { name: 'effect', type: AttributeType.STRING },
      projectionType: ProjectionType.ALL,
    });

    this.reconciliation = table('Reconciliation', { partition: 'kind', sort: 'name' });

    this.downloads = table('Downloads', { partition: 'payment_id', expiry: 'expires_at' });

    const bucket = (id: string, whyNoAccessLog: string) => {
      const made = new Bucket(this, id, {
        blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
        encryption: BucketEncryption.S3_MANAGED,
        enforceSSL: stage.tlsOnly,
        // What was replaced by mistake can be had back.
        versioned: true,
        lifecycleRules: [
          { noncurrentVersionExpiration: Duration.days(90), abortIncompleteMultipartUploadAfter: Duration.days(7) },
        ],
        removalPolicy,
      });
      acknowledge(made, { 'AwsSolutions-S1': whyNoAccessLog });
      output(this, `${id}BucketName`, made.bucketName);
      return made;
    };
    this.templates = bucket(
      'Templates',
      'It holds the wording of mails, no personal data. Versions show what changed and when.',
    );
    // By the resource's own property: the construct's would add a function and a role that set it. The events are on
    // the account's default bus, so this stack need not know who reacts to them.
    (this.templates.node.defaultChild as CfnBucket).notificationConfiguration = {
      eventBridgeConfiguration: { eventBridgeEnabled: true },
    };
    this.files = bucket(
      'Files',
      "A log would hold the addresses of customers. Who fetched how often is counted in the table of downloads.",
    );

    // Random: what is Stripe's lets nothing pass until the owner puts Stripe's value in. Never change
    // these properties: CloudFormation would make a new value, over Stripe's and over the links' keys.
    const secret = (id: string, secretName: string, description: string, whyNoRotation: string) => {
      const made = new Secret(this, id, {
        secretName,
        description,
        generateSecretString: { passwordLength: 64, excludePunctuation: true },
        removalPolicy,
      });
      acknowledge(made, {
        'AwsSolutions-SMG4': `${whyNoRotation} docs/DEPLOY.md says how to roll it.`,
      });
      output(this, `${id}Name`, secretName);
      return made;
    };
    const stripes = 'Stripe makes and rolls this secret; AWS cannot.';
    this.signingSecret = secret(
      'SigningSecret',
      stage.signingSecretName,
      "Stripe's webhook signing secrets (whsec_...), separated by white space",
      stripes,
    );
    this.stripeKey = secret(
      'StripeKey',
      stage.stripeKeySecretName,
      "A restricted key of Stripe's API (rk_...) with read permissions only",
      stripes,
    );
    this.stripePagesKey = secret(
      'StripePagesKey',
      stage.stripePagesKeySecretName,
      "A restricted key of Stripe's API (rk_...) for the customers' pages, with fewer read permissions",
      stripes,
    );
    this.tokenKeys = secret(
      'TokenKeys',
      stage.tokenKeysSecretName,
      "The keys that sign customers' download links, one to a line: the first signs, all verify",
      'A key that is replaced must stay as long as links that it signed are in use.',
    );

    if (stage.mail.createIdentity) this.mailIdentity(stage);
  }

  /**
   * Kept in every stage but the local one: an identity is the account's, and another stage may
   * send from the same domain. A first deployment that is rolled back takes it along.
   */
  private mailIdentity(stage: Stage): void {
    const { identity } = stage.mail;
    const made = new EmailIdentity(this, 'MailIdentity', {
      identity: identity.includes('@') ? Identity.email(identity) : Identity.domain(identity),
    });
    made.applyRemovalPolicy(
      stage.name === 'local' ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    );
    // The local cloud verifies every identity and has no DNS to publish keys in.
    if (stage.name === 'local' || identity.includes('@')) return;
    made.dkimRecords.forEach(({ name, value }, index) => {
      output(this, `DkimRecord${index + 1}`, `${name} CNAME ${value}`);
    });
  }
}

function output(stack: StageStack, id: string, value: string): void {
  new CfnOutput(stack, id, { value });
}
