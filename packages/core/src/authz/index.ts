export { ACCESS_RULES_MAX, type AccessOptions, accessRuleProblem, compileAccess, type CompiledAccess } from './access.ts';
export * from './callers.ts';
export { type Condition, type ConditionCompiler, type ConditionFacts, hasConditions } from './condition.ts';
export { AccessPolicyError } from './error.ts';
export * from './explain.ts';
export { comparedPath, foldedPath, normalizePath } from './path.ts';
export * from './policy-of.ts';
export * from './view.ts';
