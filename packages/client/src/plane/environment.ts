// What every process that loads this package asks its environment first; nothing else is loaded for it.

export type Environment = Readonly<Record<string, string | undefined>>;

/** Whether the environment says that the process is part of a mesh. */
export function isInMesh(environment: Environment): boolean {
  return given(environment['HEDDLE_SERVICE']) !== undefined && given(environment['HEDDLE_CONTROL']) !== undefined;
}

/** A variable that is empty is how an environment says that there is none. */
export function given(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text.trim();
}
