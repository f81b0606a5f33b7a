// What the shop sells.
export interface Item {
  readonly id: string;
  readonly title: string;
}

export const ITEMS: readonly Item[] = [
  { id: 'loom', title: 'Table loom, 60 cm' },
  { id: 'shuttle', title: 'Boat shuttle, beech' },
  { id: 'heddles', title: 'Texsolv heddles, 100 pieces' },
  { id: 'wool', title: 'Weaving wool, 500 g' },
];
