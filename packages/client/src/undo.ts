/** Takes back what a join has done; again: nothing. */
export type Undo = () => void;
