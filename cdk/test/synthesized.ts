import type { App } from 'aws-cdk-lib';
import { withoutFunctions } from '../lib/synthesis.ts';
import { type StageName, type Stage, stages } from '../lib/stages.ts';

export interface Resource {
  readonly id: string;
  readonly Type: string;
  /** CloudFormation, not TypeScript, knows what properties a type has. */
  readonly Properties: any;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}

/** The templates of one stage, as they would be deployed. */
export class Synthesized {
  constructor(
    readonly stage: Stage,
    /** By the last part of the stack's name: data, pipeline, operations. */
    readonly templates: Readonly<Record<string, Template>>,
    /** The stacks that refuse to be deleted. */
    readonly protectedStacks: readonly string[],
  ) {}

  get stacks(): string[] {
    return Object.keys(this.templates);
  }

  /** All resources of a type, over all stacks of the stage. */
  all(type: string): Resource[] {
    return Object.values(this.templates).flatMap(({ Resources = {} }) =>
      Object.entries(Resources)
        .filter(([, { Type }]) => Type === type)
        .map(([id, resource]) => ({ ...resource, id })),
    );
  }

  /** The one resource of a type with this value in this property. */
  one(type: string, property: string, value: unknown): Resource {
    const found = this.all(type).filter(({ Properties }) => Properties[property] === value);
    const [resource] = found;
    if (found.length !== 1 || resource === undefined) {
      throw new Error(`${found.length} resources ${type} have ${property} ${String(value)}`);
    }
    return resource;
  }

  outputs(stack: string): string[] {
    return Object.keys(this.templates[stack]?.Outputs ?? {}).filter((id) => !id.startsWith('Exports'));
  }
}

interface Template {
  readonly Resources?: Record<string, Omit<Resource, 'id'>>;
  readonly Outputs?: Record<string, { Value: unknown }>;
}

export function synthesize(stage: Stage, before: (app: App) => void = () => {}): Synthesized {
  return withoutFunctions(stage, (app) => {
    before(app);
    const { stacks } = app.synth();
    const short = ({ stackName }: { stackName: string }) => stackName.replace(`afterlink-${stage.name}-`, '');
    const templates = stacks.map((stack) => [short(stack), stack.template]);
    const kept = stacks.filter(({ terminationProtection }) => terminationProtection).map(short);
    return new Synthesized(stage, Object.fromEntries(templates), kept);
  });
}

const synthesized = new Map<StageName, Synthesized>();

/** A stage as it is in the code, synthesized once per test file. */
export function synthesizedStage(name: StageName): Synthesized {
  const made = synthesized.get(name) ?? synthesize(stages[name]);
  synthesized.set(name, made);
  return made;
}

export { queuedNames as QUEUED, taskNames as TASKS } from '../lib/catalogue.ts';
