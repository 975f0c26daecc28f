import { exampleValues, type Stage, stages } from './stages.ts';

/**
 * Regions where Lambda has no function URLs, which the webhook and the pages are.
 * https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html (read November 2026)
 */
const WITHOUT_FUNCTION_URLS: readonly string[] = [
  'ap-east-2',
  'ap-south-2',
  'ap-southeast-4',
  'ap-southeast-5',
  'ap-southeast-6',
  'ap-southeast-7',
  'ca-west-1',
  'eu-central-2',
  'eu-south-2',
  'il-central-1',
  'me-central-1',
];

/** What to put in place of each example, where it is not obvious. */
const ADVICE: Readonly<Record<string, string>> = {
  'mail.organisation': 'put the name that customers see in their inbox',
  'mail.address': 'put the address that thanks your customers',
  'mail.identity': 'put your own domain',
  'mail.sandboxRecipients': 'leave it out: live needs production access in SES',
  partnerEventSource: 'leave it out until Stripe has named one',
  pagesUrl: 'put your own domain, or leave it out',
  supporterNamespace: 'put a new UUID (`uuidgen`), and never change it again',
  alarmEmail: 'put the address of the operators',
};

/** Why a stage cannot be deployed as it is, a sentence each. Empty when it can. */
export function obstacles(stage: Stage): string[] {
  const found: string[] = [];
  const region = stage.env?.region;
  if (region && WITHOUT_FUNCTION_URLS.includes(region)) {
    found.push(
      `env.region: Lambda has no function URLs in ${region}, and the webhook and the pages need them. Choose another region.`,
    );
  }
  if (region && !/^(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d$/.test(region)) {
    found.push(`env.region: ${region} is not one of AWS's commercial regions, and Afterlink runs in these only.`);
  }
  if (stage.originSecretName && !stage.pagesUrl) {
    found.push('originSecretName: it closes the pages to all but CloudFront, so it needs pagesUrl.');
  }
  const { publicConcurrency } = stage;
  if (publicConcurrency !== undefined && (!Number.isInteger(publicConcurrency) || publicConcurrency < 1)) {
    found.push(`publicConcurrency: ${publicConcurrency} is no number of requests at once.`);
  }
  if (!stage.livemode) return found;

  if (!stage.env?.account || !region) {
    found.push('env: put account and region, so that live goes nowhere else, whatever the credentials point at.');
  }
  if (stage.supporterNamespace === stages.test.supporterNamespace) {
    found.push("supporterNamespace: it is the test stage's. Put a UUID of its own (`uuidgen`).");
  }
  return [...found, ...exampleValues(stage).map((name) => `${name}: it is the example's value; ${ADVICE[name]}.`)];
}

/** The stage, if it can be deployed. */
export function deployable(stage: Stage): Stage {
  const found = obstacles(stage);
  if (found.length === 0) return stage;
  throw new Error(
    [`Stage ${stage.name} cannot be deployed as cdk/lib/stages.ts has it:`, ...found.map((line) => `- ${line}`)].join('\n'),
  );
}
