declare module 'dynalite' {
  import type { Server } from 'node:http';

  /** dynalite 4.0.0 has no types of its own; these are the options that are used here. */
  export default function dynalite(options: {
    path?: string;
    createTableMs?: number;
    deleteTableMs?: number;
    updateTableMs?: number;
  }): Server;
}
