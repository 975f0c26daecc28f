import { Duration, type Environment } from 'aws-cdk-lib';
import { Architecture } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { thanksRenewals } from './policy.ts';

export const STAGE_NAMES = ['local', 'test', 'live'] as const;
export type StageName = (typeof STAGE_NAMES)[number];

/**
 * Everything that differs between one deployment and another.
 *
 * A stage is a value in the code, not a CloudFormation parameter: what will be
 * deployed can be read, reviewed and tested before it is.
 */
export interface Stage {
  readonly name: StageName;
  /** Which half of Stripe this stage listens to: live payments, or test mode. */
  readonly livemode: boolean;
  /** Account and region. Without it the stage goes wherever the AWS credentials point. */
  readonly env?: Environment;
  readonly mail: Mail;
  /**
   * The Stripe event destination's partner event source, `aws.partner/stripe.com/ed_…`.
   * Without it events come through the webhook only.
   */
  readonly partnerEventSource?: string;
  /** The Secrets Manager secret with Stripe's webhook signing secrets, by name. */
  readonly signingSecretName: string;
  /** The Secrets Manager secret with Stripe's restricted, read-only key, by name. */
  readonly stripeKeySecretName: string;
  /**
   * The secret with the key of the customers' pages, by name. They are open to the internet, so
   * theirs reads less than reconciliation's.
   */
  readonly stripePagesKeySecretName: string;
  /** The secret with the keys that sign customers' download links, by name: one to a line, the first signs. */
  readonly tokenKeysSecretName: string;
  /**
   * Where customers find the pages, `https://shop.example.org`, when a domain of your own leads
   * to the function's URL. Without it mails carry the function's URL itself.
   */
  readonly pagesUrl?: string;
  /**
   * Whether the mails' rule lets the renewals of subscriptions through. `policy.toml` says whether
   * any kind is thanked for them.
   */
  readonly thanksRenewals?: boolean;
  /** Where Stripe's API is, if not at Stripe. Refused where there is real money. */
  readonly stripeApiBaseUrl?: string;
  readonly reconcile: Reconcile;
  /**
   * The UUID that supporter ids are derived in. Choose one for each deployment and never
   * change it: another namespace makes another supporter of everyone.
   */
  readonly supporterNamespace: string;
  readonly logRetention: RetentionDays;
  /** Whether the records outlive the stack: retained when it goes. */
  readonly durable: boolean;
  /**
   * Whether stacks and tables refuse to be deleted. Off for a stage's first deployment
   * (`-c protection=off`), so that one that fails can be repeated; docs/DEPLOY.md, step 7.
   */
  readonly protection: boolean;
  /**
   * How many requests the webhook and the pages each answer at once, at most. Strangers may call
   * both, and without a ceiling they could use up the account's concurrency, which the tasks need.
   * AWS keeps 100 of the account's limit unreserved, so a limit of 140 is needed for 20.
   */
  readonly publicConcurrency?: number;
  /**
   * The secret with what CloudFront sends in the header `x-afterlink-origin`, by name. With it
   * the pages answer no request that did not come through CloudFront. Needs `pagesUrl`.
   */
  readonly originSecretName?: string;
  /**
   * The roles that may put events on the fulfilment bus besides the functions, as ARNs with `*`:
   * the operators whose `afterlink reconcile` puts back what is missing.
   */
  readonly operatorRoles?: readonly string[];
  /** Where alarms are sent. Only a stage with an operations stack has it. */
  readonly alarmEmail?: string;
  /**
   * After how many hours without a paid session an alarm fires, at most 168. Choose more than
   * the quietest night lasts. Without it none does: where payments are rare, silence means nothing.
   */
  readonly silenceHours?: number;
  /** How long an uploaded template waits for the other files of its folder, before it is checked. */
  readonly uploadDelay: Duration;
  /** How long a message waits after its first and its later failures, and at what age it is given up. */
  readonly retry: { readonly base: Duration; readonly cap: Duration; readonly giveUp: Duration };
  /**
   * A claim, a mail and its settlement fit into 30 seconds with all their timeouts at their
   * worst (9 + 8 + 9), and 1.5 more to answer for the batch. Warm, a batch of ten takes a
   * hundredth of it.
   */
  readonly functionTimeout: Duration;
  readonly architecture: Architecture;
  /**
   * Whether queues and buckets refuse plain HTTP. Only the local cloud, which speaks
   * nothing else on loopback, leaves the statement out.
   */
  readonly tlsOnly: boolean;
}

export interface Reconcile {
  /** How often it runs. Without it, only when an operator invokes it. */
  readonly every?: Duration;
  /** What happened within this time is left to live traffic. Never less than a minute. */
  readonly lag: Duration;
  /** How far before the last run's end it looks again, because Stripe's lists show some events late. */
  readonly overlap: Duration;
}

export interface Mail {
  /** The name people see in their inbox. */
  readonly organisation: string;
  readonly address: string;
  /** The SES identity the address belongs to: its domain, or the address itself. */
  readonly identity: string;
  /** Whether this app creates the identity. False when the account already has it. */
  readonly createIdentity: boolean;
  /**
   * Verified recipients of an account in the SES sandbox, which also asks for permission on
   * the recipient's identity. Leave it out once the account has production access.
   */
  readonly sandboxRecipients?: readonly string[];
}

const deployed = {
  durable: true,
  protection: true,
  uploadDelay: Duration.seconds(20),
  retry: { base: Duration.seconds(30), cap: Duration.hours(1), giveUp: Duration.hours(10) },
  functionTimeout: Duration.seconds(30),
  reconcile: { every: Duration.minutes(15), lag: Duration.minutes(5), overlap: Duration.minutes(15) },
  architecture: Architecture.ARM_64,
  tlsOnly: true,
} as const;

export const stages: Readonly<Record<StageName, Stage>> = {
  local: {
    name: 'local',
    livemode: false,
    env: { account: '000000000000', region: 'us-east-1' },
    mail: {
      organisation: 'Example Project',
      address: 'thanks@example.org',
      identity: 'example.org',
      createIdentity: true,
    },
    signingSecretName: 'afterlink/local/stripe-signing-secret',
    stripeKeySecretName: 'afterlink/local/stripe-key',
    stripePagesKeySecretName: 'afterlink/local/stripe-key-pages',
    tokenKeysSecretName: 'afterlink/local/download-token-keys',
    // Invoked by tests and people, who decide when.
    reconcile: { lag: Duration.minutes(1), overlap: Duration.minutes(10) },
    supporterNamespace: '5d0f7c1e-6f0e-4c39-9c55-0c2c6f1f2a10',
    logRetention: RetentionDays.ONE_DAY,
    durable: false,
    protection: false,
    uploadDelay: Duration.seconds(2),
    // Short enough that a person watching, or a test, sees a retry happen.
    retry: { base: Duration.seconds(1), cap: Duration.seconds(5), giveUp: Duration.seconds(75) },
    functionTimeout: Duration.seconds(10),
    architecture: Architecture.X86_64,
    tlsOnly: false,
  },
  test: {
    ...deployed,
    name: 'test',
    livemode: false,
    mail: {
      organisation: 'Example Project (test)',
      address: 'thanks@test.example.org',
      identity: 'test.example.org',
      createIdentity: true,
      sandboxRecipients: ['you@example.org'],
    },
    signingSecretName: 'afterlink/test/stripe-signing-secret',
    stripeKeySecretName: 'afterlink/test/stripe-key',
    stripePagesKeySecretName: 'afterlink/test/stripe-key-pages',
    tokenKeysSecretName: 'afterlink/test/download-token-keys',
    supporterNamespace: 'eeeeeeee-0000-4000-8000-000000000001',
    logRetention: RetentionDays.ONE_MONTH,
    // Test payments are in no books: the stage can be thrown away and made again.
    durable: false,
    protection: false,
    // No publicConcurrency: a new account has ten in all, of which AWS lets none be reserved.
    alarmEmail: 'engineers@example.org',
  },
  live: {
    ...deployed,
    name: 'live',
    livemode: true,
    mail: {
      organisation: 'Example Project',
      address: 'thanks@example.org',
      identity: 'example.org',
      createIdentity: true,
    },
    partnerEventSource: 'aws.partner/stripe.com/ed_EXAMPLE',
    signingSecretName: 'afterlink/live/stripe-signing-secret',
    stripeKeySecretName: 'afterlink/live/stripe-key',
    stripePagesKeySecretName: 'afterlink/live/stripe-key-pages',
    tokenKeysSecretName: 'afterlink/live/download-token-keys',
    supporterNamespace: 'eeeeeeee-0000-4000-8000-000000000002',
    logRetention: RetentionDays.THREE_MONTHS,
    publicConcurrency: 20,
    alarmEmail: 'engineers@example.org',
    silenceHours: 24,
  },
};

/** The stage of that name, which was given with `option`. */
export function stageFrom(given: unknown, option: string): Stage {
  const name = STAGE_NAMES.find((candidate) => candidate === given);
  if (name === undefined) {
    const trouble = given === undefined ? 'No stage was given' : `There is no stage "${String(given)}"`;
    throw new Error(`${trouble}. Say which with ${option}${STAGE_NAMES.join('|')}.`);
  }
  return stages[name];
}

/** The stage with Stripe's API played by something else, which only the local cloud has. */
export function withStripeApi(stage: Stage, url: unknown): Stage {
  if (url === undefined) return stage;
  if (stage.name !== 'local') throw new Error(`Stage ${stage.name} asks Stripe itself: leave out -c stripeApi=.`);
  return { ...stage, stripeApiBaseUrl: String(url) };
}

/** The stage with what the business decided, as far as the infrastructure depends on it. */
export function withPolicy(stage: Stage, policy: string): Stage {
  return thanksRenewals(policy) ? { ...stage, thanksRenewals: true } : stage;
}

/** The stage without what protects it from deletion, for its first deployment. */
export function withProtection(stage: Stage, given: unknown): Stage {
  if (given === undefined || given === 'on') return stage;
  if (given !== 'off') throw new Error(`There is no protection "${String(given)}": say -c protection=off, or leave it out.`);
  return { ...stage, protection: false };
}

/** Names in the account, so that people meet the same words in alarms, consoles and logs. */
export function physicalName(stage: Stage, ...parts: string[]): string {
  return ['afterlink', stage.name, ...parts].join('-');
}

const EXAMPLE = /example\.(org|com|net)$|^eeeeeeee-|_EXAMPLE$|^you@/;

/** The values of a stage that are still the example's, by their path in this file. */
export function exampleValues(stage: Stage): string[] {
  if (stage.name === 'local') return [];
  const isExample = (value: string) => EXAMPLE.test(value);
  const values: Record<string, string | undefined> = {
    'mail.organisation': stage.mail.organisation.startsWith('Example Project') ? 'example.org' : undefined,
    'mail.address': stage.mail.address,
    'mail.identity': stage.mail.identity,
    'mail.sandboxRecipients': stage.mail.sandboxRecipients?.find(isExample),
    partnerEventSource: stage.partnerEventSource,
    pagesUrl: stage.pagesUrl && new URL(stage.pagesUrl).hostname,
    supporterNamespace: stage.supporterNamespace,
    alarmEmail: stage.alarmEmail,
  };
  return Object.keys(values).filter((key) => values[key] !== undefined && isExample(values[key]));
}
