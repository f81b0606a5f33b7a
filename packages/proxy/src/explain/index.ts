// What the admin API needs of explanations.
export { explain } from './explain.ts';
export { QuestionError, readQuestion } from './question.ts';
