// What k6 has, and @types/k6 does not declare.
declare const console: { error(text: string): void };
