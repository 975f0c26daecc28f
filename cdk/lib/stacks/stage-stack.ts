import { CliCredentialsStackSynthesizer, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import { physicalName, type Stage } from '../stages.ts';

/** What every stack of a stage has in common: its name, its place, its tags. */
export abstract class StageStack extends Stack {
  protected constructor(scope: Construct, stage: Stage, id: string, props: StackProps & { description: string }) {
    super(scope, physicalName(stage, id), {
      ...(stage.env && { env: stage.env }),
      tags: { project: 'afterlink', stage: stage.name },
      // The local cloud enforces IAM, and refuses uploads through the bootstrap's roles.
      ...(stage.name === 'local' && { synthesizer: new CliCredentialsStackSynthesizer() }),
      ...props,
    });

    if (!stage.tlsOnly) {
      const reason = 'The local cloud speaks plain HTTP, on loopback only. Every other stage refuses it.';
      acknowledge(this, { 'AwsSolutions-S10': reason, 'AwsSolutions-SQS4': reason });
    }
  }
}
